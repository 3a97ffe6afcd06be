"""Who has a relation to many, who leaves it or becomes all of it, are of the current schema.

Django comes down to their primary keys here, by which rows of this schema would be taken out. It makes
the classes of these managers by functions, when a relation is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models.fields import related_descriptors

from .crossing import refuse_crossing, refuse_each
from .extending import extend
from .generic_keys import find_generic_fields


def guard_members() -> None:
    """Refuse instances of another schema in ``remove`` and ``set`` of relations to many."""
    extend(related_descriptors, "create_reverse_many_to_one_manager", _making)
    extend(related_descriptors, "create_forward_many_to_many_manager", _making)
    if fields := find_generic_fields():
        extend(fields, "create_generic_related_manager", _making)


def _making(original: Any) -> Any:
    def make(*args: Any, **kwargs: Any) -> Any:
        manager = original(*args, **kwargs)
        # That of a key without NULL has no remove().
        if "remove" in vars(manager):
            extend(manager, "remove", _removing)
        extend(manager, "set", _setting)
        for name in ("_apply_rel_filters", "_add_items", "_remove_items", "clear"):
            if name in vars(manager):
                extend(manager, name, _of_this_schema)
        return manager

    return make


def _of_this_schema(original: Any) -> Any:
    # By using() and db_manager() Django does not ask for the database of the instance.
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_crossing(self.instance)
        return original(self, *args, **kwargs)

    return method


def _removing(original: Any) -> Any:
    def remove(self: Any, *objs: Any, **kwargs: Any) -> None:
        refuse_each(objs)
        original(self, *objs, **kwargs)

    return remove


def _setting(original: Any) -> Any:
    def set_all(self: Any, objs: Iterable[Any], **kwargs: Any) -> None:
        members = tuple(objs)
        refuse_each(members)
        original(self, members, **kwargs)

    return set_all

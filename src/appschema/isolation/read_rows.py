"""Rows that were read in one schema and would be shown in another, from the memory of Python.

A queryset keeps what it has read. One that a module or a class holds, and that is used as it is and
not by ``.all()``, would show the rows of the first visitor's schema to all others; so would an
instance of a shared model that is kept, by what was prefetched for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Model, QuerySet
from django.db.models.fields.related_descriptors import ReverseOneToOneDescriptor
from django.db.models.query import EmptyQuerySet, RawQuerySet

from appschema.backends.envelope import read_template
from appschema.conf import get_config
from appschema.context import get_current
from appschema.exceptions import WrongSchema
from appschema.names import PUBLIC

from .crossing import find_placed, schema_of
from .extending import extend


def guard_read_rows() -> None:
    """Refuse what a queryset has read in another schema; forget what a shared instance has."""
    for owner in (QuerySet, RawQuerySet):
        extend(owner, "_fetch_all", _noting)
    # These look at what was read by themselves.
    for name in ("__getitem__", "contains", "count", "exists"):
        extend(QuerySet, name, _checking)
    extend(ReverseOneToOneDescriptor, "__get__", _forgetting)


def _noting(original: Any) -> Any:
    def _fetch_all(self: Any) -> None:
        if self._result_cache is None:
            self._read_in = get_current()
        else:
            _refuse(self)
        original(self)

    return _fetch_all


def _checking(original: Any) -> Any:
    def method(self: Any, *args: Any) -> Any:
        if self._result_cache is not None:
            _refuse(self)
        return original(self, *args)

    return method


def _refuse(queryset: Any) -> None:
    """Raise ``WrongSchema`` if what *queryset* has read belongs to another schema than the current."""
    active = get_current()
    known = vars(queryset)
    # Django itself fills a queryset with what it has prefetched.
    is_prefetched = "_read_in" not in known
    read_in = _schema_of_rows(queryset) if is_prefetched else known["_read_in"]
    if read_in in (None, active) or isinstance(queryset, EmptyQuerySet):
        return
    # Who has read it there on purpose may show it where there are no customers: a report on all.
    is_shared = not is_prefetched and queryset.query.schema_name is None
    if active in (None, PUBLIC) and not is_shared:
        return
    if not get_config().refuse_crossing:
        return
    model = find_placed(_tables_of(queryset)) or find_placed(_tables_in_text(queryset))
    if model is not None:
        raise WrongSchema(
            f"The rows of {model._meta.label!r} that this queryset holds were read in the schema"
            f" {read_in!r}, and the current schema is {active!r}. Read anew: by '.all()' from a"
            " queryset that schemas share, by an instance of this schema's own for what was"
            " prefetched. To use the rows of one schema in another make a list of them there."
        )


def _schema_of_rows(queryset: Any) -> str | None:
    rows = queryset._result_cache
    if rows and isinstance(rows[0], Model):
        return schema_of(rows[0])
    found: str | None = queryset.query.schema_name
    return found


def _tables_of(queryset: Any) -> Iterable[str]:
    joins = getattr(queryset.query, "alias_map", {}).values()
    return (queryset.model._meta.db_table, *(each.table_name for each in joins))


def _tables_in_text(queryset: Any) -> Iterable[str]:
    """Return the tables of schemas that subqueries, combined queries and raw SQL name as well."""
    if isinstance(queryset, RawQuerySet):
        text = queryset.raw_query
    else:
        try:
            text = queryset.query.sql_with_params()[0]
        except EmptyResultSet:
            return ()
    return read_template(str(text).encode()).tables


def _forgetting(original: Any) -> Any:
    # A shared row has another one to one with it in each schema.
    def get(self: Any, instance: Any, cls: Any = None) -> Any:
        if instance is not None:
            forget_of_another_schema(self.related, instance)
        return original(self, instance, cls)

    return get


def forget_of_another_schema(relation: Any, instance: Model) -> None:
    """Forget the row of another schema that *relation* led to from a shared *instance* that is kept."""
    found = relation.get_cached_value(instance, None)
    if found is None:
        return
    active = get_current()
    if (
        schema_of(found) not in (None, active)
        and active not in (None, PUBLIC)
        and find_placed([found._meta.db_table])
        and not find_placed([instance._meta.db_table])
    ):
        relation.delete_cached_value(instance)

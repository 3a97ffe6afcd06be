"""The database router that keeps models out of where they are not placed.

``appschema`` puts it before the project's own routers. It refuses, or leaves the answer to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.utils import ConnectionRouter
from django.utils.functional import cached_property

from .backends.wrapper import DatabaseWrapperMixin
from .context import current_schema
from .isolation.crossing import refuse_crossing, refuse_relation
from .names import PUBLIC
from .placement import APP_LABEL, get_placement

_asked: ContextVar[list[Question] | None] = ContextVar("appschema_asked", default=None)
_reaches_shared: ContextVar[bool] = ContextVar("appschema_reaches_shared", default=False)


@contextmanager
def reaching_shared_tables() -> Iterator[None]:
    """Allow shared models inside schemas: migrations and post_migrate receivers write to them."""
    token = _reaches_shared.set(True)
    try:
        yield
    finally:
        _reaches_shared.reset(token)


@dataclass(frozen=True)
class Question:
    """What a migration asked of the routers, and their answer."""

    using: str
    app_label: str
    hints: dict[str, Any] = field(compare=False)
    answer: bool

    def is_answered_alike(self) -> bool:
        """Tell whether they say the same in the schema that is current now."""
        return router.allow_migrate(self.using, self.app_label, **self.hints) == self.answer


@contextmanager
def noting_questions() -> Iterator[list[Question]]:
    """Note what routers are asked about migrations inside, if any but ours could answer."""
    asked: list[Question] = []
    token = _asked.set(asked if any(map(_may_answer, router.routers)) else None)
    try:
        yield asked
    finally:
        _asked.reset(token)


def _may_answer(each: Any) -> bool:
    return hasattr(each, "allow_migrate") and not isinstance(each, PlacementRouter)


def is_ours(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the connection's ENGINE is one of appschema's."""
    return isinstance(connection, DatabaseWrapperMixin)


class PlacementRouter:
    """Refuses a model where its app is not placed, and an instance of another schema.

    Django asks for the database of a query with the instance that it starts from: that of a
    related manager, of a foreign key that is followed, of ``save()`` and ``delete()``.
    """

    def db_for_read(
        self, model: type[Model], instance: Model | None = None, **hints: object
    ) -> None:
        if instance is not None:
            refuse_crossing(instance)

    db_for_write = db_for_read

    def allow_relation(self, obj1: Model, obj2: Model, **hints: object) -> None:
        refuse_relation(obj1, obj2)

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        if (asked := _asked.get()) is not None:
            token = _asked.set(None)
            try:
                answer = router.allow_migrate(db, app_label, **hints)
            finally:
                _asked.reset(token)
            asked.append(Question(db, app_label, dict(hints), answer))
        schema_name = current_schema()
        if not is_ours(connections[db]):
            # The registry tells of the schemas of its own database; another kind has none.
            return False if app_label == APP_LABEL else None
        if schema_name is None:
            return None
        if schema_name == PUBLIC:
            return None if get_placement().in_public(app_label) else False
        if get_placement().in_schemas(app_label) or _reaches_shared.get():
            return None
        return False


def install() -> None:
    """Put ``PlacementRouter`` before the project's routers, once.

    Django makes a new list of them when a test overrides DATABASE_ROUTERS, so it is put into every
    list that is made of that setting.
    """
    if any(isinstance(each, PlacementRouter) for each in router.routers):
        return
    make: Any = vars(ConnectionRouter)["routers"].func

    def routers(self: Any) -> list[Any]:
        is_of_setting = self._routers is None
        found: list[Any] = make(self)
        return [PlacementRouter(), *found] if is_of_setting else found

    with_ours = cached_property(routers)
    with_ours.__set_name__(ConnectionRouter, "routers")
    ConnectionRouter.routers = with_ours  # type: ignore[assignment]
    router.routers.insert(0, PlacementRouter())

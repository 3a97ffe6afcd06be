"""Run something in each schema; one schema's failure does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from typing import Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.backends.wrapper import DatabaseWrapperMixin
from appschema.context import schema_context
from appschema.names import PUBLIC

from .execute import Result, make_plan
from .plan import Request
from .selection import Selection, select_schemas

Act = Callable[[str], Result]


class Head(Protocol):
    """What new schemas are copied from. It is brought to head before the fleet is listed."""

    def alone(self) -> AbstractContextManager[None]:
        """Let nobody make a schema meanwhile."""

    def migrate(self, act: Act) -> Iterator[Result]:
        """Run *act* in each schema that new ones come from."""

    def compile(self, *, whole: bool) -> Iterator[Result]:
        """Keep what they are like now; ``whole`` tells that they were migrated too."""


def migrate_fleet(
    connection: BaseDatabaseWrapper, request: Request, selection: Selection, act: Act, head: Head
) -> Iterator[Result]:
    """Yield the result of *act* for public and each schema, in the order that they need.

    Public comes first, since what is shared must be there for the schemas; when shared
    migrations are undone it comes last. If public fails, the schemas are not tried. Whatever a new
    schema is made from is migrated before the fleet is listed: who made one before is in the list,
    who makes one later makes it of the new version.
    """
    if not selection.public:
        yield from run_each(select_schemas(connection.alias, selection.schemas), act)
        return
    whole = selection.schemas is None
    if make_plan(connection, request, PUBLIC).backwards:
        with head.alone():
            yield from _undo(connection, selection, act, head)
        return
    with head.alone():
        (result,) = run_each([PUBLIC], act)
        yield result
        if result.error is not None:
            return
        if whole:
            yield from head.migrate(act)
        yield from head.compile(whole=whole)
    # Listed now: the registry itself may just have been made.
    yield from run_each(select_schemas(connection.alias, selection.schemas), act)


def _undo(
    connection: BaseDatabaseWrapper, selection: Selection, act: Act, head: Head
) -> Iterator[Result]:
    whole, failed = selection.schemas is None, False
    results = run_each(select_schemas(connection.alias, selection.schemas), act)
    for result in chain(results, head.migrate(act) if whole else ()):
        failed = failed or result.error is not None
        yield result
    if failed:
        return
    for result in run_each([PUBLIC], act):
        failed = result.error is not None
        yield result
    if not failed:
        yield from head.compile(whole=whole)


def run_each(names: list[str], act: Act) -> Iterator[Result]:
    """Yield the result of *act* for each name, run inside that schema."""
    for name in names:
        try:
            with schema_context(name):
                result = act(name)
        except Exception as error:  # noqa: BLE001 - becomes this schema's result, which is reported
            result = Result(name, error=error)
        _renew_connections()
        yield result


def _renew_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapperMixin):
            connection.renew_if_spent()

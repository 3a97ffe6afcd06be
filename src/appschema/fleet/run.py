"""Run something in each schema; one schema's failure does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.backends.wrapper import DatabaseWrapperMixin
from appschema.context import schema_context
from appschema.names import PUBLIC

from .execute import Result, make_plan
from .plan import Request
from .selection import Selection, select_schemas

Act = Callable[[str], Result]


def migrate_fleet(
    connection: BaseDatabaseWrapper, request: Request, selection: Selection, act: Act
) -> Iterator[Result]:
    """Yield the result of *act* for public and each schema, in the order that they need.

    Public comes first, since what is shared must be there for the schemas; when shared
    migrations are undone it comes last. If public fails, the schemas are not tried.
    """
    if not selection.public:
        yield from run_each(select_schemas(connection.alias, selection.schemas), act)
        return
    if make_plan(connection, request, PUBLIC).backwards:
        failed = False
        for result in run_each(select_schemas(connection.alias, selection.schemas), act):
            failed = failed or result.error is not None
            yield result
        if not failed:
            yield from run_each([PUBLIC], act)
        return
    (result,) = run_each([PUBLIC], act)
    yield result
    if result.error is None:
        # Listed now: the registry itself may just have been made.
        yield from run_each(select_schemas(connection.alias, selection.schemas), act)


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

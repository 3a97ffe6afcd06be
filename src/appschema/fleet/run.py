"""Run something in each schema; one schema's failure does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import schema_context
from appschema.names import PUBLIC

from .execute import make_plan
from .know.entries import forget_whether_kept
from .know.ledger import drop_unused_sets
from .plan import Request
from .result import Result
from .selection import Selection, refuse_unknown, select_waves
from .workers import renew_connections

Act = Callable[[str], Result]


Migrate = Callable[[Sequence[str]], Iterator[Result]]


class Head(Protocol):
    """What new schemas are copied from. It is brought to head before the fleet is listed."""

    def alone(self) -> AbstractContextManager[None]:
        """Let nobody make a schema meanwhile."""

    def migrate(self, migrate: Migrate) -> Iterator[Result]:
        """Run *migrate* for the schemas that new ones come from."""

    def compile(self, *, whole: bool) -> Iterator[Result]:
        """Keep what they are like now; ``whole`` tells that they were migrated too."""


def migrate_fleet(
    connection: BaseDatabaseWrapper,
    request: Request,
    selection: Selection,
    migrate_public: Act,
    migrate: Migrate,
    head: Head,
) -> Iterator[Result]:
    """Yield the results for public and for the schemas, in the order that they need.

    Public comes first, since what is shared must be there for the schemas; when shared
    migrations are undone it comes last. If public fails, the schemas are not tried. Whatever a new
    schema is made from is migrated before the fleet is listed: who made one before is in the list,
    who makes one later makes it of the new version.
    """
    using = connection.alias
    refuse_unknown(using, selection)
    if not selection.public:
        yield from _by_waves(select_waves(using, selection), migrate)
        return
    whole = selection.is_whole
    if make_plan(connection, request, PUBLIC).backwards:
        with head.alone():
            yield from _undo(connection, selection, migrate_public, migrate, head)
        return
    with head.alone():
        (result,) = run_each([PUBLIC], migrate_public)
        yield result
        if result.error is not None:
            return
        if whole:
            yield from head.migrate(migrate)
        yield from head.compile(whole=whole)
        drop_unused_sets(connection)
    # Listed now: the registry itself may just have been made.
    yield from _by_waves(select_waves(using, selection), migrate)


def _by_waves(waves: Sequence[Sequence[str]], migrate: Migrate) -> Iterator[Result]:
    """Yield the results wave by wave; after a failure no other wave is begun."""
    has_failed = False
    for wave in waves:
        if has_failed:
            yield from (Result(name, is_begun=False) for name in wave)
            continue
        for result in migrate(wave):
            has_failed = has_failed or result.error is not None
            yield result


def _undo(
    connection: BaseDatabaseWrapper,
    selection: Selection,
    migrate_public: Act,
    migrate: Migrate,
    head: Head,
) -> Iterator[Result]:
    whole, is_clean = selection.is_whole, True
    results = _by_waves(select_waves(connection.alias, selection), migrate)
    for result in chain(results, head.migrate(migrate) if whole else ()):
        is_clean = is_clean and result.error is None and result.is_begun
        yield result
    if not is_clean:
        return
    for result in run_each([PUBLIC], migrate_public):
        is_clean = result.error is None
        forget_whether_kept(connection)
        yield result
    if is_clean:
        yield from head.compile(whole=whole)


def run_each(names: list[str], act: Act) -> Iterator[Result]:
    """Yield the result of *act* for each name, run inside that schema."""
    for name in names:
        try:
            with schema_context(name):
                result = act(name)
        except Exception as error:  # noqa: BLE001 - becomes this schema's result, which is reported
            result = Result(name, error=error)
        renew_connections()
        yield result

"""Migrate many schemas: by groups of one state, with workers, each schema by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from appschema.context import as_owner, schema_context
from appschema.exceptions import RecordsDiffer, SchemaMissing
from appschema.names import PUBLIC

from .execute import migrate_schema
from .executor import Progress
from .follow.group import PASSING, Group, Options
from .follow.replay import sqlstate
from .know.entries import is_kept, write_entries
from .know.ledger import Ledger, State, read_ledger
from .plan import Request, SchemaPlan
from .records import public_records
from .result import Result
from .workers import Stop, work_on

FIRST_PAUSE = 0.2
"""Seconds before a schema is tried again; twice as many before each other time."""


class Runner:
    """Migrates schemas, as often as it is asked; those of a state that it knows follow its record."""

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        request: Request,
        options: Options,
        *,
        progress: Progress | None = None,
        sync: Any = None,
        stdout: Any = None,
        reads_records: bool = False,
        announce: Callable[[str], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.stop = Stop()
        self._connection = connection
        self._using = connection.alias
        self._request = request
        self._options = options
        self._progress = progress
        self._sync = sync
        self._stdout = stdout
        self._reads_records = reads_records
        self._announce = announce
        self._tell = tell
        self._groups: dict[State, Group] = {}
        self._failures = 0

    def migrate(self, names: Sequence[str]) -> Iterator[Result]:
        """Yield the result of each schema, in the order in which they are done."""
        for result in self._migrate(names):
            if result.error is not None:
                self._failures += 1
                limit = self._options.max_failures
                if limit is not None and self._failures > limit:
                    self.stop.request()
            yield result

    def _migrate(self, names: Sequence[str]) -> Iterator[Result]:
        if not names:
            return
        if not is_kept(self._connection) or self._request.run_syncdb or self._request.fake_initial:
            # What is there decides, in each schema.
            yield from self._each(names, None, self._migrate_plainly, jobs=1)
            return
        ledger = read_ledger(self._using, names, anew=self._reads_records)
        members, missing = ledger.members()
        yield from (Result(name, error=SchemaMissing(name)) for name in missing)
        for state, some in members.items():
            yield from self._migrate_group(self._group(state, ledger), some)

    def plans(self, names: Sequence[str]) -> Iterator[tuple[SchemaPlan, list[str]]]:
        """Yield each distinct plan with the schemas that it is for. Nothing is changed."""
        ledger = read_ledger(self._using, names, writes=False)
        members, missing = ledger.members()
        if missing:
            raise SchemaMissing(missing[0])
        for state, some in members.items():
            yield self._group(state, ledger).plan(some[0]), some

    def _group(self, state: State, ledger: Ledger) -> Group:
        if state not in self._groups:
            with schema_context(PUBLIC), as_owner():
                shared = public_records(MigrationRecorder(connections[self._using]))
            self._groups[state] = Group(
                self._using,
                self._request,
                self._options,
                state,
                ledger.applied(state),
                shared,
                self._stdout,
            )
        return self._groups[state]

    def _migrate_group(self, group: Group, names: list[str]) -> Iterator[Result]:
        try:
            work = group.find_work(names[0])
        except Exception as error:  # noqa: BLE001 - becomes the result of each schema, which is reported
            yield from (Result(name, error=error) for name in names)
            return
        if work.plan is None:
            yield from map(Result, names)
            return
        if not work.is_structural:
            yield from self._each(names, group, group.make_rows)
            return
        if group.state.under_way:
            # How far each of them is, and what is left of it, is its own.
            yield from self._each(names, group, group.run_alone)
            return
        waiting = list(names)
        while waiting and not group.has_record():
            first = partial(self._run_first, group)
            yield from self._each([waiting.pop(0)], group, first, jobs=1)
            if group.has_record():
                for note in group.notes:
                    self._tell(f"Not replayed: {note}")
        yield from self._each(waiting, group, group.follow)

    def _each(
        self,
        names: Sequence[str],
        group: Group | None,
        act: Callable[[str], Result],
        jobs: int | None = None,
    ) -> Iterator[Result]:
        if jobs is None:
            # Other connections do not see what is not committed.
            jobs = 1 if self._connection.in_atomic_block else min(self._options.jobs, len(names))
        yield from work_on(names, partial(self._try, group, act), jobs=jobs, stop=self.stop)

    def _run_first(self, group: Group, name: str) -> Result:
        self._announce(name)
        return group.run_first(name, progress=self._progress)

    def _migrate_plainly(self, name: str) -> Result:
        self._announce(name)
        return migrate_schema(
            connections[self._using],
            self._request,
            name,
            progress=self._progress,
            sync=self._sync,
            stdout=self._stdout,
        )

    def _try(self, group: Group | None, act: Callable[[str], Result], name: str) -> Result:
        """Return what became of the schema; what may pass is tried again."""
        began = time.monotonic()
        for number in range(self._options.retries + 1):
            begun = time.monotonic()
            try:
                result = act(name) if number == 0 else self._try_again(group, act, name)
                return replace(result, seconds=time.monotonic() - begun)
            except (DatabaseError, InterfaceError, RecordsDiffer) as error:
                last: Exception = error
                if (
                    not self._may_pass(error)
                    or number == self._options.retries
                    or self.stop.is_requested()
                ):
                    break
                self.stop.wait(FIRST_PAUSE * 2**number * random.uniform(0.5, 1.5))  # noqa: S311
            except Exception as error:  # noqa: BLE001 - becomes this schema's result, which is reported
                last = error
                break
        # Its frames would be kept until the end of the run, with all that they hold.
        return Result(name, error=last.with_traceback(None), seconds=time.monotonic() - began)

    def _may_pass(self, error: Exception) -> bool:
        connection = connections[self._using]
        if connection.in_atomic_block:
            return False
        if isinstance(error, RecordsDiffer):
            return True
        is_lost = connection.connection is None or not connection.is_usable()
        if is_lost:
            connection.close()
        return is_lost or sqlstate(error) in PASSING

    def _try_again(self, group: Group | None, act: Callable[[str], Result], name: str) -> Result:
        """Try once more: as planned, or by itself if its state is not what it was planned for."""
        if group is None:
            return act(name)
        with schema_context(PUBLIC), as_owner():
            write_entries(connections[self._using], [name])
        ledger = read_ledger(self._using, [name])
        state = ledger.standings[0].state
        if state is None:
            raise SchemaMissing(name)
        if state == group.state:
            return act(name)
        alone = self._group(state, ledger)
        work = alone.find_work(name)
        return Result(name) if work.plan is None else alone.run_alone(name)

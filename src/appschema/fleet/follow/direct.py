"""Run a plan in one schema through Django's own executor, in one transaction.

The first schema of a group goes this way and is recorded; so does one that cannot follow a record.
Migrations with ``atomic = False`` stand between transactions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder

from appschema.catalog import read_fingerprint
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaDrifts
from appschema.fleet.execute import Send, run_plan
from appschema.fleet.executor import PlacedExecutor, Progress
from appschema.fleet.know.entries import held, note_drift, read_records, write_entry
from appschema.fleet.plan import Request, SchemaPlan
from appschema.names import MARKER_TABLE
from appschema.patience import waiting_at_most
from appschema.placement import Placement
from appschema.router import noting_questions, reaching_shared_tables

from .made_rows import MadeRows, find_made_rows
from .recording import Recorder, Recording
from .touched import named_tables, table_names, touched_relations
from .unfinished import Unfinished


class DirectExecutor(PlacedExecutor):
    """Django's executor, whose atomic migrations share one transaction."""

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        placement: Placement,
        schema_name: str,
        progress: Progress | None,
        loader: MigrationLoader,
        under_way: str,
        lock_timeout: float,
        *,
        is_apart: bool = False,
        accepts_drift: bool = False,
    ) -> None:
        super().__init__(connection, placement, schema_name, progress, loader)
        self.schema_name = schema_name
        self.tape = Recorder(connection)
        self.recorder = _NotingRecorder(connection, self.tape)
        self._unfinished = Unfinished(connection, schema_name, under_way)
        self._lock_timeout = lock_timeout
        self._is_apart = is_apart
        self._accepts_drift = accepts_drift
        self.tape.recording.is_apart = is_apart
        self._open: list[Any] = []
        self._touched: set[str] = set()

    @contextmanager
    def in_transactions(self) -> Iterator[None]:
        """Open the first transaction, and commit the last one, or roll it back."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException as error:
            if self._open:
                self._open.pop().__exit__(type(error), error, error.__traceback__)
            raise

    def begin(self) -> None:
        """Open a transaction, in which the ledger's entry is written once, at its end."""
        self._open.append(_one_transaction(self.connection, self._lock_timeout))
        self._open[-1].__enter__()

    def commit(self) -> None:
        """Note what was changed, write the entry and commit."""
        self._touched |= touched_relations(self.connection, self.schema_name)
        write_entry(self.schema_name, using=self.connection.alias)
        self._open.pop().__exit__(None, None, None)

    def apply_migration(
        self, state: Any, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> Any:
        if not self.placement.holds(migration.app_label, public=False):
            return migration.mutate_state(state, preserve=False)
        with self._migration(migration, backwards=False, fake=fake) as each:
            return super().apply_migration(state, each, fake=fake, fake_initial=fake_initial)

    def unapply_migration(self, state: Any, migration: Migration, fake: bool = False) -> Any:
        with self._migration(migration, backwards=True, fake=fake) as each:
            return super().unapply_migration(state, each, fake=fake)

    @contextmanager
    def _migration(
        self, migration: Migration, *, backwards: bool, fake: bool
    ) -> Iterator[Migration]:
        is_atomic = migration.atomic or fake
        each = copy.copy(migration)
        # No savepoint of its own: PostgreSQL 17 lets a value that is added to an enum be used at
        # once only if the type was made under the same one.
        each.atomic = False  # type: ignore[misc]
        if not is_atomic:
            self.commit()
            self._unfinished.begin(migration)
        each.operations = [  # type: ignore[misc]
            self._heard(operation, is_atomic=is_atomic, backwards=backwards)
            for operation in migration.operations
        ]
        with self.tape.migration(migration, backwards=backwards, atomic=is_atomic):
            yield each
        if is_atomic and not self._is_apart:
            self.connection.check_constraints()
            return
        if is_atomic:
            self.commit()
        self.begin()

    def _heard(self, operation: Operation, *, is_atomic: bool, backwards: bool) -> Operation:
        """Return a copy of *operation* that is recorded when Django runs it."""
        heard = copy.copy(operation)
        act = operation.database_backwards if backwards else operation.database_forwards

        def run(app_label: str, editor: Any, from_state: Any, to_state: Any) -> None:
            do = partial(self.tape.act, operation, act, app_label, editor, from_state, to_state)
            if is_atomic:
                do()
            else:
                self._unfinished.run(operation, editor, do)

        each: Any = heard
        each.database_forwards = each.database_backwards = run
        return heard

    def finish(self, state_apps: Any, like: Recording | None) -> MadeRows:
        """Complete the recording, inside the last transaction.

        Raises ``SchemaDrifts`` if something else came out than in the recording *like*.
        """
        connection, name, recording = self.connection, self.schema_name, self.tape.recording
        rows = find_made_rows(state_apps, self.placement, connection.alias)
        write_entry(name, using=connection.alias, rows=rows.digest)
        self._touched |= touched_relations(connection, name)
        recording.touched = tuple(sorted(self._touched)) if like is None else like.touched
        with connection.cursor() as cursor:
            recording.records = read_records(cursor, name)
            recording.fingerprint = read_fingerprint(cursor, name, recording.touched)
        if like is not None and like.fingerprint != recording.fingerprint:
            if not self._accepts_drift:
                raise SchemaDrifts(name, like.fingerprint.differences(recording.fingerprint))
            note_drift(name, recording.fingerprint.hash, using=connection.alias)
        return rows


@contextmanager
def _one_transaction(connection: BaseDatabaseWrapper, lock_timeout: float) -> Iterator[None]:
    waits = waiting_at_most(lock_timeout, connection.alias)
    with held(), transaction.atomic(using=connection.alias), waits:
        yield


class _NotingRecorder(MigrationRecorder):
    """Django's recorder, which tells the tape what it has recorded."""

    def __init__(self, connection: BaseDatabaseWrapper, tape: Recorder) -> None:
        super().__init__(connection)
        self._tape = tape

    def record_applied(self, app: str, name: str) -> None:
        super().record_applied(app, name)
        self._tape.note_record(app, name, is_applied=True)

    def record_unapplied(self, app: str, name: str) -> None:
        super().record_unapplied(app, name)
        self._tape.note_record(app, name, is_applied=False)


def run_directly(
    executor: DirectExecutor,
    request: Request,
    plan: SchemaPlan,
    send: Send,
    like: Recording | None = None,
) -> tuple[Recording, MadeRows]:
    """Run *plan* in the executor's schema, and return the recording and the rows that are made.

    ``send`` sends pre_migrate and post_migrate. The outcome is to be that of *like*. Raises what goes
    wrong; what is not committed by a migration with ``atomic = False`` is rolled back.
    """
    connection, name = executor.connection, executor.schema_name
    with (
        schema_context(name),
        as_owner(),
        reaching_shared_tables(),
        noting_questions() as asked,
        executor.in_transactions(),
    ):
        tables = table_names(connection, name)
        apps_before, apps_after = run_plan(executor, request, plan, send)
        rows = executor.finish(apps_after, like)
        recording = executor.tape.recording
        recording.asked = list(asked)
        recording.needs = named_tables(recording.texts(), tables)
        dealt_with = {MARKER_TABLE, *recording.needs, *recording.touched}
        recording.share = len(dealt_with) / len(tables | dealt_with)
        recording.apps_before, recording.apps_after = apps_before, apps_after
        return recording, rows

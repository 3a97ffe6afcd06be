"""Do in one schema what was recorded in another: as one message where all of it is SQL.

Whatever is sent, the message ends with the schema's own records and the ledger's entry, and with a
look at what came out. It commits only if that is what came out in the first schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate

from appschema.backends.connection import send_bare
from appschema.backends.envelope import envelope_of
from appschema.catalog import fingerprint_sql, read_fingerprint
from appschema.context import as_owner, schema_context
from appschema.exceptions import RecordsDiffer, SchemaDrifts
from appschema.fleet.know.entries import (
    Difference,
    entry_sql,
    held,
    settling_entry_sql,
    what_differs,
)
from appschema.names import quote_literal
from appschema.router import reaching_shared_tables

from .made_rows import MadeRows
from .recording import FIRE_PENDING, Again, Recording, Track, joined, writing_records
from .touched import accept_drift_sql
from .unfinished import Unfinished


@dataclass(frozen=True)
class Replay:
    """How the schemas of one group follow the first."""

    using: str
    recording: Recording
    rows: MadeRows
    has_rows: bool
    """The schemas of the group have these rows already."""
    lock_timeout: float
    verifies: bool
    accepts_drift: bool
    send: Callable[..., None] | None
    """Sends a signal to receivers that are to run in each schema, if there are any."""

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """The connection of this thread."""
        return connections[self.using]

    def run(self, schema_name: str) -> None:
        """Do it all in *schema_name*. Raises ``SchemaDrifts``, ``RecordsDiffer``, and what PostgreSQL says.

        Needs a connection outside a transaction, unless all is to be part of the one that is open.
        """
        connection: Any = self.connection
        connection.ensure_connection()
        connection.connection.touched_in_part += self.recording.share
        # An error must not spoil a transaction that goes on with the next schema.
        around = (
            transaction.atomic(using=self.using) if connection.in_atomic_block else nullcontext()
        )
        with schema_context(schema_name), as_owner():
            try:
                with around:
                    self._run(schema_name)
            except DatabaseError as error:
                match what_differs(error):
                    case Difference.LIKENESS:
                        raise self._drift(schema_name) from None
                    case Difference.RECORDS:
                        raise RecordsDiffer(schema_name) from None
                raise

    def _run(self, schema_name: str) -> None:
        if self.recording.is_sql and not self.recording.is_apart and self.send is None:
            send_bare(self.connection, joined(self._whole(schema_name)))
        else:
            with reaching_shared_tables():
                self._run_in_steps(schema_name)

    def _whole(self, schema_name: str, *, checked: bool = True) -> Iterator[str]:
        # First of all: what makes the text mean this schema locks tables too.
        yield self._patience()
        yield from self._start(schema_name, self.recording.needs)
        yield self.recording.text
        yield from self._end(schema_name, checked=checked)

    def _start(self, schema_name: str, needs: tuple[str, ...] = ()) -> list[str]:
        """Return what makes the texts mean this schema, and fail if a table is missing in it."""
        sender: Any = self.connection.connection
        envelope = envelope_of(schema_name, needs, sender)
        return [each.decode() for each in envelope.statements]

    def _end(self, schema_name: str, *, checked: bool = True) -> Iterator[str]:
        yield from writing_records(self.recording.after)
        if not self.has_rows:
            yield from self.rows.statements
        if checked:
            yield self._settle(schema_name)
        if self.accepts_drift and self.recording.touched:
            wanted = self.recording.fingerprint.hash
            yield accept_drift_sql(schema_name, self.recording.touched, wanted)

    def _settle(self, schema_name: str) -> str:
        """Return a statement that writes the entry, and fails if the schema is not like the first."""
        recording, touched = self.recording, self.recording.touched
        if_alike = None
        if self.verifies and not self.accepts_drift and touched:
            found, wanted = fingerprint_sql(schema_name, touched), recording.fingerprint.hash
            if_alike = f"{found} = {quote_literal(wanted)}"
        return settling_entry_sql(
            schema_name, recording.records, rows=self.rows.digest, if_alike=if_alike
        )

    def _run_in_steps(self, schema_name: str) -> None:
        tracks = self.recording.tracks
        parts = [[track] for track in tracks] if self.recording.is_apart else _parts(tracks)
        if self.send is not None:
            self.send(pre_migrate)
        # Later some of these tables may have other names.
        needs = self._start(schema_name, self.recording.needs)
        for number, part in enumerate(parts, 1):
            if not part[0].is_atomic:
                self._run_alone(schema_name, part[0])
                continue
            with self._one_transaction():
                rest = self._run_part(schema_name, part, needs if number == 1 else [])
                if number == len(parts):
                    self._finish(schema_name, rest)
                else:
                    self._send(schema_name, [*rest, entry_sql(schema_name)])
        if not parts or not parts[-1][0].is_atomic:
            with self._one_transaction():
                self._finish(schema_name, [])

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        with held(), transaction.atomic(using=self.using):
            yield

    def _finish(self, schema_name: str, texts: list[str]) -> None:
        if self.send is not None:
            self._send(schema_name, texts)
            texts = []
            self.send(post_migrate)
        self._send(schema_name, [*texts, *self._end(schema_name)])

    def _run_part(
        self, schema_name: str, tracks: Iterable[Track], texts: Iterable[str]
    ) -> list[str]:
        """Run migrations in the open transaction, after *texts*, and return what is still to be sent."""
        texts = [self._patience(), *texts]
        for track in tracks:
            with self.connection.schema_editor(atomic=False) as editor:
                for item in track.items:
                    if isinstance(item, Again):
                        self._send(schema_name, texts)
                        texts = []
                        item.run(editor)
                    else:
                        texts.append(item)
                if editor.deferred_sql:
                    self._send(schema_name, texts)
                    texts = []
            texts += [*writing_records(track.records), FIRE_PENDING]
        return texts

    def _patience(self) -> str:
        return f"SET LOCAL lock_timeout TO '{self.lock_timeout * 1000:.0f}ms'"

    def _send(self, schema_name: str, texts: list[str]) -> None:
        """Send statements in the open transaction, as one message."""
        if not texts:
            return
        connection: Any = self.connection.connection
        send_bare(self.connection, joined([*self._start(schema_name), *texts]))
        # What it has left pending is fired before a statement of another schema.
        envelope = envelope_of(schema_name, (), connection)
        connection.transaction_path.carry(envelope.holder, envelope.path)

    def _run_alone(self, schema_name: str, track: Track) -> None:
        """Run a migration with ``atomic = False``."""
        unfinished = Unfinished(self.connection, schema_name, "")
        unfinished.begin(track.migration)
        with self.connection.schema_editor(atomic=False) as editor:
            for item in track.items:
                assert isinstance(item, Again)
                unfinished.run(item.operation, editor, partial(item.run, editor))
        recorder = MigrationRecorder(self.connection)
        for app, name, is_applied in track.records:
            (recorder.record_applied if is_applied else recorder.record_unapplied)(app, name)

    def _drift(self, schema_name: str) -> SchemaDrifts:
        """Do it again, to see what comes out, and roll it back."""
        with transaction.atomic(using=self.using):
            if self.recording.is_sql:
                send_bare(self.connection, joined(self._whole(schema_name, checked=False)))
            else:
                with reaching_shared_tables():
                    rest = self._run_part(schema_name, self.recording.tracks, [])
                    self._send(schema_name, rest)
            with self.connection.cursor() as cursor:
                found = read_fingerprint(cursor, schema_name, self.recording.touched)
            transaction.set_rollback(True, using=self.using)
        return SchemaDrifts(schema_name, self.recording.fingerprint.differences(found))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code for an error of Django's."""
    found: str | None = getattr(error.__cause__, "sqlstate", None)
    return found


def _parts(tracks: Iterable[Track]) -> list[list[Track]]:
    """Return the migrations that commit together: those in a row that are atomic."""
    parts: list[list[Track]] = []
    for track in tracks:
        if parts and track.is_atomic and parts[-1][0].is_atomic:
            parts[-1].append(track)
        else:
            parts.append([track])
    return parts

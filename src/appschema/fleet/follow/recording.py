"""What Django did in the first schema of a group, kept so that it can be done in the others.

Most operations come down to SQL that names its tables without their schema, the same for each. What
may come down to something else in another schema is not kept as SQL: it is done again, with
Django's own operation, on the states of the models that were rendered for the first.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from django.contrib.postgres import operations as postgres
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from appschema.catalog import Fingerprint
from appschema.fleet.know.entries import RecordSet
from appschema.names import MARKER_TABLE, quote_identifier, quote_literal
from appschema.router import Question

FIRE_PENDING = "SET CONSTRAINTS ALL IMMEDIATE;\nSET CONSTRAINTS ALL DEFERRED"
"""What a commit between two migrations would fire."""

_AS_SQL = frozenset(
    {
        operations.AddConstraint,
        operations.AddField,
        operations.AddIndex,
        operations.AlterField,
        operations.AlterIndexTogether,
        operations.AlterModelManagers,
        operations.AlterModelOptions,
        operations.AlterModelTable,
        operations.AlterModelTableComment,
        operations.AlterOrderWithRespectTo,
        operations.AlterUniqueTogether,
        operations.CreateModel,
        operations.DeleteModel,
        operations.RemoveConstraint,
        operations.RemoveField,
        operations.RemoveIndex,
        operations.RenameField,
        operations.RenameIndex,
        operations.RenameModel,
        operations.RunSQL,
        postgres.AddConstraintNotValid,
        postgres.CreateCollation,
        postgres.RemoveCollation,
        postgres.ValidateConstraint,
        *filter(None, [getattr(operations, "AlterConstraint", None)]),
    }
)
"""Operations that decide by the states of the models and the structure of the schema only."""

_CONSTANT = (bool, dict, float, int, list, set, str, tuple)
"""Callable defaults that give the same each time."""


@dataclass
class Again:
    """One operation that is done anew in each schema."""

    operation: Operation
    app_label: str
    from_state: ProjectState
    to_state: ProjectState
    is_backwards: bool

    def run(self, editor: Any) -> None:
        """Do it with *editor*, in the current schema."""
        act = (
            self.operation.database_backwards
            if self.is_backwards
            else self.operation.database_forwards
        )
        act(self.app_label, editor, self.from_state, self.to_state)


Item = str | Again


@dataclass
class Track:
    """What one migration did, in order: SQL, or operations to be done again."""

    migration: Migration
    is_backwards: bool
    is_atomic: bool
    items: list[Item] = field(default_factory=list)
    records: list[tuple[str, str, bool]] = field(default_factory=list)
    """App, name, and whether it is applied now."""
    reasons: list[str] = field(default_factory=list)
    """Why an operation is done again, for those who ask."""

    @property
    def is_sql(self) -> bool:
        """Tell whether all of it can be sent as text."""
        return self.is_atomic and not any(isinstance(item, Again) for item in self.items)

    def texts(self) -> Iterator[str]:
        """Yield its SQL, without the records."""
        return (item for item in self.items if isinstance(item, str))


def writing_records(records: Iterable[tuple[str, str, bool]]) -> list[str]:
    """Return the statements that write or delete records; unqualified, as all SQL of a recording."""
    table = quote_identifier(MARKER_TABLE)
    return [
        f"INSERT INTO {table} (app, name, applied) VALUES ({quote_literal(app)},"
        f" {quote_literal(name)}, now())"
        if is_applied
        else f"DELETE FROM {table} WHERE app = {quote_literal(app)} AND name = {quote_literal(name)}"
        for app, name, is_applied in records
    ]


def joined(statements: Iterable[str]) -> str:
    """Return the statements as one text."""
    # A statement may end with a comment, in which a semicolon would be lost.
    return "\n;\n".join(statements)


@dataclass
class Recording:
    """What Django did in one schema, migration by migration."""

    tracks: list[Track] = field(default_factory=list)
    after: list[tuple[str, str, bool]] = field(default_factory=list)
    """Records of squashed migrations, which are written at the end."""
    asked: list[Question] = field(default_factory=list)
    """What routers were asked, and what they said."""
    needs: tuple[str, ...] = ()
    """The tables that its SQL names and that were there before."""
    touched: tuple[str, ...] = ()
    """The relations that it has made or changed."""
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    """What those were like afterwards."""
    share: float = 1.0
    """Which part of a schema's tables it deals with."""
    records: RecordSet = field(default_factory=RecordSet)
    """Its records of migrations afterwards."""
    is_apart: bool = False
    """Each migration must be committed by itself."""
    apps_before: Any = None
    apps_after: Any = None
    """The models before and after, for receivers of signals."""

    def copied_plan(self) -> list[tuple[Migration, bool]]:
        """Return the plan, for receivers that may change it."""
        plan = []
        for track in self.tracks:
            migration = copy.copy(track.migration)
            migration.operations = list(migration.operations)  # type: ignore[misc]
            plan.append((migration, track.is_backwards))
        return plan

    @property
    def is_sql(self) -> bool:
        """Tell whether all of it can be sent as text."""
        return all(track.is_sql for track in self.tracks)

    def texts(self) -> Iterator[str]:
        """Yield the SQL."""
        for track in self.tracks:
            yield from track.texts()

    @cached_property
    def text(self) -> str:
        """All of it as one text, if it is SQL."""
        parts: list[str] = []
        for track in self.tracks:
            parts += [*track.texts(), *writing_records(track.records), FIRE_PENDING]
        return joined(parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The migrations, as ``app.name``."""
        return tuple(str(track.migration) for track in self.tracks)


class Recorder:
    """Writes a recording while Django's executor runs in the first schema."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.recording = Recording()
        self._connection = connection
        self._track: Track | None = None
        self._steps: list[_Step] = []
        self._sent: list[str] | None = None
        self._evaluated: list[str] = []

    @contextmanager
    def migration(self, migration: Migration, *, backwards: bool, atomic: bool) -> Iterator[None]:
        """Record one migration, with what its editor has left for the end."""
        track = self._track = Track(migration, backwards, atomic)
        self._steps, self._sent = [], []
        try:
            yield
            _fill(track, self._steps, self._sent)
        finally:
            self._track, self._steps, self._sent = None, [], None
        self.recording.tracks.append(track)

    def note_record(self, app: str, name: str, *, is_applied: bool) -> None:
        """Note that a record of a migration was written or deleted."""
        records = self.recording.after if self._track is None else self._track.records
        records.append((app, name, is_applied))

    def note_statement(self, sql: str, params: Any) -> None:
        """Note a statement of the schema editor."""
        if self._sent is not None:
            self._sent.append(_as_text(sql, params, self._connection))

    def note_default(self, field: Any) -> None:
        """Note that a default becomes part of a statement."""
        if (
            getattr(field, "auto_now", False)
            or getattr(field, "auto_now_add", False)
            # A field without a default has a class there, which can be called too.
            or (field.has_default() and callable(field.default) and field.default not in _CONSTANT)
        ):
            self._evaluated.append(field.name)

    def act(
        self,
        operation: Operation,
        act: Callable[..., None],
        app_label: str,
        editor: Any,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do one operation of a migration, and note what it came down to."""
        assert self._track is not None
        at_end, self._sent, self._evaluated = self._sent, [], []
        deferred = list(map(str, editor.deferred_sql))
        editor.tape = self
        act(app_label, editor, from_state, to_state)
        again = Again(operation, app_label, from_state, to_state, self._track.is_backwards)
        self._steps.append(
            _Step(
                again,
                self._sent,
                _why_again(operation, self._sent, self._evaluated),
                list(map(str, editor.deferred_sql)) != deferred,
            )
        )
        self._sent = at_end


@dataclass
class _Step:
    """One operation as it was done: what it has sent, and why it is to be done again if it is."""

    again: Again
    sent: list[str]
    why: str | None
    defers: bool


def _fill(track: Track, steps: list[_Step], at_end: list[str]) -> None:
    # Django goes on changing the state after an operation; that before the next one is like it.
    if not track.is_backwards:
        for step, later in itertools.pairwise(steps):
            step.again.to_state = later.again.from_state
        if steps:
            steps[-1].again.to_state = steps[-1].again.to_state.clone()
    track.reasons = [f"{step.again.operation.describe()}: {step.why}" for step in steps if step.why]
    # What an operation has left for the end is part of what is left by all.
    if not track.is_atomic or any(step.why and step.defers for step in steps):
        track.items = [step.again for step in steps]
    else:
        for step in steps:
            track.items += [step.again] if step.why else step.sent
        track.items += at_end
    for item in track.items:
        if isinstance(item, Again):
            for state in (item.from_state, item.to_state):
                # Rendered once, and not by several workers; Django would do it again for each schema.
                _ = state.apps
                state.is_delayed = False


def _why_again(operation: Operation, sent: list[str], evaluated: list[str]) -> str | None:
    """Return why an operation may come down to something else in another schema, or None."""
    if evaluated:
        return f"the default of {', '.join(evaluated)} is evaluated for each schema"
    found = next((each for each in _parts(operation) if type(each) not in _AS_SQL), None)
    if found is not None:
        return f"{type(found).__name__} runs in each schema"
    if any(map(_IS_SPECIAL.search, sent)):
        return "it changes the session or makes an extension"
    return None


def _parts(operation: Operation) -> Iterator[Operation]:
    if type(operation) is operations.SeparateDatabaseAndState:
        for each in operation.database_operations:
            yield from _parts(each)
    else:
        yield operation


_IS_SPECIAL = re.compile(
    r"search_path|set_config|\bextension\b"
    r"|^\s*(?:set(?!\s+constraints)|reset|begin|start|commit|end|rollback|abort|savepoint|release"
    r"|prepare|execute|deallocate|declare|discard|copy|listen|load)\b",
    re.IGNORECASE | re.MULTILINE,
)


def _as_text(sql: str, params: Any, connection: BaseDatabaseWrapper) -> str:
    """Return the statement with its parameters, without the semicolon at its end."""
    if params is not None:
        sql = psycopg.ClientCursor(connection.connection).mogrify(sql, params)
    return sql.strip().rstrip(";")

"""Schemas of one state: the first is migrated by Django and recorded, the others follow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from django.apps import apps as global_apps
from django.db import DatabaseError, OperationalError, connections
from django.db.migrations.loader import MigrationLoader
from django.db.models.signals import post_migrate, pre_migrate
from psycopg import errors

from appschema.conf import get_config
from appschema.context import schema_context
from appschema.fleet.executor import PlacedExecutor, Progress
from appschema.fleet.know.entries import RecordSet
from appschema.fleet.know.ledger import State
from appschema.fleet.plan import Request, SchemaPlan, find_squashed, plan_schema
from appschema.fleet.receivers import others_receive, send_placed
from appschema.fleet.records import KnownRecords, Records
from appschema.fleet.result import DJANGO, REPLAYED, Result
from appschema.placement import get_placement

from .direct import DirectExecutor, run_directly
from .made_rows import OF_DJANGO, RENAMES, MadeRows, find_made_rows
from .recording import Recording
from .replay import Replay, sqlstate


@dataclass(frozen=True)
class Options:
    """How a fleet is migrated."""

    jobs: int = 1
    lock_timeout: float = 1.0
    """Seconds for which a statement waits for a lock that somebody else holds."""
    retries: int = 5
    """How often a schema is tried again when others hold its locks, or a connection is lost."""
    verifies: bool = True
    accepts_drift: bool = False
    max_failures: int | None = None
    """After how many failures no other schema is begun; None: however many."""


class Group:
    """The schemas of one state, with one plan for all of them."""

    def __init__(
        self,
        using: str,
        request: Request,
        options: Options,
        state: State,
        records: frozenset[tuple[str, str]],
        shared: Records,
        stdout: Any,
    ) -> None:
        self._using = using
        self._request = request
        self._options = options
        self.state = state
        self._records = records
        self._known = KnownRecords(records, shared)
        self._shared = shared
        self._stdout = stdout
        self._placement = get_placement()
        self._recording: Recording | None = None
        self._rows: MadeRows | None = None
        self.notes: list[str] = []
        """Why some operations are not replayed."""

    def plan(self, schema_name: str) -> SchemaPlan:
        """Return what is to be done, for any of the schemas. Asks no database."""
        return self._plan(schema_name, self._loader())

    def _plan(self, schema_name: str, loader: MigrationLoader) -> SchemaPlan:
        loader.check_consistent_history(self._known)  # type: ignore[arg-type]
        connection = connections[self._using]
        executor = PlacedExecutor(connection, self._placement, schema_name, loader=loader)
        return plan_schema(executor, self._request, schema_name, self._placement, self._shared)

    def _loader(self) -> MigrationLoader:
        # Each run mutates the migrations that it plans.
        return MigrationLoader(self._known)  # type: ignore[arg-type]

    def find_work(self, schema_name: str) -> Work:
        """Return what is to be done in the schemas of this state."""
        loader = self._loader()
        plan = self._plan(schema_name, loader)
        squashed = find_squashed(loader, self._placement, self._records)
        if plan.steps or squashed or self.state.under_way:
            return Work(plan, is_structural=True)
        if self._request.app_label is None and not self._request.fake:
            with schema_context(schema_name):
                self._rows = find_made_rows(global_apps, self._placement, self._using)
            if self._rows.digest != self.state.rows or get_config().post_migrate:
                return Work(plan, is_structural=False)
        return Work(None)

    def has_record(self) -> bool:
        """Tell whether a first schema has been migrated, which others can follow."""
        return self._recording is not None

    def run_first(self, schema_name: str, *, progress: Progress | None) -> Result:
        """Migrate a schema through Django, and record it. Raises what goes wrong."""
        recording, self._rows = self._run_directly(schema_name, progress=progress)
        self._recording = recording
        self.notes = [
            f"{track.migration}: {reason}" for track in recording.tracks for reason in track.reasons
        ]
        return Result(schema_name, recording.names, how=DJANGO)

    def follow(self, schema_name: str) -> Result:
        """Migrate a schema as the first was. Raises what goes wrong."""
        assert self._recording is not None
        how = REPLAYED
        if not self._is_routed_alike(schema_name):
            how = self._go_alone(schema_name, "a database router answers otherwise in it")
        else:
            try:
                self._replay.run(schema_name)
            except DatabaseError as error:
                if sqlstate(error) in PASSING | FINAL:
                    raise
                how = self._go_alone(schema_name, f"what was recorded fails in it: {error}")
        return Result(schema_name, self._recording.names, how=how)

    def run_alone(self, schema_name: str) -> Result:
        """Migrate a schema through Django, for itself only. Raises what goes wrong."""
        recording, _ = self._run_directly(schema_name)
        how = f"{DJANGO}: a run before was interrupted, or its state had changed"
        return Result(schema_name, recording.names, how=how)

    def make_rows(self, schema_name: str) -> Result:
        """Make rows that are missing, where there are no migrations to run."""
        assert self._rows is not None
        Replay(
            self._using,
            Recording(records=RecordSet(self.state.applied)),
            self._rows,
            has_rows=self._rows.digest == self.state.rows,
            lock_timeout=self._options.lock_timeout,
            verifies=False,
            accepts_drift=False,
            send=self._send_to_named if get_config().post_migrate else None,
        ).run(schema_name)
        return Result(schema_name, how=REPLAYED)

    def _run_directly(
        self,
        schema_name: str,
        *,
        progress: Progress | None = None,
        like: Recording | None = None,
    ) -> tuple[Recording, MadeRows]:
        run = partial(self._run_once, schema_name, progress, like)
        try:
            return run(is_apart=False)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.UnsafeNewEnumValueUsage):
                raise
        # PostgreSQL before 17 wants a new value of an enum committed before it is used.
        return run(is_apart=True)

    def _run_once(
        self,
        schema_name: str,
        progress: Progress | None,
        like: Recording | None,
        *,
        is_apart: bool,
    ) -> tuple[Recording, MadeRows]:
        executor = DirectExecutor(
            connections[self._using],
            self._placement,
            schema_name,
            progress,
            self._loader(),
            self.state.under_way,
            self._options.lock_timeout,
            is_apart=is_apart,
            accepts_drift=self._options.accepts_drift,
        )
        plan = plan_schema(executor, self._request, schema_name, self._placement, self._shared)
        send = partial(self._send, plan=list(plan.steps))
        return run_directly(executor, self._request, plan, send, like)

    def _send(self, signal: Any, **arguments: Any) -> None:
        send_placed(
            signal,
            self._placement,
            public=False,
            verbosity=self._request.verbosity,
            interactive=self._request.interactive,
            using=self._using,
            stdout=self._stdout,
            **arguments,
        )

    def _send_to_named(self, signal: Any) -> None:
        if signal is post_migrate:
            named = frozenset(get_config().post_migrate)
            self._send(signal, only=named, apps=global_apps, plan=[])

    @cached_property
    def _replay(self) -> Replay:
        assert self._recording is not None
        assert self._rows is not None
        return Replay(
            self._using,
            self._recording,
            self._rows,
            has_rows=self._rows.digest == self.state.rows,
            lock_timeout=self._options.lock_timeout,
            verifies=self._options.verifies,
            accepts_drift=self._options.accepts_drift,
            send=self._sender,
        )

    @cached_property
    def _sender(self) -> Callable[..., None] | None:
        """Return what sends the signals to receivers of others, if there are any."""
        recording = self._recording
        assert recording is not None
        if not (
            others_receive(pre_migrate, self._placement, RENAMES)
            or others_receive(post_migrate, self._placement, OF_DJANGO)
        ):
            return None

        def send(signal: Any) -> None:
            before = signal is pre_migrate
            self._send(
                signal,
                without=RENAMES if before else OF_DJANGO,
                apps=recording.apps_before if before else recording.apps_after,
                # Whoever puts operations into it has done so for the first schema.
                plan=recording.copied_plan(),
            )

        return send

    def _is_routed_alike(self, schema_name: str) -> bool:
        assert self._recording is not None
        with schema_context(schema_name):
            return all(each.is_answered_alike() for each in self._recording.asked)

    def _go_alone(self, schema_name: str, reason: str) -> str:
        self._run_directly(schema_name, like=self._recording)
        return f"{DJANGO}: {reason}"


@dataclass(frozen=True)
class Work:
    """What is to be done in the schemas of a state: nothing if there is no plan."""

    plan: SchemaPlan | None
    is_structural: bool = False
    """False: only rows are to be made."""


FINAL = frozenset({"42P01", "3F000"})
"""What Django could not do better: a table that is missing could be looked for in public."""
PASSING = frozenset({"55P03", "40P01", "40001", "57P01", "57P02", "57P03"})
"""What may be over the next time: locks of others, deadlocks, a server that restarts."""

"""Django's records of migrations, as they hold for a schema.

``public`` and every schema have a table django_migrations, each with the records of the apps
that are placed there. Django's loader, though, asks one set of records about all apps, and
raises InconsistentMigrationHistory for a migration whose dependency it does not find. So what
is placed elsewhere counts as it stands there: a schema adds public's records of the shared
apps, and public takes the isolated apps, which are none of its business, for applied.

Only as far as the history stays consistent: a migration that is placed elsewhere and depends
on one that is placed, but not yet applied, here does not count yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, wraps
from typing import Any

from django.db import transaction
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from appschema.backends.connection import end_users_path
from appschema.context import current_schema, schema_context
from appschema.names import PUBLIC
from appschema.placement import Placement, get_placement
from appschema.router import is_ours

from .know.entries import is_held, write_entry

Key = tuple[str, str]
Records = dict[Key, Any]

_original = MigrationRecorder.applied_migrations


def place_records() -> None:
    """Make ``MigrationRecorder.applied_migrations`` answer by placement, for our databases."""

    @wraps(_original)
    def applied_migrations(self: MigrationRecorder) -> Records:
        if isinstance(self.connection, KnownRecords):
            return self.connection.answer()
        placement = get_placement()
        if not (placement.isolated or placement.both) or not is_ours(self.connection):
            return _original(self)
        public = current_schema() in (None, PUBLIC)
        shared = {} if public else public_records(self)
        return _by_placement(_original(self), shared, placement, public=public)

    MigrationRecorder.applied_migrations = applied_migrations  # type: ignore[method-assign]


def note_records() -> None:
    """Make Django's recorder write the ledger's entry too, in one transaction with the record."""
    for method in ("record_applied", "record_unapplied"):
        setattr(MigrationRecorder, method, _noting(getattr(MigrationRecorder, method)))


def _noting(record: Callable[..., None]) -> Callable[..., None]:
    @wraps(record)
    def noting(self: MigrationRecorder, app: str, name: str) -> None:
        schema_name = current_schema()
        if not is_ours(self.connection):
            record(self, app, name)
            return
        end_users_path(self.connection)
        if schema_name in (None, PUBLIC) or is_held():
            record(self, app, name)
            return
        using = self.connection.alias
        with transaction.atomic(using=using):
            record(self, app, name)
            write_entry(str(schema_name), using=using)

    return noting


class KnownRecords:
    """Stands for a connection where the records of a schema are known already.

    Django's loader takes it, and asks no database.
    """

    def __init__(self, own: Iterable[Key], shared: Records) -> None:
        self._own = dict.fromkeys(own)
        self._shared = shared

    def answer(self) -> Records:
        """Return what the recorder would, inside the schema."""
        # Whoever asks may change it, and asks several times.
        return dict(self._answer)

    @cached_property
    def _answer(self) -> Records:
        return _by_placement(self._own, self._shared, get_placement(), public=False)


def _by_placement(
    records: Records, shared: Records, placement: Placement, *, public: bool
) -> Records:
    """Return the records of what is placed here, and of what counts as applied beside it."""
    own = {key: record for key, record in records.items() if placement.holds(key[0], public=public)}
    history = _History(MigrationLoader(None, ignore_no_migrations=True), own, placement)
    elsewhere = history.isolated_beside() if public else history.shared_beside(shared)
    return {**elsewhere, **own}


def public_records(recorder: MigrationRecorder) -> Records:
    """Return public's records of the shared apps."""
    shared = get_placement().shared
    with schema_context(PUBLIC):
        records = _original(MigrationRecorder(recorder.connection))
    return {key: record for key, record in records.items() if key[0] in shared}


class _History:
    """The records of one schema among the migrations that there are on disk."""

    def __init__(self, loader: MigrationLoader, own: Records, placement: Placement) -> None:
        self._graph = loader.graph
        self._own = own
        self._placement = placement
        self._disk: dict[Key, Migration] = loader.disk_migrations
        # Migrations that a squashed one replaces are not in the graph; it stands for them.
        self._replaced_by = {
            tuple(replaced): key
            for key, migration in loader.replacements.items()
            for replaced in migration.replaces
        }

    def isolated_beside(self) -> Records:
        """Return the isolated apps' migrations that count as applied beside public's records."""
        isolated = self._placement.isolated
        return {
            key: migration
            for key, migration in self._disk.items()
            if key[0] in isolated and self._is_consistent(key, self._placement.in_public)
        }

    def shared_beside(self, records: Records) -> Records:
        """Return the shared apps' records that count beside those of a schema."""
        return {
            key: record
            for key, record in records.items()
            if self._is_consistent(key, self._placement.in_schemas)
        }

    def _is_consistent(self, key: Key, is_here: Callable[[str], bool]) -> bool:
        """Tell whether all migrations before *key* that are placed here are applied here."""
        return all(
            self._is_applied(ancestor) for ancestor in self._before(key) if is_here(ancestor[0])
        )

    def _before(self, key: Key) -> Iterable[Key]:
        while key not in self._graph.nodes and key in self._replaced_by:
            key = self._replaced_by[key]
        return self._graph.forwards_plan(key) if key in self._graph.nodes else ()

    def _is_applied(self, key: Key) -> bool:
        if key in self._own:
            return True
        replaces = self._disk[key].replaces if key in self._disk else ()
        return bool(replaces) and all(self._is_applied((app, name)) for app, name in replaces)

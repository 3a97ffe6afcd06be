"""Django's executor of migrations, for what is placed in one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from appschema.names import PUBLIC
from appschema.placement import Placement

Progress = Callable[..., None]


class PlacedExecutor(MigrationExecutor):
    """Django's executor for the schema that is active when it is made.

    Its states hold the models of the apps that have tables there: in public an isolated app
    counts as applied, but its models may refer to shared ones that are still to be made.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        placement: Placement,
        schema_name: str,
        progress: Progress | None = None,
        loader: MigrationLoader | None = None,
    ) -> None:
        if loader is None:
            super().__init__(connection, progress)
        else:
            # Django's own would read what is applied from the database.
            self.connection, self.loader = connection, loader
            self.recorder, self.progress_callback = MigrationRecorder(connection), progress
        self.placement = placement
        self.public = schema_name == PUBLIC
        self.unmigrated_here = {
            label
            for label in self.loader.unmigrated_apps
            if placement.holds(label, public=self.public)
        }

    def apply_migration(
        self, state: Any, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> Any:
        if not self.placement.holds(migration.app_label, public=self.public):
            return migration.mutate_state(state, preserve=False)
        return super().apply_migration(state, migration, fake=fake, fake_initial=fake_initial)

    def check_replacements(self) -> None:
        """Record squashed migrations as applied, of the apps that are placed here."""
        replacements = self.loader.replacements
        self.loader.replacements = {
            key: each
            for key, each in replacements.items()
            if self.placement.holds(key[0], public=self.public)
        }
        try:
            super().check_replacements()
        finally:
            self.loader.replacements = replacements

    def applied_state(self) -> ProjectState:
        """Return the state of the models before anything is migrated."""
        create: Callable[..., ProjectState] = self._create_project_state  # type: ignore[attr-defined]
        return create(with_applied_migrations=True)

    @contextmanager
    def placed_states(self) -> Iterator[None]:
        """Make project states of what has tables here."""
        loader = self.loader
        applied, unmigrated = loader.applied_migrations, loader.unmigrated_apps
        if self.public:
            loader.applied_migrations = {
                key: each for key, each in applied.items() if self.placement.in_public(key[0])
            }
            loader.unmigrated_apps = self.unmigrated_here
        try:
            yield
        finally:
            loader.applied_migrations, loader.unmigrated_apps = applied, unmigrated

"""Run a plan in one schema: what Django's migrate does for a database."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    NotInTransactionMixin,
    RemoveIndexConcurrently,
)
from django.db import OperationalError, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.module_loading import module_has_submodule
from psycopg import errors

from appschema.context import schema_context
from appschema.exceptions import MigrationError
from appschema.names import PUBLIC
from appschema.placement import Placement, get_placement, get_tables
from appschema.router import reaching_shared_tables

from .plan import Request, SchemaPlan, plan_schema
from .receivers import send_placed
from .records import public_records

Progress = Callable[..., None]
Sync = Callable[[BaseDatabaseWrapper, set[str]], None]

_CONCURRENTLY = re.compile(r"\b(index)\s+concurrently\b", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What became of one schema."""

    schema_name: str
    applied: tuple[str, ...] = ()
    error: Exception | None = None


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
    ) -> None:
        super().__init__(connection, progress)
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


class NewSchemaExecutor(PlacedExecutor):
    """Runs all migrations of a new, empty schema inside one transaction.

    Nobody reads a table that is not committed, so what would be done CONCURRENTLY is done
    plainly. What Django's commit between two migrations would fire is fired.
    """

    def apply_migration(
        self, state: Any, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> Any:
        if not self.placement.holds(migration.app_label, public=self.public):
            return super().apply_migration(state, migration)
        plain = copy.copy(migration)
        # No savepoint of its own: PostgreSQL 17 lets a value that is added to an enum be used at once
        # only if the type was made under the same one.
        plain.atomic = False  # type: ignore[misc]
        plain.operations = [_plain_operation(each) for each in migration.operations]  # type: ignore[misc]
        try:
            state = super().apply_migration(state, plain, fake=fake, fake_initial=fake_initial)
        except OperationalError as error:
            if isinstance(error.__cause__, errors.UnsafeNewEnumValueUsage):
                raise MigrationError(
                    f"The migration {migration} uses a value that an earlier one has added to an enum."
                    " PostgreSQL before 17 wants that committed first, and a new schema is made in one"
                    f" transaction. Upgrade the server, or name {migration.app_label!r} in"
                    " APPSCHEMA_SHARED_APPS."
                ) from error
            raise
        self.connection.check_constraints()
        return state


def _plain_operation(operation: Operation) -> Operation:
    if isinstance(operation, AddIndexConcurrently):
        return migrations.AddIndex(operation.model_name, operation.index)
    if isinstance(operation, RemoveIndexConcurrently):
        return migrations.RemoveIndex(operation.model_name, operation.name)
    if isinstance(operation, NotInTransactionMixin):
        raise MigrationError(
            f"The operation {operation!r} runs outside a transaction only, and a new schema is made"
            " in one. Replace it, or squash the migration that holds it."
        )
    if isinstance(operation, migrations.RunSQL):
        plain = copy.copy(operation)
        plain.sql = _plain_sql(operation.sql)
        return plain
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        separate = copy.copy(operation)
        separate.database_operations = [_plain_operation(x) for x in operation.database_operations]
        return separate
    return operation


def _plain_sql(sql: Any) -> Any:
    if isinstance(sql, str):
        return _CONCURRENTLY.sub(r"\1", sql)
    if isinstance(sql, list | tuple):
        return [
            (_plain_sql(each[0]), *each[1:]) if isinstance(each, list | tuple) else _plain_sql(each)
            for each in sql
        ]
    return sql


def load_receivers() -> None:
    """Import each app's ``management`` module, where apps connect to pre_ and post_migrate."""
    for app_config in apps.get_app_configs():
        if app_config.module and module_has_submodule(app_config.module, "management"):
            import_module(".management", app_config.name)


def refuse_misplaced_tables(connection: BaseDatabaseWrapper) -> None:
    """Raise ``MigrationError`` if tables of isolated apps stand in public.

    A schema that lacks such a table would read public's, where nobody looks for a customer's
    rows.
    """
    managed = {
        table
        for table, model in get_tables().isolated.items()
        if model._meta.can_migrate(connection)
    }
    with schema_context(PUBLIC), connection.cursor() as cursor:
        found = sorted(managed.intersection(connection.introspection.table_names(cursor)))
    if found:
        named = ", ".join(found[:10]) + (", ..." if len(found) > 10 else "")
        raise MigrationError(
            f"Tables of isolated apps stand in public: {named}. A schema that lacks one of them would"
            " read public's. Move them into a schema (ALTER TABLE public.NAME SET SCHEMA ...), drop"
            " them, or name their apps in APPSCHEMA_SHARED_APPS or APPSCHEMA_BOTH_APPS."
        )


def make_plan(connection: BaseDatabaseWrapper, request: Request, schema_name: str) -> SchemaPlan:
    """Return what ``migrate`` would do in one schema. Raises ``SchemaMissing``."""
    with schema_context(schema_name):
        return _plan(PlacedExecutor(connection, get_placement(), schema_name), request, schema_name)


def _plan(executor: PlacedExecutor, request: Request, schema_name: str) -> SchemaPlan:
    executor.loader.check_consistent_history(executor.connection)
    shared = {} if executor.public else public_records(executor.recorder)
    return plan_schema(executor, request, schema_name, executor.placement, shared)


def migrate_schema(
    connection: BaseDatabaseWrapper,
    request: Request,
    schema_name: str,
    *,
    progress: Progress | None = None,
    sync: Sync | None = None,
    kind: type[PlacedExecutor] = PlacedExecutor,
    stdout: Any = None,
) -> Result:
    """Migrate one schema, or public, and return what was applied. Raises what goes wrong.

    ``sync`` makes the tables of apps without migrations, if the request asks for it.
    """
    with schema_context(schema_name):
        executor = kind(connection, get_placement(), schema_name, progress)
        return _run(executor, request, _plan(executor, request, schema_name), sync, stdout)


def _run(
    executor: PlacedExecutor,
    request: Request,
    plan: SchemaPlan,
    sync: Sync | None,
    stdout: Any,
) -> Result:
    connection, steps = executor.connection, list(plan.steps)
    signal_arguments = {
        "verbosity": request.verbosity,
        "interactive": request.interactive,
        "using": connection.alias,
        "stdout": stdout,
        "plan": steps,
    }
    with executor.placed_states():
        state = executor.applied_state()
        send_placed(
            pre_migrate,
            executor.placement,
            public=executor.public,
            apps=state.apps,
            **signal_arguments,
        )
        to_sync = executor.unmigrated_here
        if request.app_label:
            to_sync = to_sync & {request.app_label}
        if request.run_syncdb and sync and to_sync:
            sync(connection, to_sync)
        # Python in a migration may ask for rows of shared models: of its permissions, say.
        with reaching_shared_tables():
            state = executor.migrate(
                list(plan.targets),
                plan=[*steps, *plan.beside],
                state=state.clone(),
                fake=request.fake,
                fake_initial=request.fake_initial,
            )
    _render_real_apps(state)
    with reaching_shared_tables():
        send_placed(
            post_migrate,
            executor.placement,
            public=executor.public,
            apps=state.apps,
            **signal_arguments,
        )
    return Result(plan.schema_name, tuple(str(migration) for migration, _ in steps))


def _render_real_apps(state: ProjectState) -> None:
    """Render the models of apps without migrations again, now with their relations."""
    state.clear_delayed_apps_cache()
    rendered = state.apps
    with rendered.bulk_update():
        keys = []
        for model_state in rendered.real_models:
            key = (model_state.app_label, model_state.name_lower)
            keys.append(key)
            rendered.unregister_model(*key)
    rendered.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])


def prune_records(
    connection: BaseDatabaseWrapper, app_label: str, schema_name: str
) -> tuple[list[str], list[str]]:
    """Delete the records of migrations that the app no longer has, in one schema.

    Returns the names that were pruned, and those of squashed migrations that forbid it.
    """
    with schema_context(schema_name):
        executor = PlacedExecutor(connection, get_placement(), schema_name)
        loader, recorder = executor.loader, MigrationRecorder(connection)
        if not executor.placement.holds(app_label, public=executor.public):
            return [], []
        gone = sorted(
            key
            for key in set(loader.applied_migrations) - set(loader.disk_migrations)
            if key[0] == app_label
        )
        blocking = [
            f"{key[0]}.{key[1]}"
            for key, migration in loader.replacements.items()
            if any(tuple(replaced) in gone for replaced in migration.replaces)
        ]
        if not blocking:
            for app, name in gone:
                recorder.record_unapplied(app, name)
        return [f"{app}.{name}" for app, name in gone if not blocking], blocking

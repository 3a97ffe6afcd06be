"""Records of migrations that an app no longer has."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from appschema.context import as_owner, schema_context
from appschema.placement import get_placement

from .executor import PlacedExecutor


def prune_records(
    connection: BaseDatabaseWrapper, app_label: str, schema_name: str
) -> tuple[list[str], list[str]]:
    """Delete the records of migrations that the app no longer has, in one schema.

    Returns the names that were pruned, and those of squashed migrations that forbid it.
    """
    with schema_context(schema_name), as_owner():
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

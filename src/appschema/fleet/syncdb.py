"""The tables of apps without migrations."""

from __future__ import annotations

from django.apps import apps
from django.db import router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def create_unmigrated(connection: BaseDatabaseWrapper, labels: set[str]) -> None:
    """Create the tables of the apps *labels* that are missing in the current schema."""
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
    with transaction.atomic(using=connection.alias), connection.schema_editor() as editor:
        for app_config in apps.get_app_configs():
            if app_config.label not in labels:
                continue
            for model in router.get_migratable_models(
                app_config, connection.alias, include_auto_created=False
            ):
                options = model._meta
                if options.can_migrate(connection) and options.db_table not in present:
                    editor.create_model(model)

"""Migrations in a new, empty schema: all of them plainly, inside one transaction."""

from __future__ import annotations

import copy
import re
from typing import Any

from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    NotInTransactionMixin,
    RemoveIndexConcurrently,
)
from django.db import OperationalError, migrations
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from psycopg import errors

from appschema.exceptions import MigrationError

from .executor import PlacedExecutor

_CONCURRENTLY = re.compile(r"\b(index)\s+concurrently\b", re.IGNORECASE)


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
            with self.connection.execute_wrapper(_execute_plainly):
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
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        separate = copy.copy(operation)
        separate.database_operations = [_plain_operation(x) for x in operation.database_operations]
        return separate
    return operation


def _execute_plainly(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Send what RunSQL, and Python with a cursor of its own, would do CONCURRENTLY."""
    plain = _CONCURRENTLY.sub(r"\1", sql) if isinstance(sql, str) else sql
    return execute(plain, params, many, context)

"""A schema that is made by running all migrations: the template itself, or each one without it."""

from __future__ import annotations

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from appschema.context import schema_context
from appschema.fleet.execute import migrate_schema
from appschema.fleet.follow.made_rows import find_made_rows
from appschema.fleet.know.entries import held, write_entry
from appschema.fleet.new_schema import NewSchemaExecutor
from appschema.fleet.plan import Request
from appschema.fleet.receivers import load_receivers
from appschema.fleet.syncdb import create_unmigrated
from appschema.names import PUBLIC, quote_identifier
from appschema.placement import get_placement
from appschema.roles.database import DatabaseRoles

from .fixtures import load_fixtures
from .register import making_schema


def make_by_migrations(name: str, *, with_role: bool = True, using: str) -> None:
    """Make the schema *name* with all tables and the rows of fixtures.

    Expects the caller's transaction, as the owner. Raises ``SchemaExists``.
    """
    connection = connections[using]
    with schema_context(PUBLIC):
        roles = DatabaseRoles(connection)
        needs_role = with_role and roles.are_wanted()
        if needs_role:
            roles.refuse_without_right()
        _create_schema(connection, name)
        if needs_role:
            # Before the tables are made: they come into the world with its rights.
            roles.make_that_of(name, is_new=True)
    migrate_new(name, using=using)
    load_fixtures(name, using=using)


def migrate_new(name: str, *, using: str) -> tuple[str, ...]:
    """Run in a schema that is not committed yet what it lacks, and return what was applied."""
    load_receivers()
    with held():
        result = migrate_schema(
            connections[using],
            Request(run_syncdb=True, verbosity=0),
            name,
            sync=create_unmigrated,
            kind=NewSchemaExecutor,
        )
    with schema_context(name):
        rows = find_made_rows(apps, get_placement(), using)
    write_entry(name, using=using, rows=rows.digest)
    return result.applied


def _create_schema(connection: BaseDatabaseWrapper, name: str) -> None:
    """Create the schema and, in the same statement, the table that marks it as provisioned."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(MigrationRecorder.Migration)
    table = " ".join(editor.collected_sql).rstrip(";")
    with making_schema(name), connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {quote_identifier(name)} {table}")

"""Make a customer's schema: row, schema and tables in one transaction."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from psycopg import errors

from appschema.backends.roles import DatabaseRoles
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaExists
from appschema.fleet.execute import migrate_schema
from appschema.fleet.new_schema import NewSchemaExecutor
from appschema.fleet.plan import Request
from appschema.fleet.receivers import load_receivers
from appschema.fleet.syncdb import create_unmigrated
from appschema.models import Schema
from appschema.names import PUBLIC, normalise_public_name, quote_identifier, validate_schema_name
from appschema.signals import schema_created

from .register import refuse_name_in_paths, refuse_name_of_role, register, tell_on_commit


def new_schema(
    name: str,
    public_name: str,
    *,
    is_active: bool = True,
    reuse_name: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> Schema:
    """Create the schema *name* with all tables, reached by *public_name*, and return its row.

    All of it commits in one transaction, or with the caller's if one is open; the signal
    ``schema_created`` is sent after that. Raises ``InvalidSchemaName``, ``InvalidPublicName``,
    and ``SchemaExists`` when a row, a schema in the database or the public name is there
    already; an existing schema is never taken over. A name that another schema has borne is
    refused with ``NameRetired``, unless ``reuse_name`` says that its files, cache entries and
    cookies are gone. On any error nothing is changed.
    """
    validate_schema_name(name)
    refuse_name_in_paths(name)
    public_name = normalise_public_name(public_name)
    connection = connections[using]
    # Not the commit: receivers of the signal are not to run as the owner.
    with transaction.atomic(using=using):
        with as_owner():
            with schema_context(PUBLIC):
                refuse_name_of_role(connection, name)
                row = register(
                    name, public_name, is_active=is_active, reuse_name=reuse_name, using=using
                )
            _provision(connection, name)
        tell_on_commit(schema_created, schema_name=name, using=using)
    return row


def _provision(connection: BaseDatabaseWrapper, name: str) -> None:
    with schema_context(PUBLIC):
        roles = DatabaseRoles(connection)
        needs_role = roles.are_wanted()
        if needs_role:
            roles.refuse_without_right()
        _create_schema(connection, name)
        if needs_role:
            # Before the tables are made: they come into the world with its rights.
            roles.make_that_of(name, is_new=True)
    load_receivers()
    migrate_schema(
        connection,
        Request(run_syncdb=True, verbosity=0),
        name,
        sync=create_unmigrated,
        kind=NewSchemaExecutor,
    )


def _create_schema(connection: BaseDatabaseWrapper, name: str) -> None:
    """Create the schema and, in the same statement, the table that marks it as provisioned."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(MigrationRecorder.Migration)
    table = " ".join(editor.collected_sql).rstrip(";")
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {quote_identifier(name)} {table}")
    except Exception as error:
        if isinstance(error.__cause__, errors.DuplicateSchema):
            raise SchemaExists(
                f"The database has a schema {name!r} already, which is not registered. Nothing of it"
                " was touched. Choose another name; or, if all rows in it are this customer's, take it"
                f" over with 'manage.py createschema {name} PUBLIC_NAME --adopt'."
            ) from error
        raise

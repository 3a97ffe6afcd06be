"""Make a customer's schema, and drop it: row, schema and tables in one transaction.

Safe in a web request: neither INSTALLED_APPS nor the app registry is touched, and nothing of
a schema is seen by anybody before all of it is committed.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from psycopg import errors

from .conf import get_config
from .context import as_owner, schema_context
from .deletion import delete_everywhere
from .exceptions import InvalidSchemaName, SchemaExists, UnknownSchema
from .fleet.execute import migrate_schema
from .fleet.new_schema import NewSchemaExecutor
from .fleet.plan import Request
from .fleet.receivers import load_receivers
from .fleet.syncdb import create_unmigrated
from .models import PublicName, Schema
from .names import PUBLIC, normalise_public_name, quote_identifier, validate_schema_name
from .roles.database import DatabaseRoles
from .signals import schema_created, schema_dropped


def new_schema(
    name: str, public_name: str, *, is_active: bool = True, using: str = DEFAULT_DB_ALIAS
) -> Schema:
    """Create the schema *name* with all tables, reached by *public_name*, and return its row.

    All of it commits in one transaction, or with the caller's if one is open; the signal
    ``schema_created`` is sent after that. Raises ``InvalidSchemaName``, ``InvalidPublicName``,
    and ``SchemaExists`` when a row, a schema in the database or the public name is there
    already; an existing schema is never taken over. On any error nothing is changed.
    """
    validate_schema_name(name)
    _refuse_name_in_paths(name)
    public_name = normalise_public_name(public_name)
    connection = connections[using]
    # Not the commit: receivers of the signal are not to run as the owner.
    with transaction.atomic(using=using):
        with as_owner():
            row = _provision(connection, name, public_name, is_active=is_active)
        transaction.on_commit(
            lambda: _send_all(schema_created, name, using), using=using, robust=True
        )
    return row


def _provision(
    connection: BaseDatabaseWrapper, name: str, public_name: str, *, is_active: bool
) -> Schema:
    with schema_context(PUBLIC):
        _refuse_name_of_role(connection, name)
        row = _register(name, public_name, is_active, connection.alias)
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
    return row


def drop_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop the schema *name* with all its rows, and its registry row, in one transaction.

    Waits for transactions that are using the schema. Raises ``UnknownSchema`` for a name that
    is not registered. ``schema_dropped`` is sent after the commit.
    """
    validate_schema_name(name)
    with transaction.atomic(using=using), schema_context(PUBLIC):
        row = Schema.objects.using(using).filter(name=name).first()
        if row is None:
            raise UnknownSchema(name)
        with as_owner():
            with connections[using].cursor() as cursor:
                cursor.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)} CASCADE")
            DatabaseRoles(connections[using]).drop_that_of(name)
            # Rows of other schemas may refer to it.
            delete_everywhere(row, using=using)
        transaction.on_commit(
            lambda: _send_all(schema_dropped, name, using), using=using, robust=True
        )


def _refuse_name_in_paths(name: str) -> None:
    """Refuse a name that is in the search_path of other schemas."""
    config = get_config()
    if name in (*config.default_path, config.extensions_schema):
        raise InvalidSchemaName(
            f"The schema name {name!r} stands in APPSCHEMA_DEFAULT_PATH or is"
            " APPSCHEMA_EXTENSIONS_SCHEMA, so that every schema would see its tables. Choose another."
        )


def _refuse_name_of_role(connection: BaseDatabaseWrapper, name: str) -> None:
    """Refuse the name of the role that connects: PostgreSQL's own search_path begins with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s IN (session_user, current_user)", [name])
        (is_role,) = cursor.fetchone()
    if is_role:
        raise InvalidSchemaName(
            f"The schema name {name!r} is that of the database role in use, whose sessions begin in a"
            " schema of that name. Choose another."
        )


def _send_all(signal: object, name: str, using: str) -> None:
    """Let every receiver run; the first that failed is then raised, to be logged by Django."""
    responses = signal.send_robust(sender=Schema, schema_name=name, using=using)  # type: ignore[attr-defined]
    for _, response in responses:
        if isinstance(response, Exception):
            raise response


def _register(name: str, public_name: str, is_active: bool, using: str) -> Schema:
    if Schema.objects.using(using).filter(name=name).exists():
        raise SchemaExists(f"The schema {name!r} is registered already. Choose another name.")
    taken = PublicName.objects.using(using).filter(public_name=public_name).first()
    if taken is not None:
        raise SchemaExists(
            f"The public name {public_name!r} belongs to the schema {taken.schema.name!r} already."
            " Choose another."
        )
    try:
        with transaction.atomic(using=using):
            row = Schema.objects.using(using).create(name=name, is_active=is_active)
            PublicName.objects.using(using).create(
                public_name=public_name, schema=row, is_primary=True
            )
    except IntegrityError as error:
        raise SchemaExists(
            f"The schema {name!r} or the public name {public_name!r} has just been created by"
            " somebody else. Choose another."
        ) from error
    return row


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
                " was touched. Choose another name, or drop it yourself if nobody needs it."
            ) from error
        raise

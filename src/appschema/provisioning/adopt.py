"""Register a schema that is in the database already: one that was restored, or lost its row."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections, transaction
from psycopg import errors

from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaMissing
from appschema.models import Schema
from appschema.names import (
    PUBLIC,
    marker_table,
    validate_schema_name,
)
from appschema.roles.database import DatabaseRoles

from .questions import ask
from .register import ask_for_names, normalise_for_schema, refuse_special_name, register


def adopt_schema(
    name: str,
    public_name: str,
    *,
    is_active: bool = True,
    reuse_name: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> Schema:
    """Register the schema *name* that the database has, with all that is in it, and return its row.

    Whoever is given *public_name* sees the rows that are there: be sure whose they are. The tables
    are not changed; if it lags, ``migrate`` brings it to head. It gets a role if schemas have one.
    No signal is sent, for nothing was created. Raises what ``new_schema`` does, and ``SchemaMissing``
    if there is no such schema, or none with the table django_migrations of Django's records.
    """
    validate_schema_name(name)
    refuse_special_name(name)
    public_name = normalise_for_schema(public_name)
    connection = connections[using]
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        (found,) = ask(using, ask_for_names(name, public_name))
        row = register(
            name, public_name, found, is_active=is_active, reuse_name=reuse_name, using=using
        )
        with connection.cursor() as cursor:
            _refuse_other_than_ours(cursor, name)
        roles = DatabaseRoles(connection)
        if roles.are_wanted():
            roles.refuse_without_right()
            roles.make_that_of(name, is_new=True)
    return row


def _refuse_other_than_ours(cursor: Any, name: str) -> None:
    marker = marker_table(name)
    try:
        # The lock keeps it there until the commit.
        cursor.execute(
            f"LOCK TABLE ONLY {marker} IN ACCESS SHARE MODE; SELECT app, name FROM {marker} LIMIT 0"
        )
    except ProgrammingError as error:
        unknown = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn)
        if isinstance(error.__cause__, unknown):
            raise SchemaMissing(name) from error
        raise

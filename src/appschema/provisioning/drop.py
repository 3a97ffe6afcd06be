"""Drop a customer's schema: row, schema and tables in one transaction."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from appschema.backends.roles import DatabaseRoles
from appschema.context import as_owner, schema_context
from appschema.deletion import delete_everywhere
from appschema.names import PUBLIC, quote_identifier, validate_schema_name
from appschema.signals import schema_dropped

from .register import find_row, tell_on_commit


def drop_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop the schema *name* with all its rows, and its registry row, in one transaction.

    Waits for transactions that are using the schema. Raises ``UnknownSchema`` for a name that
    is not registered. ``schema_dropped`` is sent after the commit.
    """
    validate_schema_name(name)
    with transaction.atomic(using=using), schema_context(PUBLIC):
        row = find_row(name, using=using)
        with as_owner():
            with connections[using].cursor() as cursor:
                cursor.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)} CASCADE")
            DatabaseRoles(connections[using]).drop_that_of(name)
            # Rows of other schemas may refer to it.
            delete_everywhere(row, using=using)
        tell_on_commit(schema_dropped, schema_name=name, using=using)

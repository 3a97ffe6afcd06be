"""Digests of the migrations that a database says are applied: what a template is compared by.

The database's own records count, and not the migrations that this process knows: while a deploy is
under way older code may make schemas too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import ProgrammingError, connections, transaction
from psycopg import errors

from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier


@dataclass(frozen=True)
class Digests:
    """What is applied in a schema, and in public."""

    own: str
    public: str


def read_digests(using: str, schema_name: str) -> Digests | None:
    """Return the digests of *schema_name* and of public; None if there is no such schema."""
    row = _ask(f"SELECT {_digest(schema_name)}, {_digest(PUBLIC)}", using)
    return row and Digests(*row)


def read_own_digest(schema_name: str, *, using: str) -> str | None:
    """Return the digest of *schema_name*; None if there is no such schema."""
    row = _ask(f"SELECT {_digest(schema_name)}", using)
    return row and str(row[0])


def _ask(sql: str, using: str) -> Any:
    try:
        # The transaction goes on without the schema.
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()
    except ProgrammingError as error:
        if isinstance(error.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
            return None
        raise


def _digest(schema_name: str) -> str:
    table = f"{quote_identifier(schema_name)}.{quote_identifier(MARKER_TABLE)}"
    listed = "string_agg(app || '.' || name, E'\\n' ORDER BY app COLLATE \"C\", name COLLATE \"C\")"
    return (
        f"(SELECT encode(sha256(convert_to(coalesce({listed}, ''), 'UTF8')), 'hex') FROM {table})"
    )

"""Which relations a transaction has changed, and which tables its SQL names.

What they are like is hashed, and noted where it differs and is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.catalog import fingerprint_sql
from appschema.context import as_owner
from appschema.fleet.know.entries import table_of
from appschema.models import LedgerEntry
from appschema.names import quote_literal

_NAME = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][\w$]*)')


def touched_relations(connection: BaseDatabaseWrapper, schema_name: str) -> set[str]:
    """Return the schema's tables, views and sequences that the open transaction has made or altered.

    By the locks that it holds: whatever made the change, an operation or a statement of one's own. What
    is dropped is not among them.
    """
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_catalog.pg_locks l"
            " JOIN pg_catalog.pg_class c ON c.oid = l.relation"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %s"
            " WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid()"
            " AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',"
            " 'ExclusiveLock', 'AccessExclusiveLock') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')",
            [schema_name],
        )
        return {name for (name,) in cursor.fetchall()}


def table_names(connection: BaseDatabaseWrapper, schema_name: str) -> frozenset[str]:
    """Return the names of the schema's tables."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c"
            " ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE n.nspname = %s",
            [schema_name],
        )
        return frozenset(name for (name,) in cursor.fetchall())


def named_tables(texts: Iterable[str], tables: frozenset[str]) -> tuple[str, ...]:
    """Return those of *tables* that the SQL names.

    Where one is missing in another schema, its name would lead to a table of public.
    """
    found: set[str] = set()
    for text in texts:
        for quoted, plain in _NAME.findall(text):
            found.add(quoted.replace('""', '"') if quoted else plain.lower())
    return tuple(sorted(tables & found))


def accept_drift_sql(schema_name: str, relations: Sequence[str], wanted: str) -> str:
    """Return a statement that notes what the relations are like, if they are not as *wanted*."""
    found = fingerprint_sql(schema_name, relations)
    return (
        f"UPDATE {table_of(LedgerEntry)} SET drift = coalesce(nullif({found}, {quote_literal(wanted)}),"
        f" '') WHERE schema_name = {quote_literal(schema_name)}"
    )

"""What is written into the ledger: a schema's entry, in the transaction that changes its records.

It comes from the records themselves, or from a schema whose records are known to be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from appschema.backends.connection import send_bare
from appschema.context import as_owner, schema_context
from appschema.models import AppliedSet, LedgerEntry
from appschema.names import PUBLIC, marker_table, quote_identifier, quote_literal

_SCHEMAS_PER_MESSAGE = 100
"""A message locks each table that it reads, and a server's room for locks is limited."""


@dataclass(frozen=True, slots=True)
class RecordSet:
    """A schema's records of migrations, by which those of another are known to be the same."""

    digest: str = ""
    hash: str = ""
    """Takes PostgreSQL less time; means nothing on another server. May be unknown."""


class Difference(Enum):
    """Why the statement of ``settling_entry_sql`` fails: the column that it leaves null."""

    RECORDS = "schema_oid"
    LIKENESS = "rows"


_is_held: ContextVar[bool] = ContextVar("appschema_ledger_held", default=False)


def is_kept(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database has the ledger: one that is to be migrated has not.

    Each connection asks until it is there, and no more.
    """
    connection.ensure_connection()
    session: Any = connection.connection
    if not session.keeps_ledger:
        with schema_context(PUBLIC), as_owner(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table_of(LedgerEntry)])
            (session.keeps_ledger,) = cursor.fetchone()
    return bool(session.keeps_ledger)


def forget_whether_kept(connection: BaseDatabaseWrapper) -> None:
    """Ask again: the tables may have gone with a migration that was undone."""
    session: Any = connection.connection
    if session is not None:
        session.keeps_ledger = False


@contextmanager
def held() -> Iterator[None]:
    """Write no entries inside: who opens this writes one at the end of his transaction."""
    token = _is_held.set(True)
    try:
        yield
    finally:
        _is_held.reset(token)


def is_held() -> bool:
    """Tell whether somebody will write the entry later."""
    return _is_held.get()


def write_entry(schema_name: str, *, using: str, rows: str | None = None) -> None:
    """Write what the schema's records say now, in the transaction that has changed them."""
    connection = connections[using]
    if is_kept(connection):
        with schema_context(PUBLIC), as_owner(), connection.cursor() as cursor:
            cursor.execute(entry_sql(schema_name, rows=rows))


def copy_entry(source: str, schema_name: str, *, using: str) -> None:
    """Write for a copy what is known of the schema that it was copied from."""
    connection = connections[using]
    if is_kept(connection):
        columns = "applied_id, rows, drift"
        with schema_context(PUBLIC), as_owner(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table_of(LedgerEntry)} (schema_name, schema_oid, {columns})"
                f" SELECT n.nspname, n.oid, {columns} FROM pg_catalog.pg_namespace n,"
                f" {table_of(LedgerEntry)} e WHERE n.nspname = %s AND e.schema_name = %s"
                f" ON CONFLICT (schema_name) DO UPDATE SET {_taking('schema_oid', 'applied_id')},"
                f" {_taking('rows', 'drift')}, under_way = NULL",
                [schema_name, source],
            )


def rename_entry_sql(schema_name: str, new_name: str) -> str:
    """Return a statement that lets the entry follow a schema that is renamed."""
    kept = "schema_oid, applied_id, rows, drift, under_way"
    return (
        f"WITH gone AS (DELETE FROM {table_of(LedgerEntry)} WHERE schema_name ="
        f" {quote_literal(schema_name)} RETURNING {kept})"
        f" INSERT INTO {table_of(LedgerEntry)} (schema_name, {kept})"
        f" SELECT {quote_literal(new_name)}, {kept} FROM gone"
        f" ON CONFLICT (schema_name) DO UPDATE SET {_taking(*kept.split(', '))}"
    )


def note_drift(schema_name: str, fingerprint: str, *, using: str) -> None:
    """Note in what a schema differs from the others, which was accepted."""
    with schema_context(PUBLIC), as_owner():
        LedgerEntry.objects.using(using).filter(schema_name=schema_name).update(drift=fingerprint)


def drop_entry(schema_name: str, *, using: str) -> None:
    """Forget a schema that was dropped."""
    if is_kept(connections[using]):
        LedgerEntry.objects.using(using).filter(schema_name=schema_name).delete()


def table_of(model: Any) -> str:
    """Return the model's table in public, quoted."""
    return f"{PUBLIC}.{quote_identifier(model._meta.db_table)}"


def digest_sql(schema_name: str) -> str:
    """Return an SQL expression for the digest of a schema's records."""
    return f"(SELECT {_DIGEST} FROM {marker_table(schema_name)})"


_INSERT = f"INSERT INTO {table_of(LedgerEntry)} AS e (schema_name, schema_oid, applied_id, rows)"
_ORDER = 'ORDER BY app COLLATE "C", name COLLATE "C"'
_DIGEST = (
    "encode(sha256(convert_to(coalesce(string_agg(app || '.' || name, E'\\n' "
    f"{_ORDER}), ''), 'UTF8')), 'hex')"
)


def entry_sql(schema_name: str, *, rows: str | None = None) -> str:
    """Return one statement, without parameters, that writes the entry from the schema's records.

    Rows that are not given stay as they are. Percent signs are not doubled.
    """
    # The set is looked for first: of all who write the same one, only the first is to write.
    return (
        f"WITH own AS MATERIALIZED (SELECT {records_sql(schema_name)}),"
        f" written AS (INSERT INTO {table_of(AppliedSet)} (digest, migrations) SELECT * FROM own"
        f" WHERE NOT EXISTS (SELECT FROM {table_of(AppliedSet)} a WHERE a.digest = own.digest)"
        f" ON CONFLICT DO NOTHING) {_INSERT} SELECT {quote_literal(schema_name)}, {_oid(schema_name)},"
        f" digest, {quote_literal(rows or '')} FROM own {_update(rows)}"
    )


def records_sql(schema_name: str) -> str:
    """Return what follows SELECT to get the digest of a schema's records, and the records."""
    return (
        f"{_DIGEST} AS digest, coalesce(jsonb_agg(app || '.' || name {_ORDER}), '[]') AS migrations"
        f" FROM {marker_table(schema_name)}"
    )


def read_records(cursor: Any, schema_name: str) -> RecordSet:
    """Return the records that a schema has now."""
    cursor.execute(f"SELECT {digest_sql(schema_name)}, {_hash_sql(schema_name)}")
    return RecordSet(*cursor.fetchone())


def _hash_sql(schema_name: str) -> str:
    return (
        "(SELECT coalesce(sum(pg_catalog.hashtextextended(name, pg_catalog.hashtext(app))), 0)::text"
        f" FROM {marker_table(schema_name)})"
    )


def settling_entry_sql(
    schema_name: str, records: RecordSet, *, rows: str, if_alike: str | None = None
) -> str:
    """Return one statement that writes the entry of a schema that has these records.

    It fails if it has others, or if *if_alike*, an SQL expression, is not true: see
    ``what_differs``. The set must be written already.
    """
    # A column that must not be null is, and PostgreSQL tells which. A block of PL/pgSQL could say it in words
    # of ours, but would have all of this parsed twice, in each schema.
    found, wanted = digest_sql(schema_name), records.digest
    if records.hash:
        found, wanted = _hash_sql(schema_name), records.hash
    told = quote_literal(rows)
    if if_alike is not None:
        told = f"CASE WHEN {if_alike} THEN {told} END"
    return (
        f"{_INSERT} SELECT {quote_literal(schema_name)},"
        f" CASE {found} WHEN {quote_literal(wanted)} THEN {_oid(schema_name)} END,"
        f" {quote_literal(records.digest)}, {told} {_update(rows)}"
    )


def what_differs(error: DatabaseError) -> Difference | None:
    """Return why the statement of ``settling_entry_sql`` failed, if it is that which did."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if (
        diagnosis is None
        or diagnosis.sqlstate != errors.NotNullViolation.sqlstate
        or diagnosis.table_name != LedgerEntry._meta.db_table
    ):
        return None
    return Difference(diagnosis.column_name)


def _oid(schema_name: str) -> str:
    return f"{quote_literal(quote_identifier(schema_name))}::regnamespace::oid"


def _update(rows: str | None) -> str:
    kept = ["schema_oid", "applied_id", *(["rows"] if rows is not None else [])]
    return (
        f"ON CONFLICT (schema_name) DO UPDATE SET {_taking(*kept)}, under_way ="
        # What is under way is over when its record is written.
        " CASE WHEN e.applied_id = EXCLUDED.applied_id THEN e.under_way END"
    )


def _taking(*columns: str) -> str:
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)


def some_at_a_time(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the schemas in parts whose records one message may read."""
    for start in range(0, len(names), _SCHEMAS_PER_MESSAGE):
        yield names[start : start + _SCHEMAS_PER_MESSAGE]


def write_entries(connection: BaseDatabaseWrapper, names: Sequence[str]) -> None:
    """Write the entries of many schemas from their records, some at a time."""
    for some in some_at_a_time(names):
        send_bare(connection, ";\n".join(map(entry_sql, some)))

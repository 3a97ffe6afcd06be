"""The ledger: what is applied in each schema, known in ``public``.

Asking thousands of schemas for their records locks thousands of tables. So whoever writes a schema's
records writes its entry in the same transaction, from the records themselves. What the ledger
has no entry for is read where it stands, and written: schemas of older versions, of a restored
database, or that were renamed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
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
from appschema.exceptions import MigrationError
from appschema.models import AppliedSet, LedgerEntry, Schema
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier, quote_literal

Key = tuple[str, str]

SCHEMAS_PER_MESSAGE = 100
"""A message locks each table that it reads, and a server's room for locks is limited."""


@dataclass(frozen=True, slots=True)
class State:
    """All that decides what is to be done in a schema; those of the same one are migrated alike."""

    applied: str
    """Digest of its records."""
    rows: str = ""
    """Digest of the rows that post_migrate has made in it last."""
    drift: str = ""
    under_way: str = ""
    """A migration that was interrupted outside a transaction, with how far it got, as JSON."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A schema and its state; None if the database has no such schema."""

    schema_name: str
    state: State | None


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


class RecordsDiffer(MigrationError):
    """A schema's records are not those by which its migration was planned."""

    def __init__(self, schema_name: str) -> None:
        super().__init__(
            f"The records of migrations in schema {schema_name!r} have changed since this run read the"
            " ledger, and nothing was changed in it. Run 'manage.py migrate --verify'."
        )


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
    entries = _entries(using)
    if entries is not None:
        entries.filter(schema_name=schema_name).delete()


def _entries(using: str) -> Any:
    return LedgerEntry.objects.using(using) if is_kept(connections[using]) else None


def table_of(model: Any) -> str:
    """Return the model's table in public, quoted."""
    return f"{PUBLIC}.{quote_identifier(model._meta.db_table)}"


def digest_sql(schema_name: str) -> str:
    """Return an SQL expression for the digest of a schema's records."""
    return f"(SELECT {_DIGEST} FROM {_marker(schema_name)})"


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
        f"WITH own AS MATERIALIZED (SELECT {_own(schema_name)}),"
        f" written AS (INSERT INTO {table_of(AppliedSet)} (digest, migrations) SELECT * FROM own"
        f" WHERE NOT EXISTS (SELECT FROM {table_of(AppliedSet)} a WHERE a.digest = own.digest)"
        f" ON CONFLICT DO NOTHING) {_INSERT} SELECT {quote_literal(schema_name)}, {_oid(schema_name)},"
        f" digest, {quote_literal(rows or '')} FROM own {_update(rows)}"
    )


def _own(schema_name: str) -> str:
    """Return what follows SELECT to get the digest of a schema's records, and the records."""
    return (
        f"{_DIGEST} AS digest, coalesce(jsonb_agg(app || '.' || name {_ORDER}), '[]') AS migrations"
        f" FROM {_marker(schema_name)}"
    )


def read_records(cursor: Any, schema_name: str) -> RecordSet:
    """Return the records that a schema has now."""
    cursor.execute(f"SELECT {digest_sql(schema_name)}, {_hash_sql(schema_name)}")
    return RecordSet(*cursor.fetchone())


def _hash_sql(schema_name: str) -> str:
    return (
        "(SELECT coalesce(sum(pg_catalog.hashtextextended(name, pg_catalog.hashtext(app))), 0)::text"
        f" FROM {_marker(schema_name)})"
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


def _marker(schema_name: str) -> str:
    return f"{quote_identifier(schema_name)}.{quote_identifier(MARKER_TABLE)}"


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


class Ledger:
    """What is known of the fleet's schemas, read with a fixed number of statements."""

    def __init__(self, standings: list[Standing], sets: dict[str, frozenset[Key]]) -> None:
        self.standings = standings
        self.sets = sets

    def members(self) -> tuple[dict[State, list[str]], list[str]]:
        """Return the schemas of each state, and those that the database does not have."""
        members: dict[State, list[str]] = {}
        missing = []
        for each in self.standings:
            if each.state is None:
                missing.append(each.schema_name)
            else:
                members.setdefault(each.state, []).append(each.schema_name)
        return members, missing

    def applied(self, state: State) -> frozenset[Key]:
        """Return the migrations that are applied in schemas of this state."""
        return self.sets[state.applied]


def read_ledger(
    using: str, names: Sequence[str] | None = None, *, anew: bool = False, writes: bool = True
) -> Ledger:
    """Return the standing of *names* in their order, or of all schemas but those being purged.

    What the ledger does not know is read from the schemas, and written first unless *writes* is false,
    for who only looks; with ``anew`` all is, as records may have been changed behind its back. That
    asks each schema.
    """
    connection = connections[using]
    with schema_context(PUBLIC), as_owner():
        found = _read(connection, names, anew=anew)
        unknown = [name for name, has_records, _ in found if has_records]
        if unknown and writes:
            write_entries(connection, unknown)
            found, unknown = _read(connection, names, anew=anew), []
        seen = _read_unknown(connection, unknown)
        standings = [
            Standing(name, State(seen[name][0]) if name in seen else state)
            for name, _, state in found
        ]
        return Ledger(standings, _read_sets(connection, standings) | dict(seen.values()))


def _read_unknown(
    connection: BaseDatabaseWrapper, names: Sequence[str]
) -> dict[str, tuple[str, frozenset[Key]]]:
    """Return the digest and the records of schemas, from themselves; nothing is written."""
    seen = {}
    for start in range(0, len(names), SCHEMAS_PER_MESSAGE):
        some = names[start:][:SCHEMAS_PER_MESSAGE]
        each = (f"SELECT {quote_literal(name)}::text, {_own(name)}" for name in some)
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(each))
            for name, digest, migrations in cursor.fetchall():
                seen[name] = digest, frozenset(map(_key, json.loads(migrations)))
    return seen


def write_entries(connection: BaseDatabaseWrapper, names: Sequence[str]) -> None:
    """Write the entries of many schemas from their records, some at a time."""
    for start in range(0, len(names), SCHEMAS_PER_MESSAGE):
        some = names[start:][:SCHEMAS_PER_MESSAGE]
        send_bare(connection, ";\n".join(map(entry_sql, some)))


def _read(
    connection: BaseDatabaseWrapper, names: Sequence[str] | None, *, anew: bool = False
) -> list[tuple[str, bool, State | None]]:
    """Return the names, whether there are records that the ledger does not know, and the state."""
    entries, marker = table_of(LedgerEntry), quote_literal(MARKER_TABLE)
    if names is None:
        wanted = f"SELECT name, row_number() OVER (ORDER BY name) FROM {table_of(Schema)} WHERE NOT purging"
    else:
        wanted = "SELECT * FROM unnest(%s::text[]) WITH ORDINALITY"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT w.name, ({'true' if anew else 'a.digest IS NULL'}) AND EXISTS (SELECT"
            " FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid"
            f" AND c.relname = {marker}), n.oid IS NULL,"
            " a.digest, e.rows, e.drift, coalesce(e.under_way::text, '')"
            f" FROM ({wanted}) AS w (name, number)"
            " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.name"
            f" LEFT JOIN {entries} e ON e.schema_name = w.name AND e.schema_oid = n.oid"
            f" LEFT JOIN {table_of(AppliedSet)} a ON a.digest = e.applied_id"
            " ORDER BY w.number",
            None if names is None else [list(names)],
        )
        return [
            (name, is_read, _state(digest, *others, is_there=is_read or not (is_missing or anew)))
            for name, is_read, is_missing, digest, *others in cursor.fetchall()
        ]


def _state(digest: str | None, *others: str, is_there: bool) -> State | None:
    return State(digest, *others) if is_there and digest else None


def _read_sets(
    connection: BaseDatabaseWrapper, standings: Iterable[Standing]
) -> dict[str, frozenset[Key]]:
    digests = {each.state.applied for each in standings if each.state is not None}
    rows = AppliedSet.objects.using(connection.alias).filter(digest__in=digests)
    return {each.digest: frozenset(_key(text) for text in each.migrations) for each in rows}


def _key(text: str) -> Key:
    app, _, name = text.partition(".")
    return app, name


def drop_unused_sets(connection: BaseDatabaseWrapper) -> None:
    """Delete the sets that no schema has any more. Nobody may be making a schema meanwhile."""
    if is_kept(connection):
        with schema_context(PUBLIC), as_owner(), connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table_of(AppliedSet)} a WHERE NOT EXISTS"
                f" (SELECT FROM {table_of(LedgerEntry)} e WHERE e.applied_id = a.digest)"
            )


@dataclass(frozen=True)
class Falsehood:
    """An entry that does not say what the schema's records say."""

    schema_name: str
    told: frozenset[Key]
    found: frozenset[Key]


def verify_ledger(using: str, names: Sequence[str]) -> Iterator[Falsehood]:
    """Compare the entries with the records of the schemas themselves, and mend those that differ."""
    connection = connections[using]
    with schema_context(PUBLIC), as_owner():
        for start in range(0, len(names), SCHEMAS_PER_MESSAGE):
            some = names[start:][:SCHEMAS_PER_MESSAGE]
            before = read_ledger(using, some)
            write_entries(connection, [each.schema_name for each in before.standings if each.state])
            after = read_ledger(using, some)
            for one, other in zip(before.standings, after.standings, strict=True):
                if one.state and other.state and one.state.applied != other.state.applied:
                    yield Falsehood(
                        one.schema_name, before.applied(one.state), after.applied(other.state)
                    )

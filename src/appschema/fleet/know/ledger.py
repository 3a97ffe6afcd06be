"""The ledger: what is applied in each schema, known in ``public``.

Asking thousands of schemas for their records locks thousands of tables. So whoever writes a schema's
records writes its entry in the same transaction, from the records themselves. What the ledger
has no entry for is read where it stands, and written: schemas of older versions, of a restored
database, or that were renamed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import as_owner, schema_context
from appschema.models import AppliedSet, LedgerEntry, Schema
from appschema.names import MARKER_TABLE, PUBLIC, quote_literal

from .entries import is_kept, records_sql, some_at_a_time, table_of, write_entries

Key = tuple[str, str]


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
    for some in some_at_a_time(names):
        each = (f"SELECT {quote_literal(name)}::text, {records_sql(name)}" for name in some)
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(each))
            for name, digest, migrations in cursor.fetchall():
                seen[name] = digest, frozenset(map(_key, json.loads(migrations)))
    return seen


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
        for some in some_at_a_time(names):
            before = read_ledger(using, some)
            write_entries(connection, [each.schema_name for each in before.standings if each.state])
            after = read_ledger(using, some)
            for one, other in zip(before.standings, after.standings, strict=True):
                if one.state and other.state and one.state.applied != other.state.applied:
                    yield Falsehood(
                        one.schema_name, before.applied(one.state), after.applied(other.state)
                    )

"""The rows of a schema's tables as SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appschema.names import quote_identifier as quoted
from appschema.names import quote_literal

from .read import own_path, reading
from .snapshot import SchemaSnapshot

_AT_ONCE = 500


def read_rows(cursor: Any, snapshot: SchemaSnapshot) -> tuple[str, ...]:
    """Return the rows of all tables, and the values of all sequences, as SQL for ``write_schema``.

    The schema that the snapshot was read from is read, in the same transaction. All rows
    are held in memory: this is for templates, not for a customer's millions. Generated
    columns are left out, as PostgreSQL computes them.
    """
    with reading(cursor, own_path(quoted(snapshot.name))):
        return (*_rows(cursor, snapshot), *_values(cursor, snapshot))


def _rows(cursor: Any, snapshot: SchemaSnapshot) -> Iterator[str]:
    tables = [table for table in snapshot.tables if table.has_rows]
    for table in tables:
        names = [column.name for column in table.columns if not column.generated]
        if not names:
            continue
        literals = " || ', ' || ".join(
            f"pg_catalog.quote_nullable({quoted(name)}::text)" for name in names
        )
        cursor.execute(f"SELECT '(' || {literals} || ')' FROM ONLY {quoted(table.name)}")
        start = f"INSERT INTO {quoted(table.name)} ({', '.join(map(quoted, names))}) OVERRIDING SYSTEM VALUE VALUES\n"
        while rows := cursor.fetchmany(_AT_ONCE):
            yield start + ",\n".join(row[0] for row in rows)


def _values(cursor: Any, snapshot: SchemaSnapshot) -> Iterator[str]:
    sequences = list(snapshot.all_sequences())
    if not sequences:
        return
    arms = (
        f"SELECT {quote_literal(each.name)}, last_value, is_called FROM {quoted(each.name)}"
        for each in sequences
    )
    cursor.execute(" UNION ALL ".join(arms))
    fresh = {each.name: (each.start, False) for each in sequences}
    for name, value, is_called in cursor.fetchall():
        if fresh[name] != (value, is_called):
            sequence = quote_literal(quoted(name))
            yield f"SELECT pg_catalog.setval({sequence}, {value}, {str(is_called).lower()})"

"""Which schemas refer to rows of a shared table, by PostgreSQL's foreign keys and by Django's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DO_NOTHING, ForeignKey

from appschema.context import as_owner
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier
from appschema.placement import Tables, get_tables

Key = ForeignKey[Any, Any]
Values = dict[str, list[Any]]
"""Of the rows of one table: the values of the columns that others refer to."""

# PostgreSQL locks every table that a statement reads, and each index of it, and has room for some
# thousands of locks in all. Those of so many tables are let go before the next are read.
_TABLES_AT_ONCE = 100

# By way of pg_depend, whose index leads from the table to the constraints that are meant; those by
# which PostgreSQL itself deletes or changes the rows that refer are none. A key without a constraint
# is found by its name, in the schemas that were provisioned.
_REFERRERS = f"""
    SELECT nspname, relname, own.attname, format_type(own.atttypid, NULL), other.attname
    FROM pg_constraint AS c
    JOIN pg_class AS r ON r.oid = conrelid JOIN pg_namespace AS n ON n.oid = relnamespace
    JOIN pg_attribute AS own ON own.attrelid = conrelid AND own.attnum = conkey[1]
    JOIN pg_attribute AS other ON other.attrelid = confrelid AND other.attnum = confkey[1]
    WHERE c.oid IN (
        SELECT objid FROM pg_depend
        WHERE classid = 'pg_constraint'::regclass AND refclassid = 'pg_class'::regclass
        AND refobjid = %(table)s::regclass
    )
    AND contype = 'f' AND confdeltype IN ('a', 'r') AND conparentid = 0 AND cardinality(conkey) = 1
    AND confrelid = %(table)s::regclass
    UNION
    SELECT nspname, relname, attname, format_type(atttypid, NULL), target
    FROM unnest(%(tables)s::text[], %(columns)s::text[], %(targets)s::text[])
        AS key (relation, attribute, target)
    JOIN pg_class AS r ON relname = relation AND relkind IN ('r', 'p')
    JOIN pg_namespace AS n ON n.oid = relnamespace
    JOIN pg_attribute ON attrelid = r.oid AND attname = attribute AND NOT attisdropped
    WHERE EXISTS (
        SELECT FROM pg_class AS marker
        WHERE marker.relname = '{MARKER_TABLE}' AND marker.relnamespace = n.oid
    )
    ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Reference:
    """A column of a table in a schema that refers to a column of a shared table."""

    schema_name: str
    table: str
    column: str
    type: str
    target: str

    @property
    def label(self) -> str:
        """The model and field, or the table and column of what no installed model has."""
        model = get_tables().in_schemas.get(self.table)
        for field in model._meta.local_fields if model else ():
            if field.column == self.column:
                return f"{field.model._meta.label}.{field.name}"
        return f"{self.table}.{self.column}"


_cached: tuple[Tables, dict[str, tuple[Key, ...]]] | None = None


def keys_to(table: str) -> tuple[Key, ...]:
    """Return the foreign keys of isolated and both apps' models that refer to a shared table."""
    global _cached
    tables = get_tables()
    if _cached is None or _cached[0] is not tables:
        _cached = (tables, _find_keys(tables))
    return _cached[1].get(table, ())


def _find_keys(tables: Tables) -> dict[str, tuple[Key, ...]]:
    found: dict[str, tuple[Key, ...]] = {}
    for model in tables.in_schemas.values():
        for field in model._meta.local_fields:
            if isinstance(field, ForeignKey):
                target = field.remote_field.model._meta.db_table
                if target not in tables.in_schemas:
                    found[target] = (*found.get(target, ()), field)
    return found


class Target(NamedTuple):
    """The field to which a key refers."""

    column: str
    attname: str


def target_of(key: Key) -> Target:
    """Return the field of the shared model to which *key* refers."""
    attname, column = key.target_field.get_attname_column()
    return Target(str(column), attname)


def find_references(
    connection: BaseDatabaseWrapper, table: str, values: Values, *, except_in: Iterable[str | None]
) -> list[Reference]:
    """Return the columns of other schemas that hold one of *values*, the keys of rows of *table*.

    ``public`` is looked into for the tables of both apps. Call it inside a transaction: locks are
    let go by a rollback to a savepoint. The number of queries grows by one in a hundred tables.
    """
    passed_over = {*except_in}
    both = get_tables().both
    asked = [
        each
        for each in _find_referrers(connection, table)
        if each.schema_name not in passed_over
        and (each.schema_name != PUBLIC or each.table in both)
        and values.get(each.target)
    ]
    found: list[Reference] = []
    for start in range(0, len(asked), _TABLES_AT_ONCE):
        some = asked[start : start + _TABLES_AT_ONCE]
        if len(asked) <= _TABLES_AT_ONCE:
            return _which_hold(connection, some, values)
        with transaction.atomic(using=connection.alias):
            found += _which_hold(connection, some, values)
            transaction.set_rollback(True, using=connection.alias)
    return found


def _find_referrers(connection: BaseDatabaseWrapper, table: str) -> list[Reference]:
    keys = [key for key in keys_to(table) if _is_known_to_django_only(key)]
    with connection.cursor() as cursor:
        cursor.execute(
            _REFERRERS,
            {
                "table": f"{PUBLIC}.{quote_identifier(table)}",
                "tables": [key.model._meta.db_table for key in keys],
                "columns": [key.get_attname_column()[1] for key in keys],
                "targets": [target_of(key).column for key in keys],
            },
        )
        return [Reference(*row) for row in cursor.fetchall()]


def _is_known_to_django_only(key: Any) -> bool:
    return not key.db_constraint and key.remote_field.on_delete is not DO_NOTHING


def which_hold(
    connection: BaseDatabaseWrapper, references: list[Reference], values: Values
) -> list[Reference]:
    """Return those of the columns that hold one of *values*."""
    found = []
    for start in range(0, len(references), _TABLES_AT_ONCE):
        found += _which_hold(connection, references[start : start + _TABLES_AT_ONCE], values)
    return found


def _which_hold(
    connection: BaseDatabaseWrapper, references: list[Reference], values: Values
) -> list[Reference]:
    questions = [
        f"SELECT {number} WHERE EXISTS (SELECT FROM {quote_identifier(each.schema_name)}"
        f".{quote_identifier(each.table)} WHERE {quote_identifier(each.column)}"
        f" = ANY(%s::{each.type}[]))"
        for number, each in enumerate(references)
    ]
    # The role of one schema reads no other's tables.
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(questions), [values[each.target] for each in references])
        return [references[number] for (number,) in cursor.fetchall()]

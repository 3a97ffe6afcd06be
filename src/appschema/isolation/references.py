"""Which schemas refer to rows of a shared table, and the delete that is refused because of them.

Django looks for what refers to a row in the current schema only. PostgreSQL knows all foreign keys,
but tells of one row in one schema, and mostly not before COMMIT. So a delete from a shared table
that isolated or both apps' models refer to looks into all other schemas itself; a delete from any
other table asks nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DO_NOTHING, ForeignKey, Model
from django.db.models.deletion import Collector
from psycopg import errors

from appschema.context import as_owner, current_schema
from appschema.exceptions import NoActiveSchema, StillReferenced
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier
from appschema.placement import Tables, get_tables

Key = ForeignKey[Any, Any]
Values = dict[str, list[Any]]
"""Of the rows of one table: the values of the columns that others refer to."""

NAMED_SCHEMAS = 10
"""How many schemas an error names; it counts the others."""

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


# The second is what PostgreSQL 18 tells of a key that is ON DELETE RESTRICT.
_VIOLATIONS = (errors.ForeignKeyViolation, errors.RestrictViolation)


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


_looked_into: ContextVar[Collection[str]] = ContextVar("appschema_looked_into", default=())


@contextmanager
def looked_into(tables: Collection[str]) -> Iterator[None]:
    """Let rows of shared tables be deleted of which it is known that no schema refers to them."""
    token = _looked_into.set(tables)
    try:
        yield
    finally:
        _looked_into.reset(token)


def is_to_be_looked_into(table: str) -> bool:
    """Tell whether a delete from *table* has to ask which schemas refer to the rows."""
    return bool(keys_to(table)) and table not in _looked_into.get()


def delete_unless_referenced(
    connection: BaseDatabaseWrapper, model: type[Model], delete: Callable[[str], Any]
) -> int | None:
    """Delete rows of a shared table and return their number, or raise ``StillReferenced``.

    ``delete`` gets what to add to the statement and returns its cursor, or None if no row can match.
    The look comes after the DELETE: from then on nobody can refer to the rows, and it sees all who
    did before, whom the DELETE has waited for. The current schema is left to Django and to
    PostgreSQL, as everywhere: in it a key may be mended until COMMIT.
    """
    table = model._meta.db_table
    columns = sorted({target_of(key).column for key in keys_to(table)})
    values: Values = {}

    def find() -> list[Reference]:
        return find_references(connection, table, values, except_in=[current_schema()])

    try:
        with transaction.atomic(using=connection.alias):
            cursor = delete(f" RETURNING {', '.join(map(quote_identifier, columns))}")
            if cursor is None:
                return None
            with cursor:
                rows = cursor.fetchall()
            values.update({name: [row[i] for row in rows] for i, name in enumerate(columns)})
            if rows and (found := find()):
                raise still_referenced(model, found)
    except IntegrityError as error:
        # A constraint that is not deferred, or that another role's statement has fired.
        if not isinstance(error.__cause__, _VIOLATIONS):
            raise
        if found := find() if values else _told_of(error.__cause__):
            raise still_referenced(model, found) from error
        raise
    return len(rows)


def _told_of(error: psycopg.Error) -> list[Reference]:
    """Return the one reference that PostgreSQL tells of, if it is another schema's."""
    schema_name, table = error.diag.schema_name, error.diag.table_name
    if not schema_name or not table or schema_name in (current_schema(), PUBLIC):
        return []
    return [Reference(schema_name, table, error.diag.constraint_name or "", "", "")]


def still_referenced(model: type[Model], references: list[Reference]) -> StillReferenced:
    """Return the error that names the schemas and the keys by which they refer to rows."""
    schemas = list(dict.fromkeys(each.schema_name for each in references))
    keys = ", ".join(sorted({each.label for each in references}))
    return StillReferenced(
        f"Rows of {model._meta.label!r} are still referred to by {keys} in {name_schemas(schemas)}."
        " Nothing was deleted. Call appschema.deletion.delete_everywhere(ROWS), which first does"
        " in each schema what the on_delete of its foreign keys says, or change those rows first.",
        tuple(schemas),
    )


def name_schemas(schemas: Sequence[str]) -> str:
    """Return the count of the schemas and the first names, for a sentence."""
    names = ", ".join(map(repr, schemas[:NAMED_SCHEMAS]))
    more = len(schemas) - NAMED_SCHEMAS
    kind = "the schema" if len(schemas) == 1 else f"{len(schemas)} schemas:"
    return f"{kind} {names}" + (f" and {more} more" if more > 0 else "")


def _refuse_without_schema(related_model: type[Model], key: Key, deleted: type[Model]) -> None:
    active, tables = current_schema(), get_tables()
    absent = tables.in_schemas if active is None else tables.isolated if active == PUBLIC else {}
    if related_model._meta.db_table not in absent or deleted._meta.db_table in tables.in_schemas:
        return
    found = f"the current schema is {PUBLIC!r}" if active else "no schema is active"
    raise NoActiveSchema(
        f"Rows of {deleted._meta.label!r} may be referred to by {key.name!r} of {key.model._meta.label!r},"
        f" whose tables live in the customers' schemas, and {found}. Call"
        " appschema.deletion.delete_everywhere(ROWS), which does in each schema what the on_delete of"
        " its foreign keys says. If only one schema refers to them, delete them inside 'with"
        " appschema.schema_context(NAME)'."
    )


def _only_in_schemas(related_model: type[Model], deleted: type[Model]) -> bool:
    """Tell whether public's row of a both app is deleted: a schema's rows refer to its own."""
    tables = get_tables()
    return (
        current_schema() == PUBLIC
        and related_model._meta.db_table in tables.isolated
        and deleted._meta.db_table in tables.in_schemas
    )


def guide_deletion() -> None:
    """Let Django's collector say how rows are deleted to which isolated models refer."""
    original = Collector.related_objects

    def related_objects(self: Any, related_model: Any, related_fields: Any, objs: Any) -> Any:
        _refuse_without_schema(related_model, related_fields[0], type(objs[0]))
        if _only_in_schemas(related_model, type(objs[0])):
            return related_model._base_manager.using(self.using).none()
        return original(self, related_model, related_fields, objs)

    Collector.related_objects = related_objects  # type: ignore[method-assign]

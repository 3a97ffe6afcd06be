"""A delete of shared rows to which schemas refer is refused, in words.

Django looks for what refers to a row in the current schema only. PostgreSQL knows all foreign keys,
but tells of one row in one schema, and mostly not before COMMIT. So a delete from a shared table
that isolated or both apps' models refer to looks into all other schemas itself; a delete from any
other table asks nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.models.deletion import Collector
from psycopg import errors

from appschema.context import current_schema
from appschema.exceptions import NoActiveSchema, StillReferenced
from appschema.names import PUBLIC, quote_identifier
from appschema.placement import get_tables

from .references import Key, Reference, Values, find_references, keys_to, target_of

NAMED_SCHEMAS = 10
"""How many schemas an error names; it counts the others."""

# The second is what PostgreSQL 18 tells of a key that is ON DELETE RESTRICT.
_VIOLATIONS = (errors.ForeignKeyViolation, errors.RestrictViolation)

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

"""Make a customer's schema that is like another's, with or without its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections, transaction
from psycopg import errors

from appschema.catalog import SchemaSnapshot, Script, read_schema, write_schema
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaMissing
from appschema.models import Schema
from appschema.names import (
    MARKER_TABLE,
    PUBLIC,
    quote_literal,
    validate_schema_name,
)
from appschema.names import quote_identifier as quoted
from appschema.signals import schema_created

from .drop import refuse_dropped
from .from_script import make_from_script, telling_of_locks
from .locks import keeping_migrate_out
from .register import (
    ask_for_names,
    find_row,
    normalise_for_schema,
    refuse_special_name,
    register,
    tell_on_commit,
)

_FILLED = ("contenttypes.ContentType", "auth.Permission", "sites.Site")


def clone_schema(
    source: str,
    name: str,
    public_name: str,
    *,
    with_data: bool = False,
    is_active: bool = True,
    reuse_name: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> Schema:
    """Create the schema *name* like *source*, reached by *public_name*, and return its row.

    Without ``with_data`` only the records of migrations, content types, permissions and sites come
    along. With it all rows do, and the values
    of sequences, copied by the server; those who write to *source* wait meanwhile, those who read
    do not. Files are not copied; and sessions, logins and signed links of *source* are worthless
    in the clone, as everywhere else.

    One transaction, or a part of the caller's; ``schema_created`` is sent after the commit. Raises
    what ``new_schema`` does, ``UnknownSchema`` and ``WrongState`` for a source that there is not or
    that is dropped, and ``UnsupportedObject`` for what cannot be written for another name.
    """
    for each in (source, name):
        validate_schema_name(each)
    refuse_special_name(name)
    public_name = normalise_for_schema(public_name)
    connection = connections[using]
    alone = keeping_migrate_out(using, ask_for_names(name, public_name))
    with telling_of_locks(name), transaction.atomic(using=using):
        with as_owner(), schema_context(PUBLIC), alone as (found,):
            refuse_dropped(find_row(source, using=using))
            row = register(
                name, public_name, found, is_active=is_active, reuse_name=reuse_name, using=using
            )
            with connection.cursor() as cursor:
                script = _read(cursor, source, with_data=with_data)
            make_from_script(script, name, using=using)
        tell_on_commit(schema_created, schema_name=name, using=using)
    return row


def _read(cursor: Any, source: str, *, with_data: bool) -> Script:
    """Return the script of the source, which stays as it is until the commit."""
    # Before anything is read: a migration that is under way would be seen in part. And in a
    # transaction that others have begun each statement sees what is committed by then: a row in one table
    # could refer to one that was not there when the other was copied.
    _hold(cursor, source, _tables_of(cursor, source) if with_data else [])
    snapshot = read_schema(cursor, source)
    tables = [each.name for each in snapshot.tables if each.has_rows]
    if not with_data:
        tables = [name for name in tables if name in _tables_of_a_new_schema()]
    rows = (*_rows(snapshot, source, tables), *_values(snapshot, source, tables, all_of=with_data))
    return write_schema(snapshot, rows)


def _tables_of(cursor: Any, source: str) -> list[str]:
    cursor.execute(
        "SELECT relname FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid"
        " WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass"
        " AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND relkind = 'r'"
        " ORDER BY relname",
        [source],
    )
    return [name for (name,) in cursor.fetchall() if name != MARKER_TABLE]


def _hold(cursor: Any, source: str, tables: list[str]) -> None:
    """Let nobody write to these tables and to the records of migrations, which migrations do last."""
    listed = ", ".join(f"ONLY {quoted(source)}.{quoted(name)}" for name in (*tables, MARKER_TABLE))
    try:
        cursor.execute(f"LOCK TABLE {listed} IN SHARE MODE")
    except ProgrammingError as error:
        if isinstance(error.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
            raise SchemaMissing(source) from error
        raise


def _tables_of_a_new_schema() -> set[str]:
    """Return the tables that migrations and Django's receivers of post_migrate fill."""
    models = [apps.get_model(label) for label in _FILLED if apps.is_installed(_app_of(label))]
    return {MARKER_TABLE, *(model._meta.db_table for model in models)}


def _app_of(label: str) -> str:
    return f"django.contrib.{label.partition('.')[0]}"


def _rows(snapshot: SchemaSnapshot, source: str, tables: list[str]) -> Iterator[str]:
    for table in snapshot.tables:
        if table.name not in tables:
            continue
        columns = ", ".join(quoted(each.name) for each in table.columns if not each.generated)
        if columns:
            yield (
                f"INSERT INTO {quoted(table.name)} ({columns}) OVERRIDING SYSTEM VALUE"
                f" SELECT {columns} FROM ONLY {quoted(source)}.{quoted(table.name)}"
            )


def _values(
    snapshot: SchemaSnapshot, source: str, tables: list[str], *, all_of: bool
) -> Iterator[str]:
    identities = {
        column.identity.sequence.name: table.name
        for table in snapshot.tables
        for column in table.columns
        if column.identity
    }
    for each in snapshot.all_sequences():
        owner = each.owner[0] if each.owner else identities.get(each.name)
        if not all_of and owner not in tables:
            continue
        sequence = quote_literal(quoted(each.name))
        yield (
            f"SELECT pg_catalog.setval({sequence}, last_value, is_called)"
            f" FROM {quoted(source)}.{quoted(each.name)}"
        )

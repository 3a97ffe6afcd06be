"""Empty the tables of one schema, or of all.

The registry is kept: the schemas that it tells of are still there, empty.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate

from appschema.context import as_owner, current_schema, schema_context
from appschema.deletion import delete_everywhere
from appschema.models import Schema, Template
from appschema.names import PUBLIC, quote_identifier
from appschema.placement import get_placement
from appschema.router import reaching_shared_tables

from .origins import drop_template, has_tables
from .receivers import send_placed
from .selection import select_schemas


@as_owner()
def flush_database(
    connection: BaseDatabaseWrapper,
    *,
    reset_sequences: bool,
    allow_cascade: bool,
    send_signals: bool,
    **signal_arguments: Any,
) -> None:
    """Empty the tables of the current schema or, when it is unset, of every schema and public."""
    active = current_schema()
    schemas = select_schemas(connection.alias) if active is None else []
    present = _present(connection, schemas)
    for name in [*present, PUBLIC] if active is None else [active]:
        with schema_context(name):
            tables = _tables_here(connection)
            if name == PUBLIC:
                _empty_public(connection, tables, reset_sequences=reset_sequences)
                # Those without a schema, which tests have left; by now no row refers to them.
                gone = set(schemas).difference(present)
                delete_everywhere(Schema.objects.using(connection.alias).filter(name__in=gone))
            else:
                _empty_schema(
                    connection,
                    name,
                    tables,
                    reset_sequences=reset_sequences,
                    allow_cascade=allow_cascade,
                )
            if send_signals:
                with reaching_shared_tables():
                    send_placed(
                        post_migrate,
                        get_placement(),
                        public=name == PUBLIC,
                        using=connection.alias,
                        **signal_arguments,
                    )


def _present(connection: BaseDatabaseWrapper, schemas: list[str]) -> list[str]:
    """Return those of the schemas that the database has."""
    with schema_context(PUBLIC), connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", [schemas])
        present = {name for (name,) in cursor.fetchall()}
    return [name for name in schemas if name in present]


def _tables_here(connection: BaseDatabaseWrapper) -> list[str]:
    registry = {each._meta.db_table for each in apps.get_app_config("appschema").get_models()}
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return sorted(set(found) - registry)


def _empty_schema(
    connection: BaseDatabaseWrapper,
    name: str,
    tables: list[str],
    *,
    reset_sequences: bool,
    allow_cascade: bool,
) -> None:
    """Truncate the tables of a schema, as Django does, but for those that are empty.

    For each table that is truncated PostgreSQL makes new files, and an index's and those of long
    values besides: in a large schema nearly all of them for nothing. Sequences go with all tables,
    for an empty one's may have been used.
    """
    with transaction.atomic(using=connection.alias):
        if tables and not reset_sequences:
            tables = _lock_and_find_filled(connection, name, tables)
        statements = connection.ops.sql_flush(
            no_style(), tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade
        )
        connection.ops.execute_sql_flush(statements)


# A table is empty if its file is: rows that only others may see, or nobody any more, count as well.
# What refers to a table has to be truncated with it.
_FILLED = """
    WITH RECURSIVE filled (oid) AS (
        SELECT oid FROM pg_catalog.pg_class
        WHERE relnamespace = %(schema)s::regnamespace AND relname = ANY(%(tables)s)
            AND (relkind <> 'r' OR relhassubclass OR pg_catalog.pg_relation_size(oid) > 0)
        UNION
        SELECT conrelid FROM pg_catalog.pg_constraint JOIN filled ON confrelid = filled.oid
        WHERE contype = 'f'
    )
    SELECT relname FROM pg_catalog.pg_class JOIN filled USING (oid)
    WHERE relnamespace = %(schema)s::regnamespace AND relname = ANY(%(tables)s)
    ORDER BY relname
"""


def _lock_and_find_filled(
    connection: BaseDatabaseWrapper, name: str, tables: list[str]
) -> list[str]:
    with connection.cursor() as cursor:
        # As TRUNCATE would: whoever is adding a row is waited for, and nobody else begins to.
        listed = ", ".join(map(quote_identifier, tables))
        cursor.execute(f"LOCK TABLE {listed} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(_FILLED, {"schema": quote_identifier(name), "tables": tables})
        return [table for (table,) in cursor.fetchall()]


def _empty_public(
    connection: BaseDatabaseWrapper, tables: list[str], *, reset_sequences: bool
) -> None:
    using = connection.alias
    try:
        with transaction.atomic(using=using):
            _delete_rows(connection, tables, reset_sequences=reset_sequences)
            connection.check_constraints()
    except IntegrityError:
        template = Template.objects.using(using).first() if has_tables(using) else None
        if template is None:
            raise
        # Rows of it refer to those that are to go. The next migrate makes it anew.
        drop_template(template, using=using)
        _delete_rows(connection, tables, reset_sequences=reset_sequences)


def _delete_rows(
    connection: BaseDatabaseWrapper, tables: list[str], *, reset_sequences: bool
) -> None:
    """Empty public's tables row by row: those that schemas refer to cannot be truncated."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {quote_identifier(table)}")
        if reset_sequences:
            sequences = [
                each for each in connection.introspection.sequence_list() if each["table"] in tables
            ]
            for statement in connection.ops.sequence_reset_by_name_sql(no_style(), sequences):
                cursor.execute(statement)

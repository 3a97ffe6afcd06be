"""Empty the tables of one schema, or of all.

The registry is kept: the schemas that it tells of are still there, empty.
"""

from __future__ import annotations

from typing import Any

from django.core.management.color import no_style
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate

from appschema.context import as_owner, current_schema, schema_context
from appschema.deletion import delete_everywhere
from appschema.models import PublicName, RetiredName, Schema, Spare, Template
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
                statements = connection.ops.sql_flush(
                    no_style(),
                    tables,
                    reset_sequences=reset_sequences,
                    allow_cascade=allow_cascade,
                )
                connection.ops.execute_sql_flush(statements)
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
    registry = {each._meta.db_table for each in (Schema, PublicName, RetiredName, Template, Spare)}
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return sorted(set(found) - registry)


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

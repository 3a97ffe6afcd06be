"""Give a schema another name: schema, registry row and role in one transaction."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, ProgrammingError, connections, transaction
from psycopg import errors

from appschema.catalog import Script, functions_naming_schema, read_schema
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaExists, SchemaMissing
from appschema.fleet.know.entries import is_kept, rename_entry_sql
from appschema.models import Schema
from appschema.names import PUBLIC, marker_table, quote_identifier, validate_schema_name
from appschema.patience import patiently
from appschema.roles.database import DatabaseRoles
from appschema.signals import schema_renamed

from .drop import refuse_dropped
from .questions import ask
from .register import (
    ask_for_role,
    find_row,
    making_schema,
    refuse_name_of_role,
    refuse_special_name,
    retire_name,
    take_name,
    tell_on_commit,
)

_logger = logging.getLogger(__name__)


def rename_schema(
    name: str, new_name: str, *, reuse_name: bool = False, using: str = DEFAULT_DB_ALIAS
) -> Schema:
    """Rename the schema *name*, its registry row and its role, and return the row.

    One transaction, or a part of the caller's. It waits for transactions that use the schema, in
    short attempts that hold nobody up; those that come after it and still know the old name get
    ``SchemaMissing``: in other processes up to APPSCHEMA_RESOLVER_MAX_AGE seconds long. Public names
    stay. ``schema_renamed`` is sent after the commit.

    What is keyed by the name outside the database does not move: the directory of a
    ``SchemaStorage`` (``directory_of`` tells both), cache entries, and what was signed, so that all
    users have to log in again. The old name is retired: see ``NameRetired``.

    Functions, defaults and the like whose text names the schema are made anew with the new name; what
    may name it and cannot be told for sure is left, and logged as a warning.

    Raises ``UnknownSchema``, ``InvalidSchemaName``, ``SchemaExists``, ``NameRetired`` unless
    *reuse_name* is true, ``SchemaBusy`` if the schema is in use for a minute, ``WrongState`` if it is
    dropped, and ``UnsupportedObject`` for what cannot be read or made anew. Nothing is changed then.
    """
    for each in (name, new_name):
        validate_schema_name(each)
    refuse_special_name(new_name)

    def act() -> Schema:
        with as_owner():
            row = _rename(name, new_name, reuse_name=reuse_name, using=using)
        tell_on_commit(schema_renamed, old_name=name, new_name=new_name, using=using)
        return row

    with schema_context(PUBLIC):
        return patiently(act, using=using, what=f"Renaming schema {name!r}")


def _rename(name: str, new_name: str, *, reuse_name: bool, using: str) -> Schema:
    connection = connections[using]
    row = find_row(name, using=using)
    refuse_dropped(row)
    (found,) = ask(using, ask_for_role(new_name))
    refuse_name_of_role(new_name, found)
    with connection.cursor() as cursor:
        _shut(cursor, name)
        texts = _read_texts(cursor, name)
        row.name = new_name
        _save(row, using)
        take_name(new_name, reuse_name=reuse_name, using=using)
        retire_name(name, using=using)
        alter_name(cursor, name, new_name, using=using)
        if texts.structure:
            cursor.execute(texts.render(new_name))
    DatabaseRoles(connection).rename_that_of(name, new_name)
    return row


def _shut(cursor: Any, name: str) -> None:
    """Wait until nobody uses the schema, and let nobody in: all statements take a lock on this."""
    marker = marker_table(name)
    try:
        cursor.execute(f"LOCK TABLE ONLY {marker} IN ACCESS EXCLUSIVE MODE")
    except ProgrammingError as error:
        if isinstance(error.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
            raise SchemaMissing(name) from error
        raise


def _save(row: Schema, using: str) -> None:
    try:
        with transaction.atomic(using=using):
            row.save(update_fields=["name"])
    except IntegrityError as error:
        raise SchemaExists(
            f"The schema {row.name!r} is registered already. Choose another name."
        ) from error


def alter_name(cursor: Any, name: str, new_name: str, *behind: str, using: str) -> None:
    """Rename the schema in the database; statements *behind* that go along. Raises ``SchemaExists``."""
    rename = f"ALTER SCHEMA {quote_identifier(name)} RENAME TO {quote_identifier(new_name)}"
    # In the same message, since a spare is claimed while a visitor waits.
    entry = [rename_entry_sql(name, new_name)] if is_kept(connections[using]) else []
    with making_schema(new_name):
        cursor.execute("; ".join([rename, *entry, *behind]))


def _read_texts(cursor: Any, name: str) -> Script:
    """Return what makes functions and the like anew, whose text names the schema."""
    snapshot = read_schema(cursor, name)
    for doubt in snapshot.doubts:
        _logger.warning(
            "Schema %r is renamed; %s may name it, and is left as it is: %s",
            name,
            doubt.where,
            doubt.text,
        )
    return functions_naming_schema(snapshot)

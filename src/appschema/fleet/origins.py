"""What new schemas come from, the template and spares, and how they are told to be at head.

By digests of the migrations that a database says are applied. Its own records count, and not the
migrations that this process knows: while a deploy is under way older code makes schemas too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import ProgrammingError, connections, transaction
from psycopg import errors

from appschema.context import as_owner, schema_context
from appschema.models import Spare, Template
from appschema.names import PUBLIC, quote_identifier
from appschema.patience import patiently
from appschema.roles.database import DatabaseRoles

from .know.entries import digest_sql, drop_entry, table_of


@dataclass(frozen=True)
class Digests:
    """What is applied in a schema, and in public."""

    own: str
    public: str


def read_digests(using: str, schema_name: str) -> Digests | None:
    """Return the digests of *schema_name* and of public; None if there is no such schema."""
    row = _ask(f"SELECT {digest_sql(schema_name)}, {digest_sql(PUBLIC)}", using, _savepoint(using))
    return row and Digests(*row)


def read_each_digest(using: str, *schema_names: str) -> list[str] | None:
    """Return the digest of each schema; None if there is one no more, and a transaction is spoilt."""
    row = _ask(f"SELECT {', '.join(map(digest_sql, schema_names))}", using, nullcontext())
    return row and list(row)


def read_own_digest(schema_name: str, *, using: str) -> str | None:
    """Return the digest of *schema_name*; None if there is no such schema."""
    row = _ask(f"SELECT {digest_sql(schema_name)}", using, _savepoint(using))
    return row and str(row[0])


def has_tables(using: str) -> bool:
    """Tell whether the registry has the tables for them: an older one has not."""
    tables = [table_of(Template), table_of(Spare)]
    with schema_context(PUBLIC), as_owner(), connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL", tables)
        return bool(cursor.fetchone()[0])


def drop_template(template: Template, *, using: str) -> None:
    """Drop the template, and the spares that were copied from it."""
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        drop_spares(using=using)
        drop_own_schema(template.schema_name, using=using)
        template.delete()


def drop_spares(*, using: str, keep: str | None = None, at_most: int | None = None) -> int:
    """Drop all spares but those whose records have the digest *keep*, and return how many.

    Of those that are kept all over *at_most* are dropped. One that is just being claimed is left to who
    claims it. Each goes in a transaction of its own, unless it is part of the caller's: it takes
    thousands of locks until the commit, those of shared tables among them, for which nobody has to
    wait long. Raises ``SchemaBusy``.
    """
    dropped = 0
    drop = partial(drop_spare, using=using, keep=keep, at_most=at_most)
    while patiently(drop, using=using, what="Dropping a spare that is not wanted"):
        dropped += 1
    return dropped


def drop_spare(*, using: str, keep: str | None, at_most: int | None) -> bool:
    """Drop one of those that ``drop_spares`` drops, and tell whether there was one."""
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        spares = Spare.objects.using(using).order_by("id")
        kept = list(spares.filter(records=keep).values_list("id", flat=True)[:at_most])
        # Only this one is locked: the others can be claimed meanwhile.
        unwanted = spares.exclude(id__in=kept).select_for_update(skip_locked=True)
        spare = unwanted.first()
        if spare is None:
            return False
        drop_own_schema(spare.schema_name, using=using)
        DatabaseRoles(connections[using]).drop_that_of(spare.schema_name)
        spare.delete()
    return True


def drop_own_schema(schema_name: str, *, using: str) -> None:
    """Drop the schema of the template or of a spare, if it is there."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(schema_name)} CASCADE")
    drop_entry(schema_name, using=using)


def own_schemas(using: str) -> list[str]:
    """Return the names of the template and of the spares, as the registry has them."""
    if not has_tables(using):
        return []
    with schema_context(PUBLIC), as_owner():
        return [
            *Template.objects.using(using).values_list("schema_name", flat=True),
            *Spare.objects.using(using).values_list("schema_name", flat=True),
        ]


def _savepoint(using: str) -> AbstractContextManager[None]:
    """Let a transaction go on after an error; none is begun, for a pooler may refuse that."""
    return transaction.atomic(using=using) if connections[using].in_atomic_block else nullcontext()


def _ask(sql: str, using: str, savepoint: AbstractContextManager[None]) -> Any:
    try:
        with savepoint, connections[using].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()
    except ProgrammingError as error:
        if isinstance(error.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
            return None
        raise

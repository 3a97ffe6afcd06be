"""Spares: schemas that are ready, to be given to new customers by renaming them."""

from __future__ import annotations

from django.db import connections

from appschema.backends.connection import send_bare
from appschema.catalog import Script
from appschema.models import Spare, Template
from appschema.names import (
    MARKER_TABLE,
    quote_identifier,
    quote_literal,
)
from appschema.roles.database import DatabaseRoles

from .questions import Answer, columns_of
from .rename import alter_name

_FIELDS = [each.attname for each in Spare._meta.concrete_fields]

ONE_SPARE = (
    f"{columns_of(Spare, _FIELDS)} WHERE records ="
    f" ({columns_of(Template, ['records'])} WHERE functions IS NOT NULL)"
    f" AND to_regclass(quote_ident(schema_name) || {quote_literal('.' + MARKER_TABLE)}) IS NOT NULL"
    " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
)
"""The question for a spare that is said to be like the template; nobody else gets it until the commit."""


def spare_of(found: Answer, using: str) -> Spare | None:
    """Return the spare that the answer to ``ONE_SPARE`` tells of."""
    return Spare.from_db(using, _FIELDS, found) if found else None


def claim_spare(spare: Spare, template: Template, name: str, *, using: str) -> None:
    """Make the spare the schema *name*.

    The number of statements is the same for a schema of any size. Expects the caller's
    transaction, as the owner with public active, and ``keeping_migrate_out``.
    """
    connection = connections[using]
    table = quote_identifier(Spare._meta.db_table)
    with connection.cursor() as cursor:
        given = f"DELETE FROM {table} WHERE id = {int(spare.pk)}"
        alter_name(cursor, spare.schema_name, name, given, using=using)
    assert template.functions is not None  # for ONE_SPARE
    functions = Script.loads(template.functions)
    if functions.structure:
        send_bare(connection, functions.render(name))
    roles = DatabaseRoles(connection)
    if roles.are_wanted() and not roles.rename_that_of(spare.schema_name, name):
        roles.make_that_of(name, is_new=True)

"""Spares: schemas that are ready, to be given to new customers by renaming them."""

from __future__ import annotations

import secrets

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from appschema.backends.connection import send_bare
from appschema.catalog import Script
from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import TemplateLags, WrongState
from appschema.fleet.origins import drop_spares
from appschema.models import Spare, Template
from appschema.names import (
    MARKER_TABLE,
    PUBLIC,
    SPARE_PREFIX,
    quote_identifier,
    quote_literal,
)
from appschema.roles.database import DatabaseRoles

from .locks import keeping_migrate_out, try_to_refill
from .questions import Answer, columns_of
from .rename import alter_name
from .replay import replay, telling_of_locks
from .template import find_template, is_at_head, load_script

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
        alter_name(cursor, spare.schema_name, name, given)
    assert template.functions is not None  # for ONE_SPARE
    functions = Script.loads(template.functions)
    if functions.structure:
        send_bare(connection, functions.render(name))
    roles = DatabaseRoles(connection)
    if roles.are_wanted() and not roles.rename_that_of(spare.schema_name, name):
        roles.make_that_of(name, is_new=True)


def refill_spares(*, using: str = DEFAULT_DB_ALIAS) -> int:
    """Make spares until there are APPSCHEMA_SPARES, and return how many were made.

    Each is committed by itself. Spares that are not like the template, or too many, are dropped.
    While another process does the same it does nothing. Raises ``TemplateLags``, ``SchemaBusy``, and
    ``WrongState`` if there is no template that spares can be made from.
    """
    made = 0
    while _refill_one(using):
        made += 1
    return made


def _refill_one(using: str) -> bool:
    name = f"{SPARE_PREFIX}{secrets.token_hex(6)}"
    config = get_config()
    with (
        telling_of_locks(name),
        transaction.atomic(using=using),
        schema_context(PUBLIC),
        as_owner(),
    ):
        if not try_to_refill(using):
            return False
        with keeping_migrate_out(using):
            if config.spares == 0:
                drop_spares(using=using)
                return False
            template = _find_usable(using)
            drop_spares(using=using, keep=template.records, at_most=config.spares)
            if Spare.objects.using(using).count() >= config.spares:
                return False
            replay(load_script(template, using), name, using=using)
            Spare.objects.using(using).create(schema_name=name, records=template.records)
    return True


def _find_usable(using: str) -> Template:
    template = find_template(using)
    if template is None:
        raise WrongState(
            "There is no template that spares could be made from. Run 'manage.py migrate', which makes"
            " it unless APPSCHEMA_TEMPLATE is None."
        )
    if template.functions is None:
        raise WrongState(
            f"No spares can be made from the template {template.schema_name!r}: it holds what cannot be"
            " renamed. Run 'manage.py schematemplate --compile', which tells what, or set"
            " APPSCHEMA_SPARES to 0."
        )
    if not is_at_head(template, using):
        raise TemplateLags(
            f"The template {template.schema_name!r} is not what it was when it was compiled, or public is"
            " not, and no spares were made. Run 'manage.py migrate', which brings it to head."
        )
    return template

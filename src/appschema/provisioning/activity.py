"""Take a schema out of service for a while: its visitors get a notice, or are told of nothing."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, transaction

from appschema.context import as_owner, schema_context
from appschema.models import Schema
from appschema.names import PUBLIC, validate_schema_name

from .drop import refuse_dropped
from .register import find_row


def deactivate_schema(name: str, notice: str = "", *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Stop serving the schema *name*, and return its row.

    With a *notice*, plain text, its visitors are answered 503 with that; without one as those of an
    unknown public name: 404, or APPSCHEMA_SCHEMA_REDIRECT. Nothing else is stopped: tasks, commands
    and ``migrate`` reach the schema as before. Other processes know of it when they look the public
    name up again, after up to APPSCHEMA_RESOLVER_MAX_AGE seconds. Called again, it changes the
    notice. Raises ``UnknownSchema``, and ``WrongState`` if the schema is dropped.
    """
    return _set(name, is_active=False, notice=notice, using=using)


def activate_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Serve the schema *name* again, and return its row; its notice is taken away.

    Raises ``UnknownSchema``, and ``WrongState`` if the schema is dropped. To make a schema the
    current one, there is ``appschema.activate``.
    """
    return _set(name, is_active=True, notice="", using=using)


def _set(name: str, *, is_active: bool, notice: str, using: str) -> Schema:
    validate_schema_name(name)
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        row = find_row(name, using=using)
        refuse_dropped(row)
        row.is_active, row.notice = is_active, notice
        row.save(update_fields=["is_active", "notice"])
    return row

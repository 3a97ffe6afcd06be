"""Drop a customer's schema so that it can be had back, and have it back.

Only the registry row changes. The tables go when the schema is purged.
"""

from __future__ import annotations

from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import WrongState
from appschema.models import Schema
from appschema.names import PUBLIC, validate_schema_name
from appschema.signals import schema_dropped, schema_undropped

from .register import find_row, tell_on_commit


def drop_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Take the schema *name* out of service, to be purged after APPSCHEMA_DROP_GRACE.

    Its public names are answered as unknown ones and stay reserved; nothing in the schema changes,
    and ``undrop_schema`` brings it back as it was. Until other processes look its public names up
    again, up to APPSCHEMA_RESOLVER_MAX_AGE seconds, they go on serving it. Returns the row; one
    that is dropped already is left as it is. Raises ``UnknownSchema``. ``schema_dropped`` is sent
    after the commit.
    """
    validate_schema_name(name)
    with transaction.atomic(using=using), schema_context(PUBLIC):
        with as_owner():
            row = find_row(name, using=using)
            if row.dropped is not None:
                return row
            row.dropped, row.was_active, row.is_active = timezone.now(), row.is_active, False
            row.save(update_fields=["dropped", "was_active", "is_active"])
        tell_on_commit(schema_dropped, schema_name=name, using=using)
    return row


def undrop_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Bring the dropped schema *name* back as it was: active if it was active, with all its rows.

    Returns the row. Raises ``UnknownSchema``, and ``WrongState`` if it is not dropped, or if purging
    it has begun. ``schema_undropped`` is sent after the commit.
    """
    validate_schema_name(name)
    with transaction.atomic(using=using), schema_context(PUBLIC):
        with as_owner():
            row = find_row(name, using=using)
            if row.dropped is None:
                raise WrongState(
                    f"Schema {name!r} is not dropped, so that nothing is to be had back. If it is"
                    f" inactive, run 'manage.py activateschema {name}'."
                )
            refuse_purging(row)
            row.dropped, row.is_active, row.was_active = None, row.was_active, False
            row.save(update_fields=["dropped", "is_active", "was_active"])
        tell_on_commit(schema_undropped, schema_name=name, using=using)
    return row


def refuse_purging(row: Schema) -> None:
    """Raise ``WrongState`` if tables of the schema may be gone already."""
    if row.purging:
        raise WrongState(
            f"Schema {row.name!r} is being purged, and tables of it are gone. Run 'manage.py"
            f" purgeschemas {row.name}' to drop the rest, or restore it from a backup."
        )


def refuse_dropped(row: Schema) -> None:
    """Raise ``WrongState`` if the schema is dropped."""
    refuse_purging(row)
    if row.dropped is not None:
        raise WrongState(
            f"Schema {row.name!r} is dropped since {row.dropped:%Y-%m-%d %H:%M}. Run 'manage.py"
            f" undropschema {row.name}' first, which brings it back."
        )


def due_at(row: Schema) -> datetime | None:
    """Return when a dropped schema may be purged; None if it is not dropped."""
    return row.dropped and row.dropped + get_config().drop_grace

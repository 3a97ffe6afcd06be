"""The registry's side of provisioning: which names may be given, and the rows that give them.

All of it expects the caller's transaction, with ``public`` active.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal
from django.utils import timezone
from psycopg import errors

from appschema.conf import get_config
from appschema.exceptions import InvalidSchemaName, NameRetired, SchemaExists, UnknownSchema
from appschema.models import PublicName, RetiredName, Schema
from appschema.names import is_own_name, validate_schema_name


def refuse_special_name(name: str) -> None:
    """Refuse a name that is ours, or in the search_path of other schemas."""
    config = get_config()
    if is_own_name(name) or name == config.template:
        raise InvalidSchemaName(
            f"The schema name {name!r} is kept for appschema's own schemas, the template and the"
            " spares. Choose another."
        )
    if name in (*config.default_path, config.extensions_schema):
        raise InvalidSchemaName(
            f"The schema name {name!r} stands in APPSCHEMA_DEFAULT_PATH or is"
            " APPSCHEMA_EXTENSIONS_SCHEMA, so that every schema would see its tables. Choose another."
        )


def refuse_name_of_role(connection: BaseDatabaseWrapper, name: str) -> None:
    """Refuse the name of the role that connects: PostgreSQL's own search_path begins with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s IN (session_user, current_user)", [name])
        (is_role,) = cursor.fetchone()
    if is_role:
        raise InvalidSchemaName(
            f"The schema name {name!r} is that of the database role in use, whose sessions begin in a"
            " schema of that name. Choose another."
        )


def register(
    name: str, public_name: str, *, is_active: bool, reuse_name: bool, using: str
) -> Schema:
    """Write the rows of a new schema. Raises ``SchemaExists``, also as ``NameRetired``."""
    if Schema.objects.using(using).filter(name=name).exists():
        raise SchemaExists(f"The schema {name!r} is registered already. Choose another name.")
    taken = PublicName.objects.using(using).filter(public_name=public_name).first()
    if taken is not None:
        raise SchemaExists(
            f"The public name {public_name!r} belongs to the schema {taken.schema.name!r} already."
            " Choose another."
        )
    try:
        with transaction.atomic(using=using):
            row = Schema.objects.using(using).create(name=name, is_active=is_active)
            PublicName.objects.using(using).create(
                public_name=public_name, schema=row, is_primary=True
            )
            # Whoever gives the name up commits that together with the row's end.
            take_name(name, reuse_name=reuse_name, using=using)
    except IntegrityError as error:
        raise SchemaExists(
            f"The schema {name!r} or the public name {public_name!r} has just been created by"
            " somebody else. Choose another."
        ) from error
    return row


def find_row(name: str, *, using: str) -> Schema:
    """Return the row of schema *name*, locked until the commit. Raises ``UnknownSchema``."""
    validate_schema_name(name)
    # Not against those who only refer to it: rows of any table may.
    row = Schema.objects.using(using).select_for_update(no_key=True).filter(name=name).first()
    if row is None:
        raise UnknownSchema(name)
    return row


def take_name(name: str, *, reuse_name: bool, using: str) -> None:
    """Refuse a name that another schema has borne, or, with ``reuse_name``, forget that it has."""
    retired = RetiredName.objects.using(using).filter(name=name)
    if reuse_name:
        retired.delete()
    elif (found := retired.first()) is not None:
        raise NameRetired(
            f"A schema was called {name!r} until {found.retired:%Y-%m-%d}. What is keyed by"
            " that name outside the database, such as files, entries in caches and signed cookies,"
            " would be the new one's. Choose another name, or, if all of that is gone, say reuse_name=True"
            " ('manage.py createschema --reuse-name')."
        )


@contextmanager
def making_schema(name: str) -> Iterator[None]:
    """Raise ``SchemaExists`` if the database has a schema of the name that is made inside.

    The transaction is spoilt then, as with any error, and its ``atomic()`` takes it back.
    """
    try:
        yield
    except ProgrammingError as error:
        if isinstance(error.__cause__, errors.DuplicateSchema):
            raise SchemaExists(
                f"The database has a schema {name!r} already, which is not registered. Nothing of it"
                " was touched. Choose another name; or, if all rows in it are this customer's, take it"
                f" over with 'manage.py createschema {name} PUBLIC_NAME --adopt'."
            ) from error
        raise


def retire_name(name: str, *, using: str) -> None:
    """Note that no other schema shall be called *name*."""
    RetiredName.objects.using(using).update_or_create(
        name=name, defaults={"retired": timezone.now()}
    )


def tell_on_commit(signal: Signal, *, using: str, **told: Any) -> None:
    """Send *signal* after the commit; an error of a receiver is logged by Django, and no more."""
    transaction.on_commit(lambda: _send_all(signal, using=using, **told), using=using, robust=True)


def _send_all(signal: Signal, **told: Any) -> None:
    """Let every receiver run; the first that failed is then raised, to be logged by Django."""
    for _, response in signal.send_robust(sender=Schema, **told):
        if isinstance(response, Exception):
            raise response

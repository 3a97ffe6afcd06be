"""The registry's side of provisioning: which names may be given, and the rows that give them.

All of it expects the caller's transaction, with ``public`` active.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import IntegrityError, ProgrammingError, transaction
from django.dispatch import Signal
from django.utils import timezone
from psycopg import errors

from appschema.conf import get_config
from appschema.exceptions import InvalidSchemaName, NameRetired, SchemaExists, UnknownSchema
from appschema.models import PublicName, RetiredName, Schema, refuse_name_of_public
from appschema.names import (
    is_own_name,
    normalise_public_name,
    quote_identifier,
    quote_literal,
    validate_schema_name,
)

from .questions import Answer, ask


def normalise_for_schema(public_name: object) -> str:
    """Return the name by which a schema is to be reached. Raises ``InvalidPublicName``."""
    name = normalise_public_name(public_name)
    refuse_name_of_public(name)
    return name


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


def ask_for_role(name: str) -> str:
    """Return the question whether *name* is that of the role that connects."""
    return f"SELECT {quote_literal(name)} IN (session_user, current_user)"


def refuse_name_of_role(name: str, answer: Answer) -> None:
    """Refuse the name of the role that connects: PostgreSQL's own search_path begins with it."""
    if answer[0]:
        raise InvalidSchemaName(
            f"The schema name {name!r} is that of the database role in use, whose sessions begin in a"
            " schema of that name. Choose another."
        )


def ask_for_names(name: str, public_name: str) -> str:
    """Return the question whether the names can be given, whose answer ``register`` needs."""
    schemas, names = (quote_identifier(each._meta.db_table) for each in (Schema, PublicName))
    return (
        f"{ask_for_role(name)}, EXISTS (SELECT FROM {schemas} WHERE name = {quote_literal(name)}),"
        f" (SELECT name FROM {schemas} WHERE id = (SELECT schema_id FROM {names}"
        f" WHERE public_name = {quote_literal(public_name)}))"
    )


def register(
    name: str, public_name: str, found: Answer, *, is_active: bool, reuse_name: bool, using: str
) -> Schema:
    """Write the rows of a new schema; *found* is the answer to ``ask_for_names``.

    Raises ``SchemaExists``, also as ``NameRetired``, and ``InvalidSchemaName``. The transaction is
    spoilt then, and the caller's ``atomic()`` takes it back.
    """
    _refuse_taken(name, public_name, found)
    try:
        row = Schema.objects.using(using).create(name=name, is_active=is_active)
        PublicName.objects.using(using).create(public_name=public_name, schema=row, is_primary=True)
    except IntegrityError as error:
        raise SchemaExists(
            f"The schema {name!r} or the public name {public_name!r} has just been created by"
            " somebody else. Choose another."
        ) from error
    # Behind the row: whoever gives the name up commits that together with the end of theirs.
    take_name(name, reuse_name=reuse_name, using=using)
    return row


def _refuse_taken(name: str, public_name: str, found: Answer) -> None:
    refuse_name_of_role(name, found)
    _, is_registered, holder = found
    if is_registered:
        raise SchemaExists(f"The schema {name!r} is registered already. Choose another name.")
    if holder is not None:
        raise SchemaExists(
            f"The public name {public_name!r} belongs to the schema {holder!r} already."
            " Choose another."
        )


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
        return
    table = quote_identifier(RetiredName._meta.db_table)
    (found,) = ask(using, f"SELECT retired FROM {table} WHERE name = {quote_literal(name)}")
    if found:
        raise NameRetired(
            f"A schema was called {name!r} until {found[0]:%Y-%m-%d}. What is keyed by"
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
    send = partial(signal.send_robust, sender=Schema, using=using, **told)
    transaction.on_commit(send, using=using)

"""The public names of a schema, one of which is its primary one."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaExists, UnknownPublicName, WrongState
from appschema.models import PublicName, Schema
from appschema.names import PUBLIC, normalise_public_name, validate_schema_name

from .drop import refuse_dropped
from .register import find_row, normalise_for_schema


def add_public_name(
    name: str, public_name: str, *, primary: bool = False, using: str = DEFAULT_DB_ALIAS
) -> PublicName:
    """Let the schema *name* be reached by *public_name* as well, and return the row of that.

    With *primary* it becomes the primary one, and the one before stays as another. The first name of
    a schema is always its primary one. To make another primary, give a name that the schema has.
    Raises ``UnknownSchema``, ``InvalidPublicName``, ``SchemaExists`` if it is another schema's, and
    ``WrongState`` if the schema is dropped.
    """
    validate_schema_name(name)
    public_name = normalise_for_schema(public_name)
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        row = find_row(name, using=using)
        refuse_dropped(row)
        primaries = PublicName.objects.using(using).filter(schema=row, is_primary=True)
        if primary:
            primaries.exclude(public_name=public_name).update(is_primary=False)
        return _add(row, public_name, is_primary=primary or not primaries.exists(), using=using)


def _add(row: Schema, public_name: str, *, is_primary: bool, using: str) -> PublicName:
    try:
        with transaction.atomic(using=using):
            found, is_new = PublicName.objects.using(using).get_or_create(
                public_name=public_name, defaults={"schema": row, "is_primary": is_primary}
            )
    except IntegrityError as error:
        raise SchemaExists(
            f"The public name {public_name!r} has just been given to another schema."
            " Choose another."
        ) from error
    if found.schema_id != row.pk:
        raise SchemaExists(
            f"The public name {public_name!r} belongs to the schema {found.schema.name!r} already."
            " Choose another, or remove it there first."
        )
    if not is_new and is_primary and not found.is_primary:
        found.is_primary = True
        found.save(update_fields=["is_primary"])
    return found


def remove_public_name(public_name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Let *public_name* lead to no schema any more.

    Other processes remember where it led for up to APPSCHEMA_RESOLVER_MAX_AGE seconds: give it to
    another schema after that.

    Raises ``InvalidPublicName``, ``UnknownPublicName``, and ``WrongState`` for the primary one, without
    which no address could be written into the schema's mails: make another one primary before.
    """
    public_name = normalise_public_name(public_name)
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        names = PublicName.objects.using(using).select_for_update(of=("self",))
        found = names.select_related("schema").filter(public_name=public_name).first()
        if found is None:
            raise UnknownPublicName(public_name)
        if found.is_primary:
            name = found.schema.name
            raise WrongState(
                f"The public name {public_name!r} is the primary one of the schema {name!r}. Run"
                f" 'manage.py addname {name} OTHER --primary' first. If the schema is to have none,"
                f" deactivate it: 'manage.py deactivateschema {name}'."
            )
        found.delete()

"""Make a schema from a script: two messages, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.db import IntegrityError, OperationalError, connections
from psycopg import errors

from appschema.backends.connection import send_bare
from appschema.catalog import Script
from appschema.exceptions import SchemaBusy, TemplateLags
from appschema.patience import OTHERS_ARE_FASTER
from appschema.roles.database import DatabaseRoles

from .register import making_schema


def make_from_script(script: Script, name: str, *, using: str) -> None:
    """Make the schema *name*, and its role if schemas have one.

    Expects the caller's transaction, as the owner with public active. Raises ``SchemaExists``, and
    ``TemplateLags`` if rows of it refer to shared rows that are gone.
    """
    make_inside(script, name, using=using)
    # Last of all, since whoever writes to the shared tables waits from here to the commit.
    add_outside_keys(script, name, using=using)


def make_inside(script: Script, name: str, *, using: str) -> None:
    """Do as ``make_from_script``, without the foreign keys that lead out of the schema."""
    connection = connections[using]
    roles = DatabaseRoles(connection)
    needs_role = roles.are_wanted()
    if needs_role:
        roles.refuse_without_right()
    with making_schema(name):
        send_bare(connection, replace(script, outside=()).render(name))
    if needs_role:
        roles.make_that_of(name, is_new=True)


def add_outside_keys(script: Script, name: str, *, using: str) -> None:
    """Add the foreign keys that lead out of the schema. Raises as ``make_from_script`` does."""
    try:
        send_bare(connections[using], Script(outside=script.outside).render(name))
    except IntegrityError as error:
        if isinstance(error.__cause__, errors.ForeignKeyViolation):
            raise TemplateLags(
                f"Rows of the template refer to shared rows that are gone, so that schema {name!r} was"
                f" not created ({error.__cause__.diag.message_detail}). Mend the rows in the template's"
                " schema, and run 'manage.py schematemplate --compile'."
            ) from error
        raise


@contextmanager
def telling_of_locks(name: str) -> Iterator[None]:
    """Raise ``SchemaBusy`` when others hold the shared tables that foreign keys are to refer to."""
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, OTHERS_ARE_FASTER):
            raise
        raise SchemaBusy(
            f"Schema {name!r} was not created: others hold locks that it needs"
            f" ({error.__cause__.diag.message_primary}), most often on shared tables that its foreign keys"
            " refer to and that an open transaction has written to. Try again. To meet this less often"
            " create the schema before anything else is written in the"
            " transaction, or keep spares (APPSCHEMA_SPARES): see docs/how-to/sign-up.md."
        ) from error

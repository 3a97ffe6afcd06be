"""Tables that stand where they are not placed."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import schema_context
from appschema.exceptions import MigrationError
from appschema.names import PUBLIC
from appschema.placement import get_tables


def refuse_misplaced_tables(connection: BaseDatabaseWrapper) -> None:
    """Raise ``MigrationError`` if tables of isolated apps stand in public.

    A schema that lacks such a table would read public's, where nobody looks for a customer's
    rows.
    """
    managed = {
        table
        for table, model in get_tables().isolated.items()
        if model._meta.can_migrate(connection)
    }
    with schema_context(PUBLIC), connection.cursor() as cursor:
        found = sorted(managed.intersection(connection.introspection.table_names(cursor)))
    if found:
        named = ", ".join(found[:10]) + (", ..." if len(found) > 10 else "")
        raise MigrationError(
            f"Tables of isolated apps stand in public: {named}. A schema that lacks one of them would"
            " read public's. Move them into a schema (ALTER TABLE public.NAME SET SCHEMA ...), drop"
            " them, or name their apps in APPSCHEMA_SHARED_APPS or APPSCHEMA_BOTH_APPS."
        )

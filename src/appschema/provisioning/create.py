"""Make a customer's schema: row, schema and tables in one transaction."""

from __future__ import annotations

from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, transaction

from appschema.context import as_owner, schema_context
from appschema.models import Schema
from appschema.names import PUBLIC, validate_schema_name
from appschema.signals import schema_created

from .from_script import telling_of_locks
from .locks import keeping_migrate_out
from .register import (
    ask_for_names,
    normalise_for_schema,
    refuse_special_name,
    register,
    tell_on_commit,
)
from .sources import make_schema


def new_schema(
    name: str,
    public_name: str,
    *,
    is_active: bool = True,
    reuse_name: bool = False,
    migrate: bool = False,
    template_file: str | Path | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Schema:
    """Create the schema *name* with all tables, reached by *public_name*, and return its row.

    It is a spare, if one is ready, or a copy of the template; where no template is kept (or
    none was made yet) the migrations are run. ``template_file`` names a file that ``schematemplate``
    has written, to be copied instead. With ``migrate`` a copy of a template that lags is migrated.

    All of it commits in one transaction, or with the caller's if one is open; the signal
    ``schema_created`` is sent after that. Neither INSTALLED_APPS nor the app registry is touched:
    other threads serve on. On any error nothing is changed. Raises

    * ``InvalidSchemaName`` and ``InvalidPublicName``;
    * ``SchemaExists`` when a row, a schema in the database or the public name is there already; an
      existing schema is never taken over;
    * ``NameRetired`` for a name that another schema has borne, unless ``reuse_name`` says that its
      files, cache entries and cookies are gone;
    * ``TemplateLags`` when the template is behind the database's records, without ``migrate``;
    * ``SchemaBusy`` when others hold locks for more than APPSCHEMA_LOCK_TIMEOUT, or in a deadlock.
    """
    validate_schema_name(name)
    refuse_special_name(name)
    public_name = normalise_for_schema(public_name)
    alone = keeping_migrate_out(using, ask_for_names(name, public_name))
    # Not the commit: receivers of the signal are not to run as the owner.
    with telling_of_locks(name), transaction.atomic(using=using):
        with as_owner(), schema_context(PUBLIC), alone as (found,):
            row = register(
                name, public_name, found, is_active=is_active, reuse_name=reuse_name, using=using
            )
            make_schema(name, migrate=migrate, template_file=template_file, using=using)
        tell_on_commit(schema_created, schema_name=name, using=using)
    return row

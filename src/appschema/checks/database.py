"""The server and the roles; only with ``check --database``, and before migrate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from appschema.conf import get_config
from appschema.context import as_owner
from appschema.fleet.selection import select_schemas
from appschema.roles.database import DatabaseRoles
from appschema.roles.faults import find_faults
from appschema.router import is_ours

OLDEST_POSTGRESQL = 15


@register(Tags.database)
def check_server(
    app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the version of the server; only with ``check --database``, and before migrate."""
    errors: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if is_ours(connection) and connection.get_database_version() < (OLDEST_POSTGRESQL,):
            version = ".".join(map(str, connection.get_database_version()))
            errors.append(
                Error(
                    f"The database {alias!r} is PostgreSQL {version}; appschema supports"
                    f" {OLDEST_POSTGRESQL} and later.",
                    hint="Upgrade the server.",
                    id="appschema.E008",
                )
            )
    return errors


@register(Tags.database)
def check_roles(
    app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the roles of the schemas; only with ``check --database``, and before migrate."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if not (is_ours(connections[alias]) and get_config().roles):
            continue
        roles = DatabaseRoles(connections[alias])
        with as_owner():
            names = select_schemas(alias)
            # Before the first migrate nothing is missing: it makes what the database has once.
            faults = find_faults(connections[alias], names) if names or roles.are_made() else ()
            found += [
                Warning(
                    fault,
                    hint="Run 'manage.py schemaroles --enable', which makes what is missing.",
                    id="appschema.W008",
                )
                for fault in faults
            ]
    return found

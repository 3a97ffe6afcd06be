"""What the roles may do with tables and sequences, as statements that give it to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps

from appschema.conf import get_config
from appschema.names import MARKER_TABLE, PUBLIC, marker_table, quote_identifier
from appschema.placement import get_placement, get_tables

from . import SHARED, UNSET

OWN = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
_OWN = ", ".join(OWN)
_SEQUENCE = "USAGE, SELECT, UPDATE"


def shared_tables() -> list[str]:
    """Return the names of the tables that every schema may use in public."""
    placement, tables = get_placement(), get_tables()
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    found = {each._meta.db_table for each in models if each._meta.app_label in placement.shared}
    return sorted(found.difference(tables.in_schemas))


def rights_in_schema(schema_name: str, role: str) -> list[str]:
    """Return what gives the role (quoted) its rights in its schema, for now and later."""
    schema = quote_identifier(schema_name)
    marker = marker_table(schema_name)
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT {_OWN} ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON {marker} FROM {role}",
        f"GRANT SELECT ON {marker} TO {role}",
        f"GRANT {_SEQUENCE} ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        *_defaults(schema, role),
    ]


def rights_in_public(cursor: Any, roles: dict[str, str]) -> list[str]:
    """Return what gives each of *roles* (quoted, by its part) its rights in public.

    Of tables that are there; those of another owner, which cannot be given away, are left out.
    """
    cursor.execute(
        """
        SELECT c.relname, c.relkind = 'S', t.relname
          FROM pg_class AS c
          LEFT JOIN pg_depend AS d ON d.objid = c.oid AND c.relkind = 'S' AND deptype IN ('a', 'i')
                AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
          LEFT JOIN pg_class AS t ON t.oid = refobjid
         WHERE c.relnamespace = 'public'::regnamespace AND pg_has_role(c.relowner, 'USAGE')
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        """
    )
    found = cursor.fetchall()
    tables = {name for name, is_sequence, _ in found if not is_sequence}
    owners = {name: table for name, is_sequence, table in found if is_sequence}
    shared = tables.intersection(shared_tables())
    # Others, such as a view that a migration made, keep what rights they were given by hand.
    known = shared | tables.intersection([*get_tables().in_schemas, MARKER_TABLE])
    of_shared = {name for name, table in owners.items() if table in shared}
    of_known = {name for name, table in owners.items() if table in known}
    marker = tables.intersection([MARKER_TABLE])
    rights = ", ".join(get_config().roles_shared_rights)
    group, unset, public = roles[SHARED], roles[UNSET], roles[PUBLIC]
    writes = "INSERT" in get_config().roles_shared_rights
    return [
        *_on("REVOKE ALL ON", known, f"FROM {group}, {unset}"),
        *_on("REVOKE ALL ON SEQUENCE", of_known, f"FROM {group}, {unset}"),
        *(_on(f"GRANT {rights} ON", shared, f"TO {group}") if rights else ()),
        *_on(f"GRANT {_OWN} ON", shared, f"TO {unset}"),
        *_on(f"GRANT {_OWN} ON", tables, f"TO {public}"),
        *_on("REVOKE ALL ON", marker, f"FROM {public}"),
        *_on("GRANT SELECT ON", marker, f"TO {public}, {unset}"),
        *(_on(f"GRANT {_SEQUENCE} ON SEQUENCE", of_shared, f"TO {group}") if writes else ()),
        *_on(f"GRANT {_SEQUENCE} ON SEQUENCE", of_shared, f"TO {unset}"),
        *_on(f"GRANT {_SEQUENCE} ON SEQUENCE", owners, f"TO {public}"),
        *_defaults(quote_identifier(PUBLIC), public),
    ]


def _on(act: str, names: Iterable[str], end: str) -> list[str]:
    public = quote_identifier(PUBLIC)
    each = ", ".join(f"{public}.{quote_identifier(name)}" for name in sorted(names))
    return [f"{act} {each} {end}"] if each else []


def _defaults(schema: str, role: str) -> list[str]:
    """Return what gives the role its rights on tables that the one in use makes later."""
    start = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
    return [
        f"{start} {_OWN} ON TABLES TO {role}",
        f"{start} {_SEQUENCE} ON SEQUENCES TO {role}",
    ]

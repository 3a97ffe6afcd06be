"""What is wrong with the roles of a database, found out without changing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.conf import get_config
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier
from appschema.placement import get_tables

from . import SHARED, UNSET
from .database import OF_DATABASE, DatabaseRoles
from .rights import OWN, shared_tables

_ROLES = """
    SELECT rolname, pg_has_role(session_user, oid, %s), rolcanlogin OR rolsuper
           OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
      FROM pg_roles WHERE rolname = ANY(%s)
"""
_LACKING_ON_TABLES = """
    SELECT part, relname, string_agg(wanted, ', ' ORDER BY position)
      FROM unnest(%s::text[], %s::text[]) AS given (part, role)
      JOIN pg_namespace AS n ON nspname = part
      JOIN pg_class AS c ON relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f')
     CROSS JOIN unnest(%s::text[]) WITH ORDINALITY AS rights (wanted, position)
     WHERE (relname <> %s OR wanted = 'SELECT')
       AND (part <> 'public' OR pg_has_role(relowner, 'USAGE'))
       AND NOT has_table_privilege(role, c.oid, wanted)
     GROUP BY part, relname ORDER BY 1, 2
"""
_LACKING_USAGE = """
    SELECT part, NULL FROM unnest(%s::text[], %s::text[]) AS given (part, role)
      JOIN pg_namespace AS n ON nspname = part
     WHERE NOT has_schema_privilege(role, n.oid, 'USAGE')
     UNION ALL
    SELECT part, relname FROM unnest(%s::text[], %s::text[]) AS given (part, role)
      JOIN pg_namespace AS n ON nspname = part
      JOIN pg_class AS c ON relnamespace = n.oid AND relkind = 'S'
     WHERE (part <> 'public' OR pg_has_role(relowner, 'USAGE'))
       AND NOT has_sequence_privilege(role, c.oid, 'USAGE')
"""
_NO_MEMBERS = """
    SELECT part FROM unnest(%s::text[], %s::text[]) AS given (part, role)
     WHERE part <> 'public' AND NOT EXISTS (
           SELECT FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
             JOIN pg_roles AS r ON r.oid = m.member
            WHERE g.rolname = %s AND r.rolname = role)
"""
_LACKING_ON_SHARED = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relname = ANY(%s)
       AND NOT (SELECT bool_and(has_table_privilege(%s, pg_class.oid, wanted))
                  FROM unnest(%s::text[]) AS wanted)
     ORDER BY 1
"""
_EXCESS = """
    SELECT DISTINCT nspname, relname, coalesce(rolname, 'PUBLIC')
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
     CROSS JOIN LATERAL aclexplode(relacl) AS a
      LEFT JOIN pg_roles AS r ON r.oid = grantee
      LEFT JOIN unnest(%s::text[], %s::text[]) AS given (part, role) ON role = rolname
     WHERE (part <> nspname)
        OR (rolname = ANY(%s) AND nspname = 'public' AND relname = ANY(%s)
            AND NOT (relname = %s AND privilege_type = 'SELECT'))
        OR (grantee = 0 AND (nspname = ANY(%s) AND nspname <> 'public'
            OR nspname = 'public' AND relname = ANY(%s)))
     ORDER BY 1, 2, 3
"""


def find_faults(connection: BaseDatabaseWrapper, schema_names: Sequence[str]) -> list[str]:
    """Return a sentence for each role that is missing, and each right too few or too many.

    Of the roles of these schemas, and of those that the database has once. Some statements,
    whatever the number of schemas.
    """
    roles = DatabaseRoles(connection)
    with roles.cursor() as cursor:
        names = {part: roles.name_in(cursor, part) for part in (*OF_DATABASE, *schema_names)}
        cursor.execute(
            _ROLES, ["SET" if roles.inherits_by_grant else "MEMBER", list(names.values())]
        )
        found = {name: (may_take, is_strong) for name, may_take, is_strong in cursor.fetchall()}
        present = {part: name for part, name in names.items() if name in found}
        look = _Look(cursor, present)
        return [
            *_find_roles(names, found),
            *look.lacking_in_schemas(),
            *look.lacking_of_shared(),
            *look.excess(),
        ]


def _find_roles(names: dict[str, str], found: dict[str, tuple[bool, bool]]) -> Iterator[str]:
    for part, name in names.items():
        if name not in found:
            yield f"The role {name!r} of {_describe(part)} is missing."
            continue
        may_take, is_strong = found[name]
        if not may_take and part != SHARED:
            yield f"The login may not take the role {name!r} of {_describe(part)}."
        if is_strong:
            yield f"The role {name!r} may log in, or may more than its tables' rights say."


@dataclass(frozen=True)
class _Look:
    """One look at the rights of the roles that are there."""

    cursor: Any
    present: dict[str, str]
    """The names of roles by schema, or ``@shared`` and so on."""

    @property
    def schemas(self) -> list[str]:
        return [part for part in self.present if not part.startswith("@")]

    @property
    def pairs(self) -> list[list[str]]:
        """Two lists: schemas, and their roles."""
        return [self.schemas, [self.present[each] for each in self.schemas]]

    def ask(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        self.cursor.execute(sql, params)
        return self.cursor.fetchall()  # type: ignore[no-any-return]

    def lacking_in_schemas(self) -> Iterator[str]:
        params = [*self.pairs, list(OWN), MARKER_TABLE]
        for part, table, rights in self.ask(_LACKING_ON_TABLES, params):
            yield f"The role of {_describe(part)} lacks {rights} on its table {table!r}."
        for part, sequence in self.ask(_LACKING_USAGE, self.pairs * 2):
            what = "the schema" if sequence is None else f"its sequence {sequence!r}"
            yield f"The role of {_describe(part)} lacks USAGE on {what}."

    def lacking_of_shared(self) -> Iterator[str]:
        if SHARED not in self.present:
            return
        group = self.present[SHARED]
        for (part,) in self.ask(_NO_MEMBERS, [*self.pairs, group]):
            yield f"The role of {_describe(part)} is no member of {group!r}."
        if rights := get_config().roles_shared_rights:
            for (table,) in self.ask(_LACKING_ON_SHARED, [shared_tables(), group, list(rights)]):
                yield (
                    f"The role {group!r} lacks {', '.join(rights)} on the shared table {table!r}."
                )

    def excess(self) -> Iterator[str]:
        outside = [self.present[each] for each in (SHARED, UNSET) if each in self.present]
        guarded = [*get_tables().in_schemas, MARKER_TABLE]
        params = [*self.pairs, outside, guarded, MARKER_TABLE, self.schemas, guarded]
        for schema_name, table, role in self.ask(_EXCESS, params):
            yield (
                f"The role {role!r} has rights on {table!r} of {_describe(schema_name)}, which it must"
                f" not have: 'REVOKE ALL ON {quote_identifier(schema_name)}."
                f"{quote_identifier(table)} FROM"
                f" {role if role == 'PUBLIC' else quote_identifier(role)}' takes them."
            )


def _describe(part: str) -> str:
    if part.startswith("@"):
        return f"the database ({part})"
    return "public" if part == PUBLIC else f"schema {part!r}"

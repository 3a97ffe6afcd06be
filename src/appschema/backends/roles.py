"""The PostgreSQL roles of one database: made, given their rights, and dropped.

    appschema/shop/acme       of each schema: its own tables, and through @shared the shared apps'
    appschema/shop/public     of public: all that is in it
    appschema/shop/@unset     while no schema is active: the shared apps' tables
    appschema/shop/@shared    the shared apps' tables for all schemas, so that a thousand of them
                              are one entry in the rights of each such table
    appschema/shop/@logins    whoever is a member may take the roles above

None can log in, and none owns anything: tables belong to the role that migrates. A login is a
member of @logins without inheriting from it, so that it has no rights of a schema by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import InternalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import RoleError
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier, quote_literal, role_name
from appschema.placement import get_placement, get_tables

SHARED, UNSET, LOGINS = "@shared", "@unset", "@logins"
_OF_DATABASE = (SHARED, UNSET, PUBLIC, LOGINS)
_OWN = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
_SEQUENCE = "USAGE, SELECT, UPDATE"
_COMMENT = "Made by appschema for the database "
_LOCK = 0x61707073  # "apps": two commands that make the same roles wait for each other
_INHERIT_BY_GRANT = 160000  # before 16 it is an attribute of the member


class DatabaseRoles:
    """The roles of the database of one connection; nothing is asked before a method is called."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._known_database: str | None = None

    def name_of(self, part: str) -> str:
        """Return the name of the role of a schema, of public, or of ``@shared`` and so on."""
        with self._cursor() as cursor:
            return self._name_of(cursor, part)

    def are_made(self) -> bool:
        """Tell whether the database has roles, whatever the setting says."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)",
                [self._name_of(cursor, SHARED)],
            )
            return bool(cursor.fetchone()[0])

    def are_wanted(self) -> bool:
        """Tell whether what is created now needs roles: by the setting, or as others have them."""
        return get_config().roles or self.are_made()

    def refuse_without_right(self) -> None:
        """Raise ``RoleError`` if the role in use may not make roles."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT rolname, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
            name, may = cursor.fetchone()
        if not may:
            raise RoleError(
                f"The role {name!r} may not make roles, and nothing was changed. Let a superuser run"
                f" 'ALTER ROLE {quote_identifier(name)} CREATEROLE', or connect as another."
            )

    def make_those_of_database(self) -> None:
        """Make what the database has once, and give it its rights in public; any number of times.

        After each migration of public: new tables of shared apps are opened to the schemas here.
        """
        self.refuse_without_right()
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            roles = {part: self._make(cursor, part) for part in _OF_DATABASE}
            logins = roles[LOGINS]
            self._grant_membership(cursor, roles[UNSET], logins, inherits=False)
            self._grant_membership(cursor, roles[PUBLIC], logins, inherits=False)
            self._grant_membership(cursor, logins, "SESSION_USER", inherits=False)
            self._open_path(cursor, [roles[part] for part in (SHARED, UNSET, PUBLIC)])
            statements = self._rights_in_public(cursor, roles)
            cursor.execute("; ".join(statements))

    def allow_login(self, login: str) -> None:
        """Let another login take the roles. Raises PostgreSQL's error for one that there is not."""
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            member = quote_identifier(login)
            self._grant_membership(cursor, self._quoted(cursor, LOGINS), member, inherits=False)

    def make_that_of(self, schema_name: str, *, is_new: bool = False) -> None:
        """Make the role of a schema and give it its rights; any number of times.

        With ``is_new`` a role that an earlier schema of the name has left is dropped first.
        """
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            if is_new:
                self._drop(cursor, schema_name)
            role = self._make(cursor, schema_name)
            self._grant_membership(cursor, role, self._quoted(cursor, LOGINS), inherits=False)
            self._grant_membership(cursor, self._quoted(cursor, SHARED), role, inherits=True)
            schema, own = quote_identifier(schema_name), ", ".join(_OWN)
            marker = f"{schema}.{quote_identifier(MARKER_TABLE)}"
            statements = [
                f"GRANT USAGE ON SCHEMA {schema} TO {role}",
                f"GRANT {own} ON ALL TABLES IN SCHEMA {schema} TO {role}",
                f"REVOKE ALL ON {marker} FROM {role}",
                f"GRANT SELECT ON {marker} TO {role}",
                f"GRANT {_SEQUENCE} ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
                *_defaults(schema, role),
            ]
            cursor.execute("; ".join(statements))

    def drop_that_of(self, schema_name: str) -> None:
        """Drop the role of a schema, if it has one."""
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            self._drop(cursor, schema_name)

    def rename_that_of(self, schema_name: str, new_name: str) -> None:
        """Let the role of a schema, if it has one, be that of *new_name*; its rights stay.

        A role that an earlier schema of that name has left is dropped first.
        """
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            if self._is_there(cursor, self._name_of(cursor, schema_name)):
                self.refuse_without_right()
                self._drop(cursor, new_name)
                old, new = self._quoted(cursor, schema_name), self._quoted(cursor, new_name)
                cursor.execute(f"ALTER ROLE {old} RENAME TO {new}")

    def drop_those_of_database(self) -> None:
        """Drop what the database has once; the roles of schemas must be gone."""
        with transaction.atomic(using=self.connection.alias), self._cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for part in _OF_DATABASE:
                self._drop(cursor, part)

    def faults(self, schema_names: Sequence[str]) -> Iterator[str]:
        """Yield a sentence for each role that is missing, and each right too few or too many."""
        with self._cursor() as cursor:
            names = {part: self._name_of(cursor, part) for part in (*_OF_DATABASE, *schema_names)}
            cursor.execute(
                "SELECT rolname, pg_has_role(session_user, oid, %s), rolcanlogin OR rolsuper"
                " OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication"
                " FROM pg_roles WHERE rolname = ANY(%s)",
                ["SET" if self._inherits_by_grant else "MEMBER", list(names.values())],
            )
            found = {name: (may_take, is_strong) for name, may_take, is_strong in cursor.fetchall()}
            for part, name in names.items():
                if name not in found:
                    yield f"The role {name!r} of {_describe(part)} is missing."
                    continue
                may_take, is_strong = found[name]
                if not may_take and part != SHARED:
                    yield f"The login may not take the role {name!r} of {_describe(part)}."
                if is_strong:
                    yield f"The role {name!r} may log in, or may more than its tables' rights say."
            present = {part: name for part, name in names.items() if name in found}
            yield from self._missing_rights(cursor, present)
            yield from self._excess_rights(cursor, present)

    def _missing_rights(self, cursor: Any, present: dict[str, str]) -> Iterator[str]:
        schemas = [part for part in present if not part.startswith("@")]
        cursor.execute(
            """
            SELECT part, relname, string_agg(wanted, ', ' ORDER BY position)
              FROM unnest(%s::text[], %s::text[]) AS given (part, role)
              JOIN pg_namespace AS n ON nspname = part
              JOIN pg_class AS c ON relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f')
             CROSS JOIN unnest(%s::text[]) WITH ORDINALITY AS rights (wanted, position)
             WHERE (relname <> %s OR wanted = 'SELECT')
               AND (part <> 'public' OR pg_has_role(relowner, 'USAGE'))
               AND NOT has_table_privilege(role, c.oid, wanted)
             GROUP BY part, relname ORDER BY 1, 2
            """,
            [schemas, [present[each] for each in schemas], list(_OWN), MARKER_TABLE],
        )
        for part, table, rights in cursor.fetchall():
            yield f"The role of {_describe(part)} lacks {rights} on its table {table!r}."
        cursor.execute(
            """
            SELECT part, NULL FROM unnest(%s::text[], %s::text[]) AS given (part, role)
              JOIN pg_namespace AS n ON nspname = part
             WHERE NOT has_schema_privilege(role, n.oid, 'USAGE')
             UNION ALL
            SELECT part, relname FROM unnest(%s::text[], %s::text[]) AS given (part, role)
              JOIN pg_namespace AS n ON nspname = part
              JOIN pg_class AS c ON relnamespace = n.oid AND relkind = 'S'
             WHERE (part <> 'public' OR pg_has_role(relowner, 'USAGE'))
               AND NOT has_sequence_privilege(role, c.oid, 'USAGE')
            """,
            [schemas, [present[each] for each in schemas]] * 2,
        )
        for part, sequence in cursor.fetchall():
            what = "the schema" if sequence is None else f"its sequence {sequence!r}"
            yield f"The role of {_describe(part)} lacks USAGE on {what}."
        cursor.execute(
            """
            SELECT part, NOT EXISTS (
                SELECT FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
                  JOIN pg_roles AS r ON r.oid = m.member
                 WHERE g.rolname = %s AND r.rolname = role)
              FROM unnest(%s::text[], %s::text[]) AS given (part, role) WHERE part <> 'public'
            """,
            [present.get(SHARED, ""), schemas, [present[each] for each in schemas]],
        )
        for part, is_outside in cursor.fetchall():
            if is_outside and SHARED in present:
                yield f"The role of {_describe(part)} is no member of {present[SHARED]!r}."
        rights = get_config().roles_shared_rights
        if SHARED in present and rights:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relname = ANY(%s) AND NOT (SELECT bool_and(has_table_privilege(%s, pg_class.oid,"
                " wanted)) FROM unnest(%s::text[]) AS wanted) ORDER BY 1",
                [_shared_tables(), present[SHARED], list(rights)],
            )
            for (table,) in cursor.fetchall():
                yield (
                    f"The role {present[SHARED]!r} lacks {', '.join(rights)} on the shared table"
                    f" {table!r}."
                )

    def _excess_rights(self, cursor: Any, present: dict[str, str]) -> Iterator[str]:
        schemas = [part for part in present if not part.startswith("@")]
        outside = [present[each] for each in (SHARED, UNSET) if each in present]
        guarded = [*get_tables().in_schemas, MARKER_TABLE]
        cursor.execute(
            """
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
            """,
            [
                schemas,
                [present[each] for each in schemas],
                outside,
                guarded,
                MARKER_TABLE,
                schemas,
                guarded,
            ],
        )
        for schema_name, table, role in cursor.fetchall():
            yield (
                f"The role {role!r} has rights on {table!r} of {_describe(schema_name)}, which it must"
                f" not have: 'REVOKE ALL ON {quote_identifier(schema_name)}."
                f"{quote_identifier(table)} FROM"
                f" {role if role == 'PUBLIC' else quote_identifier(role)}' takes them."
            )

    @property
    def _inherits_by_grant(self) -> bool:
        version: int = self.connection.pg_version  # type: ignore[attr-defined]
        return version >= _INHERIT_BY_GRANT

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with schema_context(PUBLIC), as_owner(), self.connection.cursor() as cursor:
            yield cursor

    def _database(self, cursor: Any) -> str:
        if self._known_database is None:
            cursor.execute("SELECT current_database()")
            self._known_database = str(cursor.fetchone()[0])
        return self._known_database

    def _name_of(self, cursor: Any, part: str) -> str:
        return role_name(self._database(cursor), part)

    def _quoted(self, cursor: Any, part: str) -> str:
        return quote_identifier(self._name_of(cursor, part))

    def _comment(self, cursor: Any) -> str:
        return f"{_COMMENT}{self._database(cursor)!r}."

    def _is_there(self, cursor: Any, name: str) -> bool:
        """Tell whether the role exists. Raises ``RoleError`` for one that is not ours."""
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", [name]
        )
        found = cursor.fetchone()
        if found is not None and found[0] != self._comment(cursor):
            raise RoleError(
                f"There is a role {name!r} which appschema has not made for this database: its comment"
                f" is {found[0]!r}. Nothing was changed. Drop the role, or rename it."
            )
        return found is not None

    def _make(self, cursor: Any, part: str) -> str:
        name = self._name_of(cursor, part)
        quoted = quote_identifier(name)
        if not self._is_there(cursor, name):
            # Before 16 what a login does not inherit through @logins ends at this attribute.
            kind = "NOLOGIN NOINHERIT" if part == LOGINS else "NOLOGIN INHERIT"
            comment = quote_literal(self._comment(cursor))
            cursor.execute(f"CREATE ROLE {quoted} {kind}; COMMENT ON ROLE {quoted} IS {comment}")
        return quoted

    def _grant_membership(self, cursor: Any, role: str, member: str, *, inherits: bool) -> None:
        options = ""
        if self._inherits_by_grant:
            options = " WITH INHERIT TRUE" if inherits else " WITH INHERIT FALSE, SET TRUE"
        cursor.execute(f"GRANT {role} TO {member}{options}")

    def _open_path(self, cursor: Any, roles: Iterable[str]) -> None:
        """Let the roles look into the schemas of the default path, where not everybody may."""
        config = get_config()
        for schema_name in dict.fromkeys([*config.default_path, config.extensions_schema]):
            for role in roles:
                cursor.execute(
                    "SELECT has_schema_privilege(%s, oid, 'USAGE') FROM pg_namespace"
                    " WHERE nspname = %s",
                    [role[1:-1].replace('""', '"'), schema_name],
                )
                found = cursor.fetchone()
                if found is not None and not found[0]:
                    schema = quote_identifier(schema_name)
                    cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")

    def _rights_in_public(self, cursor: Any, roles: dict[str, str]) -> list[str]:
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
        shared = tables.intersection(_shared_tables())
        # Others, such as a view that a migration made, keep what rights they were given by hand.
        known = shared | tables.intersection([*get_tables().in_schemas, MARKER_TABLE])
        of_shared = {name for name, table in owners.items() if table in shared}
        of_known = {name for name, table in owners.items() if table in known}
        marker = tables.intersection([MARKER_TABLE])
        rights, own = ", ".join(get_config().roles_shared_rights), ", ".join(_OWN)
        group, unset, public = roles[SHARED], roles[UNSET], roles[PUBLIC]
        writes = "INSERT" in get_config().roles_shared_rights
        return [
            *_on("REVOKE ALL ON", known, f"FROM {group}, {unset}"),
            *_on("REVOKE ALL ON SEQUENCE", of_known, f"FROM {group}, {unset}"),
            *(_on(f"GRANT {rights} ON", shared, f"TO {group}") if rights else ()),
            *_on(f"GRANT {own} ON", shared, f"TO {unset}"),
            *_on(f"GRANT {own} ON", tables, f"TO {public}"),
            *_on("REVOKE ALL ON", marker, f"FROM {public}"),
            *_on("GRANT SELECT ON", marker, f"TO {public}, {unset}"),
            *(_on(f"GRANT {_SEQUENCE} ON SEQUENCE", of_shared, f"TO {group}") if writes else ()),
            *_on(f"GRANT {_SEQUENCE} ON SEQUENCE", of_shared, f"TO {unset}"),
            *_on(f"GRANT {_SEQUENCE} ON SEQUENCE", owners, f"TO {public}"),
            *_defaults(quote_identifier(PUBLIC), public),
        ]

    def _drop(self, cursor: Any, part: str) -> None:
        name = self._name_of(cursor, part)
        if not self._is_there(cursor, name):
            return
        role = quote_identifier(name)
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass"
            " AND refobjid = %s::regrole AND dbid ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [role],
        )
        if cursor.fetchone()[0]:
            # Rights are taken by DROP OWNED, which wants the role's own, also of who has made it.
            self._grant_membership(cursor, role, "CURRENT_USER", inherits=True)
            cursor.execute(f"DROP OWNED BY {role}")
        try:
            cursor.execute(f"DROP ROLE {role}")
        except InternalError as error:
            if not isinstance(error.__cause__, errors.DependentObjectsStillExist):
                raise
            detail = error.__cause__.diag.message_detail
            raise RoleError(
                f"The role {name!r} cannot be dropped, since somebody else has given it rights:"
                f" {detail}. Nothing was changed. Take them from it, as who gave them, or as a"
                " superuser, and try again."
            ) from error


def drop_roles_of_gone_database(cursor: Any, database: str) -> None:
    """Drop the roles of a database that has just been dropped, as far as no other names them."""
    cursor.execute(
        "SELECT quote_ident(rolname) FROM pg_roles AS r"
        " WHERE shobj_description(oid, 'pg_authid') = %s AND NOT EXISTS (SELECT FROM pg_shdepend"
        " WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid AND dbid <> 0)",
        [f"{_COMMENT}{database!r}."],
    )
    for (role,) in cursor.fetchall():
        cursor.execute(f"DROP ROLE {role}")


def _on(act: str, names: Iterable[str], end: str) -> list[str]:
    public = quote_identifier(PUBLIC)
    each = ", ".join(f"{public}.{quote_identifier(name)}" for name in sorted(names))
    return [f"{act} {each} {end}"] if each else []


def _defaults(schema: str, role: str) -> list[str]:
    """Return what gives the role its rights on tables that the one in use makes later."""
    start = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
    return [
        f"{start} {', '.join(_OWN)} ON TABLES TO {role}",
        f"{start} {_SEQUENCE} ON SEQUENCES TO {role}",
    ]


def _shared_tables() -> list[str]:
    placement, tables = get_placement(), get_tables()
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    found = {each._meta.db_table for each in models if each._meta.app_label in placement.shared}
    return sorted(found.difference(tables.in_schemas))


def _describe(part: str) -> str:
    if part.startswith("@"):
        return f"the database ({part})"
    return "public" if part == PUBLIC else f"schema {part!r}"

"""The roles of a database: made, given their rights, and dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from django.db import InternalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import RoleError
from appschema.names import PUBLIC, quote_identifier, quote_literal, role_name

from . import LOGINS, SHARED, UNSET
from .rights import rights_in_public, rights_in_schema

OF_DATABASE = (SHARED, UNSET, PUBLIC, LOGINS)
"""The roles that a database has once."""

_COMMENT = "Made by appschema for the database "
_LOCK = 0x61707073  # "apps": two commands that make the same roles wait for each other
_INHERIT_BY_GRANT = 160000  # before 16 it is an attribute of the member

_databases: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""The database of each psycopg connection that was asked."""


class DatabaseRoles:
    """The roles of the database of one connection; nothing is asked before a method is called."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def name_of(self, part: str) -> str:
        """Return the name of the role of a schema, of public, or of ``@shared`` and so on."""
        with self.cursor() as cursor:
            return self.name_in(cursor, part)

    def are_made(self) -> bool:
        """Tell whether the database has roles, whatever the setting says."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)",
                [self.name_in(cursor, SHARED)],
            )
            return bool(cursor.fetchone()[0])

    def are_wanted(self) -> bool:
        """Tell whether what is created now needs roles: by the setting, or as others have them."""
        return get_config().roles or self.are_made()

    def refuse_without_right(self) -> None:
        """Raise ``RoleError`` if the role in use may not make roles."""
        with self.cursor() as cursor:
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
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            roles = {part: self._make(cursor, part) for part in OF_DATABASE}
            logins = roles[LOGINS]
            self._let_take(cursor, roles[UNSET], logins)
            self._let_take(cursor, roles[PUBLIC], logins)
            self._let_take(cursor, logins, "SESSION_USER")
            self._open_path(cursor, [roles[part] for part in (SHARED, UNSET, PUBLIC)])
            cursor.execute("; ".join(rights_in_public(cursor, roles)))

    def allow_login(self, login: str) -> None:
        """Let another login take the roles. Raises PostgreSQL's error for one that there is not."""
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            member = quote_identifier(login)
            self._let_take(cursor, self._quoted(cursor, LOGINS), member)

    def make_that_of(self, schema_name: str, *, is_new: bool = False) -> None:
        """Make the role of a schema and give it its rights; any number of times.

        With ``is_new`` a role that an earlier schema of the name has left is dropped first.
        """
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            if is_new:
                self._drop(cursor, schema_name)
            role = self._make(cursor, schema_name)
            self._let_take(cursor, role, self._quoted(cursor, LOGINS))
            self._grant_rights_of(cursor, self._quoted(cursor, SHARED), role)
            cursor.execute("; ".join(rights_in_schema(schema_name, role)))

    def drop_that_of(self, schema_name: str) -> None:
        """Drop the role of a schema, if it has one."""
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            self._drop(cursor, schema_name)

    def rename_that_of(self, schema_name: str, new_name: str) -> bool:
        """Let the role of a schema be that of *new_name*, and tell whether it has one; its rights stay.

        A role that an earlier schema of that name has left is dropped first.
        """
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            if not self._is_there(cursor, self.name_in(cursor, schema_name)):
                return False
            self.refuse_without_right()
            self._drop(cursor, new_name)
            old, new = self._quoted(cursor, schema_name), self._quoted(cursor, new_name)
            cursor.execute(f"ALTER ROLE {old} RENAME TO {new}")
        return True

    def drop_those_of_database(self) -> None:
        """Drop what the database has once; the roles of schemas must be gone."""
        with transaction.atomic(using=self.connection.alias), self.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for part in OF_DATABASE:
                self._drop(cursor, part)

    @property
    def inherits_by_grant(self) -> bool:
        """Whether what a member inherits, and what it may take, is said with each grant."""
        version: int = self.connection.pg_version  # type: ignore[attr-defined]
        return version >= _INHERIT_BY_GRANT

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Give a cursor of the owner, in public."""
        with schema_context(PUBLIC), as_owner(), self.connection.cursor() as cursor:
            yield cursor

    def _database(self, cursor: Any) -> str:
        # The same for as long as the connection lives, whatever pooler is between.
        session = self.connection.connection
        if session not in _databases:
            cursor.execute("SELECT current_database()")
            _databases[session] = str(cursor.fetchone()[0])
        return _databases[session]

    def name_in(self, cursor: Any, part: str) -> str:
        """Return what ``name_of`` does, with a cursor that is open."""
        return role_name(self._database(cursor), part)

    def _quoted(self, cursor: Any, part: str) -> str:
        return quote_identifier(self.name_in(cursor, part))

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
        name = self.name_in(cursor, part)
        quoted = quote_identifier(name)
        if not self._is_there(cursor, name):
            # Before 16 what a login does not inherit through @logins ends at this attribute.
            kind = "NOLOGIN NOINHERIT" if part == LOGINS else "NOLOGIN INHERIT"
            comment = quote_literal(self._comment(cursor))
            cursor.execute(f"CREATE ROLE {quoted} {kind}; COMMENT ON ROLE {quoted} IS {comment}")
        return quoted

    def _let_take(self, cursor: Any, role: str, member: str) -> None:
        """Let the member take the role, and have none of its rights before that."""
        options = " WITH INHERIT FALSE, SET TRUE" if self.inherits_by_grant else ""
        cursor.execute(f"GRANT {role} TO {member}{options}")

    def _grant_rights_of(self, cursor: Any, role: str, member: str) -> None:
        """Give the member the role's rights, and not the role itself.

        Whenever a role is made PostgreSQL looks up anew, for each connection, which roles its
        login may take, and goes on from each of them: this one it need not look at.
        """
        options = " WITH INHERIT TRUE, SET FALSE" if self.inherits_by_grant else ""
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

    def _drop(self, cursor: Any, part: str) -> None:
        name = self.name_in(cursor, part)
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
            self._grant_rights_of(cursor, role, "CURRENT_USER")
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

"""The envelope: the text that carries the current schema with a statement, in one message.

    SET LOCAL search_path TO "acme", "public", pg_temp;
    SET LOCAL ROLE "appschema/shop/acme";                    -- with APPSCHEMA_ROLES only
    LOCK TABLE ONLY "acme"."django_migrations" IN ACCESS SHARE MODE;
    SELECT ...

The lock makes PostgreSQL itself refuse the message when the schema is gone, where a missing
schema in search_path would be passed over and ``public`` be read. It conflicts with nothing
but DROP and ALTER, returns no row, takes no snapshot and is allowed in read-only transactions.

``pg_temp`` comes last, so that a temporary table which one request left behind on a connection
never stands before the tables of a schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

from appschema.conf import get_config
from appschema.context import get_owner
from appschema.names import MARKER_TABLE, PUBLIC, quote_identifier, quote_literal, role_name
from appschema.placement import Names, get_tables

from .statement import LONGEST_REMEMBERED, Statement, read_statement, split_statements
from .transaction import Holder

_FIRE_PENDING = (b"SET CONSTRAINTS ALL IMMEDIATE", b"SET CONSTRAINTS ALL DEFERRED")
_MAKES_TABLE = re.compile(
    rb"""(?:create\s+(?:unlogged\s+|foreign\s+)?table\s+(?:if\s+not\s+exists\s+)?
           |create\s+materialized\s+view\s+(?:if\s+not\s+exists\s+)?
           |create\s+(?:or\s+replace\s+)?(?:recursive\s+)?view\s+
           |alter\s+table\s+[^;\s]+\s+rename\s+to\s+) "?([^"\s(;.]+)"?""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Envelope:
    """What precedes a statement in its message."""

    schema_name: str | None
    """The schema that is carried; None for public, with or without a current schema."""

    path: str
    """The value of search_path."""

    locked: tuple[str, ...]
    """The tables, quoted and qualified, without which the message must fail."""

    read: tuple[str, ...] = ()
    """Those without which it must fail too, and which LOCK may not take."""

    role: str | None = None
    """The role to be in; None leaves the session's. It is set whatever path stands."""

    sets_path: bool = True
    """False leaves the path that the user has set."""

    fires: bool = False
    """The triggers that are pending under the path before this one are fired first."""

    @cached_property
    def holder(self) -> Holder:
        """What the triggers belong to that a statement in this envelope leaves pending."""
        return self.schema_name, self.role

    @cached_property
    def statements(self) -> tuple[bytes, ...]:
        """The statements to put in front of the user's, in one message."""
        each_only = ", ".join(f"ONLY {table}" for table in self.locked)
        locks = [f"LOCK TABLE {each_only} IN ACCESS SHARE MODE"] if self.locked else []
        reads = [_reading(self.read)] if self.read else []
        return (*self._statements_before(), *(each.encode() for each in (*locks, *reads)))

    @cached_property
    def queued_statements(self) -> tuple[bytes, ...]:
        """The statements to queue ahead of the user's in a pipeline.

        A pipeline outside a transaction is no transaction block to PostgreSQL before 18, which
        LOCK asks for, and for whose lack SET LOCAL warns. Reading no row takes the same lock, at
        the price of a snapshot.
        """
        # It gives no row: libpq hands over those of a pipeline's first command one by one if the
        # command before was a stream(), and psycopg takes one result for each of these.
        values = {"search_path": self.path} if self.sets_path else {}
        if self.role is not None:
            values["role"] = self.role
        calls = ", ".join(
            f"pg_catalog.set_config('{name}', {quote_literal(value)}, true)"
            + (" AS of_role" if name == "role" else "")
            for name, value in values.items()
        )
        before = (*self._fires_before(), f"SELECT FROM {calls} OFFSET 1".encode()) if calls else ()
        reads = [_reading((*self.locked, *self.read))] if self.locked else []
        return (*before, *(each.encode() for each in reads))

    def _fires_before(self) -> tuple[bytes, ...]:
        return _FIRE_PENDING if self.fires else ()

    def _statements_before(self) -> tuple[bytes, ...]:
        path = [f"SET LOCAL search_path TO {self.path}"] if self.sets_path else []
        # A role's name may be any text but 'none', which means the session's own, quoted or not.
        role = [] if self.role is None else [f"SET LOCAL ROLE {quote_identifier(self.role)}"]
        return (*self._fires_before(), *(each.encode() for each in (*path, *role)))

    @cached_property
    def sql(self) -> bytes:
        """One line, so that the user's statement keeps its lines, moved by one."""
        return b"; ".join(self.statements) + b";\n"

    def without_path(self) -> Envelope:
        """Return this envelope with its role and locks only."""
        return replace(self, sets_path=False)

    def firing(self) -> Envelope:
        """Return this envelope after the triggers that are pending under the path before it.

        A deferred trigger's function runs under the path that is set when it fires. Before the
        path changes inside a transaction those of the old schema are fired.
        """
        return replace(self, fires=True)


def _reading(tables: tuple[str, ...]) -> str:
    """Return a query that fails without these tables, and gives no row."""
    # Not as one join, for which PostgreSQL would look for an order: 8 ms for twelve tables.
    return " UNION ALL ".join(f"SELECT FROM ONLY {table}" for table in tables) + " LIMIT 0"


def make_envelope(
    schema_name: str | None,
    template: bytes = b"",
    sender: Sender | None = None,
    *,
    default_path: bool = True,
    creates_extension: bool = False,
) -> Envelope:
    """Return the envelope of a statement.

    ``schema_name`` is the current schema (None: unset). ``template`` is the statement, without
    the values of its parameters: the tables of models that it names are locked too, since one
    that this schema lacks must not be looked for in public. ``default_path=False`` leaves
    only the schema itself in the path. ``creates_extension`` puts the schema for extensions
    first: an extension belongs to the database and must outlive any one schema.
    """
    tables = read_template(template).tables if template else ()
    return envelope_of(
        schema_name, tables, sender, default_path=default_path, creates_extension=creates_extension
    )


def envelope_of(
    schema_name: str | None,
    tables: tuple[str, ...],
    sender: Sender | None = None,
    *,
    default_path: bool = True,
    creates_extension: bool = False,
) -> Envelope:
    """Return the envelope of a statement that names these tables."""
    config = get_config()
    role = role_of(schema_name, sender) if config.roles and sender is not None else None
    if schema_name is None or schema_name == PUBLIC:
        default_path = True
    # What it is made of, not the config itself, whose hash would be computed with each statement.
    return _make(
        schema_name,
        tables,
        get_tables().of_any_kind,
        config.default_path if default_path else (),
        config.extensions_schema if creates_extension else None,
        role,
    )


class Sender(Protocol):
    """What decides about roles, of the connection that sends: both are asked with each statement."""

    database_name: str
    """The database's name as PostgreSQL knows it, which the names of its roles carry."""

    owner_role: str
    """The role that owns the tables; ``none`` is the one that has logged in."""


def role_of(schema_name: str | None, sender: Sender) -> str:
    """Return the role for statements in a schema, in ``public``, or (None) in neither."""
    if get_owner():
        return sender.owner_role
    return _role_name(sender.database_name, "@unset" if schema_name is None else schema_name)


_role_name = lru_cache(maxsize=4096)(role_name)


@lru_cache(maxsize=4096)
def _make(
    schema_name: str | None,
    tables: tuple[str, ...],
    of_any_kind: Names,
    default_path: tuple[str, ...],
    extensions_schema: str | None,
    role: str | None,
) -> Envelope:
    names = [schema_name or PUBLIC]
    names += [name for name in default_path if name not in names]
    if extensions_schema is not None:
        names = [extensions_schema, *(n for n in names if n != extensions_schema)]
    path = ", ".join([*map(quote_identifier, names), "pg_temp"])
    if schema_name is None or schema_name == PUBLIC:
        return Envelope(None, path, (), role=role)
    schema = quote_identifier(schema_name)
    locked = tuple(
        f"{schema}.{quote_identifier(table)}"
        for table in (MARKER_TABLE, *tables)
        if table not in of_any_kind
    )
    read = tuple(f"{schema}.{quote_identifier(each)}" for each in tables if each in of_any_kind)
    # With another schema first in the path, no trigger of this one may be left to fire.
    holder = None if extensions_schema is not None else schema_name
    return Envelope(holder, path, locked, read, role)


def plain_envelope(template: bytes, schema_name: str | None, sender: Sender) -> Envelope | None:
    """Return the envelope of *template* if nothing in it asks for more than that, else None."""
    config = get_config()
    return (_plain_cached if len(template) <= LONGEST_REMEMBERED else _plain)(
        template,
        _watched_names(),
        schema_name,
        config.default_path,
        role_of(schema_name, sender) if config.roles else None,
    )


def _plain(
    template: bytes,
    names: Names,
    schema_name: str | None,
    default_path: tuple[str, ...],
    role: str | None,
) -> Envelope | None:
    reading = _read_cached(template, names)
    if not reading.is_plain:
        return None
    of_any_kind = get_tables().of_any_kind
    return _make(schema_name, reading.tables, of_any_kind, default_path, None, role)


# One look for all that nearly every statement needs. A fleet has more pairs of statement and
# schema than are remembered; what they are made of is remembered apart.
_plain_cached = lru_cache(maxsize=16_384)(_plain)


class Reading(NamedTuple):
    """All that a statement's text decides about its envelope."""

    statement: Statement

    is_plain: bool
    """Nothing in the text asks for more than the envelope in front of it."""

    tables: tuple[str, ...]
    """The tables that must be there before it is run."""


_PLAIN = Statement()


def read_template(template: bytes) -> Reading:
    """Return what *template* decides, remembered for short ones."""
    # psycopg hands over the same bytes each time, whose hash Python keeps.
    return (_read_cached if len(template) <= LONGEST_REMEMBERED else _read)(
        template, _watched_names()
    )


def _watched_names() -> Names:
    tables = get_tables()
    # What changes tables may name one that is not there yet. It does not begin while public has
    # tables of isolated apps.
    return tables.names_of_both if get_owner() else tables.names_in_schemas


def _read(template: bytes, names: Names) -> Reading:
    statement = read_statement(template)
    return Reading(statement, statement == _PLAIN, _find_tables(template, names) if names else ())


_read_cached = lru_cache(maxsize=4096)(_read)


def _find_tables(template: bytes, tables: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tables that must be there before *template* is run.

    Those that it makes itself before it names them otherwise need not. A name too many, from a
    text in quotes or a comment, only locks a table that is there anyhow.
    """
    named = _names_in(template, tables)
    if not named or not _MAKES_TABLE.search(template):
        return tuple(sorted(named))
    made: set[str] = set()
    needed: set[str] = set()
    for statement in split_statements(template):
        if makes := _MAKES_TABLE.match(statement):
            made |= _names_in(makes[1], tables) - needed
        needed |= _names_in(statement, tables) - made
    return tuple(sorted(needed))


def _names_in(text: bytes, tables: tuple[str, ...]) -> set[str]:
    found = {match.lower() for match in _pattern(tables).findall(text)}
    return {table for table in tables if table.encode().lower() in found} if found else set()


@lru_cache(maxsize=8)
def _pattern(tables: tuple[str, ...]) -> re.Pattern[bytes]:
    names = b"|".join(re.escape(table.encode()) for table in sorted(tables, key=len, reverse=True))
    # PostgreSQL folds the case of a name that is not quoted. A column's sequence bears its table's.
    return re.compile(rb"(?<![\w$])(%b)(?:_\w+_seq\d*)?(?![\w$])" % names, re.IGNORECASE)

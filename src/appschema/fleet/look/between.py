"""What stands between here and PostgreSQL: nothing, or a pooler, and what that one cannot carry.

Found out over two connections that are opened for it. They only ask: nothing is SET or prepared,
since on a pooler it would stay on a session that others get.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from .finding import Finding, error, warning

_PAGE = "See docs/how-to/poolers.md."
_ROUNDS = 3


@dataclass(frozen=True)
class Path:
    """What was seen of the way to the server."""

    shares_sessions: bool
    """Two connections that were open at once have met in one session."""

    keeps_options: bool
    """Startup options arrive."""


def find_between(connection: BaseDatabaseWrapper) -> Iterator[Finding]:
    """Yield what the settings of *connection* want, and the way to its server cannot do."""
    yield from judge(look(connection), connection.alias, connection.settings_dict)


def look(connection: BaseDatabaseWrapper) -> Path:
    """Open two connections and tell what they have met."""
    params = connection.get_connection_params()
    params = {name: value for name, value in params.items() if name != "cursor_factory"}
    # What is prepared would stay on the session.
    params |= {"autocommit": True, "prepare_threshold": None, "context": None}
    token = secrets.token_hex(8)
    # PostgreSQL takes any name with a dot, and asks nothing of its value.
    options = f"{params.get('options', '')} -c appschema.probe={token}".strip()
    with ExitStack() as stack:
        try:
            one = stack.enter_context(psycopg.connect(**{**params, "options": options}))
        except psycopg.OperationalError as refusal:
            # PgBouncer's words; the connection has no SQLSTATE to ask for.
            if "unsupported startup parameter" not in str(refusal):
                raise
            keeps_options = False
            one = stack.enter_context(psycopg.connect(**params))
        else:
            sql = "SELECT current_setting('appschema.probe', true) = %s"
            keeps_options = one.execute(sql, [token]).fetchone() == (True,)
        two = stack.enter_context(psycopg.connect(**params))
        sessions: tuple[set[int], set[int]] = (set(), set())
        for _ in range(_ROUNDS):
            for each, seen in zip((one, two), sessions, strict=True):
                seen.add(_session(each))
    shares = max(map(len, sessions)) > 1 or bool(sessions[0] & sessions[1])
    return Path(shares, keeps_options)


def _session(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def judge(path: Path, alias: str, settings: dict[str, Any]) -> Iterator[Finding]:
    """Yield what *settings* want, and a path like this cannot do."""
    options = settings["OPTIONS"]
    where = "the server"
    if path.shares_sessions and not settings.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield error(
            "pooler-cursors",
            where,
            f"A pooler gives the sessions of {alias!r} to several clients, and named cursors are on:"
            " QuerySet.iterator() outside of a transaction ends with 'cursor does not exist'.",
            f"Set DATABASES[{alias!r}]['DISABLE_SERVER_SIDE_CURSORS'] = True. {_PAGE}",
        )
    prepares = options.get("server_side_binding") and options.get("prepare_threshold") is not None
    if path.shares_sessions and prepares:
        yield error(
            "pooler-prepared",
            where,
            f"A pooler gives the sessions of {alias!r} to several clients, and statements are"
            " prepared: one client may run what another has prepared, unless the pooler knows them.",
            f"Take 'prepare_threshold' out of DATABASES[{alias!r}]['OPTIONS']. {_PAGE}",
        )
    if path.shares_sessions or not path.keeps_options:
        yield warning(
            "pooler-options",
            where,
            f"A pooler stands before the server of {alias!r}: what PostgreSQL refuses in a transaction"
            " (CREATE INDEX CONCURRENTLY, VACUUM) ends with UnsafeStatement here.",
            f"Run migrations with settings that connect directly to PostgreSQL. {_PAGE}",
        )

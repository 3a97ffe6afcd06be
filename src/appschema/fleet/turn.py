"""Two runs of ``migrate`` at once would both plan from what the other is changing: one waits.

The lock belongs to a session of its own, with one transaction that stays open: migrations commit theirs,
and a pooler that shares sessions keeps this one for us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import as_owner
from appschema.exceptions import SchemaBusy

_TURN = 7_310_577_331_450_003
_AT_WORK = (
    "Another 'manage.py migrate' is at work on this database, and nothing was migrated."
    " Wait for it, or leave --no-wait out, which waits by itself."
)


@contextmanager
def taking_turns(
    connection: BaseDatabaseWrapper, *, waits: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    """Let no other run of ``migrate`` begin inside.

    If one is at it, ``tell`` is told and it is waited for; with ``waits=False`` ``SchemaBusy`` is
    raised.
    """
    if connection.in_atomic_block:
        # All of it is one transaction, whose own lock it is.
        with as_owner(), connection.cursor() as cursor:
            function = "pg_advisory_xact_lock" if waits else "pg_try_advisory_xact_lock"
            cursor.execute(f"SELECT {function}(%s)", [_TURN])
            if not waits and not cursor.fetchone()[0]:
                raise SchemaBusy(_AT_WORK)
        yield
        return
    with session_beside(connection) as other:
        row = other.execute(f"SELECT pg_try_advisory_xact_lock({_TURN})").fetchone()
        if row is not None and not row[0]:
            if not waits:
                raise SchemaBusy(_AT_WORK)
            tell("Another 'manage.py migrate' is at work on this database. Waiting for it to end.")
            other.execute(
                f"SET LOCAL lock_timeout TO 0; SET LOCAL statement_timeout TO 0;"
                f" SELECT pg_advisory_xact_lock({_TURN})"
            )
        yield


@contextmanager
def session_beside(connection: BaseDatabaseWrapper) -> Iterator[psycopg.Connection[Any]]:
    """Open another session to the same database, in a transaction that is rolled back at the end.

    Inside another such block it is the same session, in a savepoint: a pooler may have few to give.
    """
    wrapper: Any = connection
    if wrapper.beside is not None:
        with wrapper.beside.transaction(force_rollback=True):
            yield wrapper.beside
        return
    params = connection.get_connection_params()
    params = {name: value for name, value in params.items() if name != "cursor_factory"}
    params |= {"autocommit": False, "prepare_threshold": None, "context": None}
    with psycopg.connect(**params) as other:
        # It is idle meanwhile, which may take longer than the server lets idlers. And it begins.
        other.execute("SET LOCAL idle_in_transaction_session_timeout TO 0")
        wrapper.beside = other
        try:
            yield other
        finally:
            wrapper.beside = None
        other.rollback()

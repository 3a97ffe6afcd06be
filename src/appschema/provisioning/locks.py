"""``migrate`` and those who make schemas keep out of each other's way.

A schema that is made while the template is migrated would be of neither the old state nor the new. So
whoever makes one holds a lock of the database until its commit, which ``migrate`` waits for before it
touches public and the template; the fleet is listed when it has given the lock back, with all
schemas in it that were made before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.conf import get_config
from appschema.exceptions import SchemaBusy
from appschema.fleet.turn import session_beside
from appschema.models import Template
from appschema.names import quote_identifier, quote_literal
from appschema.patience import OTHERS_ARE_FASTER, PATIENCE, PAUSE

from .questions import Answer, ask

_MIGRATE = 7_310_577_331_450_001
_REFILL = 7_310_577_331_450_002
_SHORTLY = "1s"


@contextmanager
def keeping_migrate_out(using: str, *questions: str) -> Iterator[list[Answer]]:
    """Keep ``migrate`` from public and the template until the commit, and wait for no lock long.

    Gives the answers to *questions*, which travel in the same message, behind the lock. Statements
    inside wait at most APPSCHEMA_LOCK_TIMEOUT for a lock, and what the caller does later in this
    transaction as long as before. Needs a transaction, which an error must roll back. Raises
    ``SchemaBusy`` if a ``migrate`` is at it for that long.
    """
    connection = connections[using]
    is_callers = bool(connection.savepoint_ids) or not connection.commit_on_exit
    timeout, answers = _take_shared(using, questions)
    yield answers
    if is_callers:
        ask(using, f"SELECT set_config('lock_timeout', {quote_literal(timeout)}, true)")


def _take_shared(using: str, questions: tuple[str, ...]) -> tuple[str, list[Answer]]:
    """Return the lock_timeout that was set before, and the answers."""
    timeout = quote_literal(f"{get_config().lock_timeout * 1000:.0f}ms")
    try:
        (before, isolation, _), _, *answers = ask(
            using,
            "SELECT current_setting('lock_timeout'), current_setting('transaction_isolation'),"
            f" set_config('lock_timeout', {timeout}, true)",
            f"SELECT pg_advisory_xact_lock_shared({_MIGRATE})",
            *questions,
        )
        if isolation != "read committed":
            # What it sees may be older than the lock: PostgreSQL refuses a row that has changed since.
            ask(using, f"SELECT FROM {quote_identifier(Template._meta.db_table)} FOR SHARE")
    except OperationalError as error:
        if not isinstance(error.__cause__, OTHERS_ARE_FASTER):
            raise
        raise SchemaBusy(
            "No schema can be made just now: a 'manage.py migrate' is changing public and the template,"
            f" or somebody has locked tables of the registry ({error.__cause__.diag.message_primary})."
            " Nothing was created. Try again when it is done."
        ) from error
    return before, answers


@contextmanager
def no_new_schemas(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let nobody make a schema inside; waits for those who are at it.

    Raises ``SchemaBusy`` if some of them do not end within a minute.
    """
    if connection.in_atomic_block:
        # All of it is one transaction, which may hold the lock already that a second session waits for.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATE])
        yield
        return
    with session_beside(connection) as other:
        _take(other)
        yield
        # If it was lost, so was the lock: better an error than schemas that were overlooked.
        other.execute("SELECT 1")


@contextmanager
def refilling_alone(connection: BaseDatabaseWrapper) -> Iterator[bool]:
    """Tell whether nobody else makes spares; then nobody will inside."""
    question = f"SELECT pg_try_advisory_xact_lock({_REFILL})"
    if connection.in_atomic_block:
        ((is_alone,),) = ask(connection.alias, question)
        yield is_alone
        return
    with session_beside(connection) as other:
        row = other.execute(question).fetchone()
        yield bool(row and row[0])
        # If it was lost, so was the lock.
        other.execute("SELECT 1")


def _take(other: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # A savepoint: other locks of the same transaction are kept.
            with other.transaction():
                other.execute(
                    f"SET LOCAL lock_timeout TO '{_SHORTLY}';"
                    f" SELECT pg_advisory_xact_lock({_MIGRATE})"
                )
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > deadline:
                raise SchemaBusy(
                    f"For {PATIENCE:.0f} seconds there were open transactions that have made schemas,"
                    " and nothing was migrated. Find them in pg_stat_activity, and run the same again."
                ) from error
        else:
            return
        # Those who wait behind this one get on.
        time.sleep(PAUSE)

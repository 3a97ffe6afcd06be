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
from psycopg import errors

from appschema.exceptions import SchemaBusy
from appschema.fleet.turn import session_beside
from appschema.models import Template
from appschema.names import quote_identifier
from appschema.patience import PATIENCE, PAUSE

_MIGRATE = 7_310_577_331_450_001
_REFILL = 7_310_577_331_450_002
_SHORTLY = "1s"


def keep_migrate_out(using: str) -> None:
    """Keep ``migrate`` from public and the template until the commit.

    Raises ``SchemaBusy`` if one has been at it for as long as the transaction's lock_timeout.
    """
    try:
        with connections[using].cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('transaction_isolation'), pg_advisory_xact_lock_shared(%s)",
                [_MIGRATE],
            )
            isolation, _ = cursor.fetchone()
            if isolation != "read committed":
                # What it sees may be older than the lock: PostgreSQL refuses a row that has changed since.
                cursor.execute(f"SELECT FROM {quote_identifier(Template._meta.db_table)} FOR SHARE")
    except OperationalError as error:
        if not isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected):
            raise
        raise SchemaBusy(
            "No schema can be made just now, for a 'manage.py migrate' is changing public and the"
            " template. Nothing was created. Try again when it is done."
        ) from error


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


def try_to_refill(using: str) -> bool:
    """Tell whether nobody else makes spares; nobody will until the end of the transaction."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_REFILL])
        return bool(cursor.fetchone()[0])


def _take(other: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # It is idle while the migrations run, which may take longer than the server lets idlers.
            other.execute(
                f"SET LOCAL idle_in_transaction_session_timeout TO 0; SET LOCAL lock_timeout TO"
                f" '{_SHORTLY}'; SELECT pg_advisory_xact_lock({_MIGRATE})"
            )
        except psycopg.errors.LockNotAvailable as error:
            other.rollback()
            if time.monotonic() > deadline:
                raise SchemaBusy(
                    f"For {PATIENCE:.0f} seconds there were open transactions that have made schemas,"
                    " and nothing was migrated. Find them in pg_stat_activity, and run the same again."
                ) from error
        else:
            return
        # Those who wait behind this one get on.
        time.sleep(PAUSE)

"""Get locks that others hold, without making those wait who come later.

Whoever waits for an exclusive lock holds up all who ask for the table after him. So a lock is waited
for very shortly, the transaction gives way, and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError, connections, transaction
from psycopg import errors

from appschema.exceptions import SchemaBusy

T = TypeVar("T")

LOCK_TIMEOUT = 0.1
"""Seconds for which others may be held up by one attempt."""

PAUSE = 0.1
"""Seconds between two attempts, in which they get on."""

PATIENCE = 60.0
"""Seconds after which it is given up."""

ROOM_FOR_LOCKS = """
    current_setting('max_locks_per_transaction')::bigint
    * (current_setting('max_connections')::bigint
       + current_setting('max_prepared_transactions')::bigint)
"""
"""An SQL expression: how many locks all transactions of the server can hold at once."""

OTHERS_ARE_FASTER = (errors.LockNotAvailable, errors.DeadlockDetected)


def patiently(act: Callable[[], T], *, using: str, what: str) -> T:
    """Return what *act* returns, run in a transaction, and again while others hold its locks.

    Inside the caller's transaction each attempt is a savepoint. Raises ``SchemaBusy``, with *what*
    could not be done, after PATIENCE seconds; nothing is changed then.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(using=using), waiting_at_most(LOCK_TIMEOUT, using):
                return act()
        except OperationalError as error:
            if not isinstance(error.__cause__, OTHERS_ARE_FASTER):
                raise
            if time.monotonic() > deadline:
                raise SchemaBusy(
                    f"{what} could not be done: for {PATIENCE:.0f} seconds others held locks on it"
                    f" ({error.__cause__.diag.message_primary}). Nothing of this step was changed."
                    " Find who holds them in pg_locks, and run the same again."
                ) from error
        time.sleep(PAUSE)


@contextmanager
def waiting_at_most(seconds: float, using: str) -> Iterator[None]:
    """Let statements wait no longer for a lock. Needs a transaction, which an error must roll back."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)",
            [f"{seconds * 1000:.0f}ms"],
        )
        found, _ = cursor.fetchone()
        yield
        # What the caller does later in this transaction waits as before.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [found])

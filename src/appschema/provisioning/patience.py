"""Get locks that others hold, without making those wait who come later.

Whoever waits for an exclusive lock holds up all who ask for the table after him. So a lock is waited
for very shortly, the transaction gives way, and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connections, transaction
from psycopg import errors

from appschema.exceptions import SchemaBusy

T = TypeVar("T")

LOCK_TIMEOUT = "100ms"
"""How long others may be held up by one attempt."""

PAUSE = 0.1
"""Seconds between two attempts, in which they get on."""

PATIENCE = 60.0
"""Seconds after which it is given up."""

_OTHERS_ARE_FASTER = (errors.LockNotAvailable, errors.DeadlockDetected)


def patiently(act: Callable[[], T], *, using: str, what: str) -> T:
    """Return what *act* returns, run in a transaction, and again while others hold its locks.

    Inside the caller's transaction each attempt is a savepoint. Raises ``SchemaBusy``, with *what*
    could not be done, after PATIENCE seconds; nothing is changed then.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(using=using):
                return _with_short_waits(act, using)
        except OperationalError as error:
            if not isinstance(error.__cause__, _OTHERS_ARE_FASTER):
                raise
            if time.monotonic() > deadline:
                raise SchemaBusy(
                    f"{what} could not be done: for {PATIENCE:.0f} seconds others held locks on it"
                    f" ({error.__cause__.diag.message_primary}). Nothing of this step was changed."
                    " Find who holds them in pg_locks, and run the same again."
                ) from error
        time.sleep(PAUSE)


def _with_short_waits(act: Callable[[], T], using: str) -> T:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)",
            [LOCK_TIMEOUT],
        )
        found, _ = cursor.fetchone()
        result = act()
        # What the caller does later in this transaction waits as before.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [found])
    return result

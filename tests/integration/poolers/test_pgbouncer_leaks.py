"""Behind PgBouncer no schema's rows show in another, whosever session a statement goes to.

The operations are those of the test of leaks; they spoil the sessions that the clients share.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import OperationalError

from tests.integration.leaks.operations import OPERATIONS, Setting
from tests.integration.leaks.oracle import LeakError
from tests.integration.leaks.run import Run

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
SEED = os.environ.get("APPSCHEMA_LEAK_SEED") or (secrets.token_hex(4) if FULL else "1")

# A named cursor outside of a transaction is held by the session.
NAMED_CURSORS = frozenset({"open_cursor", "block_fetch"})
# By these alone a session that one client has for itself does not leak.
SAFE_IN_A_SESSION = frozenset(
    {"block_schema", "enter", "leave", "switch", "ask_where", "read_notes", "create", "update"}
)
TRANSACTIONS = frozenset(
    {"block_driver", "set_path"} | {each.name for each in OPERATIONS if each.needs_atomic}
)


@pytest.mark.parametrize(
    ("pool_size", "options", "without"),
    [
        pytest.param(1, {}, (), id="one session"),
        pytest.param(2, {}, (), id="two sessions"),
        pytest.param(
            2,
            {"server_side_binding": True},
            ("stream", "_execute_two"),
            id="parameters bound by the server",
        ),
        pytest.param(
            2, {"pool": {"min_size": 1, "max_size": 30}}, (), id="Django's pool before it"
        ),
    ],
)
@pytest.mark.full
def test_no_schema_leaks_in_transaction_mode(
    conninfo: str,
    through_pgbouncer: Callable[..., str],
    pool_size: int,
    options: dict[str, object],
    without: tuple[str, ...],
):
    setting = Setting(
        through_pgbouncer(
            "transaction", pool_size, OPTIONS=options, pgbouncer={"query_wait_timeout": "30"}
        ),
        without=frozenset(without),
        inside=NAMED_CURSORS,
        is_direct=False,
    )
    operations = 10_000 if FULL else 300
    Run(SEED, operations, conninfo, tasks=0, setting=setting)()
    # A task in a transaction holds a session while it waits for the one thread that all tasks have,
    # and that thread may be waiting for a session: with so few of them nobody would go on.
    alone = replace(setting, without=setting.without | TRANSACTIONS | NAMED_CURSORS)
    run_again_if_starved(Run(SEED, operations, conninfo, threads=0, tasks=20, setting=alone))


def run_again_if_starved(run: Run) -> None:
    """Run, and once more if PgBouncer kept its session for a client that asked for nothing.

    PgBouncer 1.18 does so in about one of a hundred runs (docs/how-to/poolers.md). It shows no rows
    to anybody; what this test is about is told by a run that comes to its end.
    """
    try:
        run()
    except OperationalError as error:
        if "query_wait_timeout" not in str(error):
            raise
        run()


@pytest.mark.parametrize("pool_size", [1, 2])
@pytest.mark.full
def test_no_schema_leaks_in_statement_mode(
    conninfo: str, through_pgbouncer: Callable[..., str], pool_size: int
):
    setting = Setting(
        through_pgbouncer("statement", pool_size),
        without=TRANSACTIONS | NAMED_CURSORS,
        is_direct=False,
    )
    Run(SEED, 5_000 if FULL else 300, conninfo, tasks=0, setting=setting)()


SESSION_BASED = "tests.integration.leaks.session_variant"


@pytest.mark.parametrize("pool_size", [1, 2])
def test_the_same_test_fails_on_a_backend_that_keeps_the_schema_in_the_session(
    conninfo: str, through_pgbouncer: Callable[..., str], pool_size: int
):
    using = through_pgbouncer("transaction", pool_size, ENGINE=SESSION_BASED)
    setting = Setting(using, inside=NAMED_CURSORS, is_direct=False)
    with pytest.raises(LeakError):
        Run("1", 600, conninfo, tasks=0, setting=setting)()


def test_it_is_pgbouncer_that_opens_the_leak_of_a_session(
    conninfo: str, alias: Callable[..., str], through_pgbouncer: Callable[..., str]
):
    """With the same operations and the same seed."""
    without = frozenset(each.name for each in OPERATIONS) - SAFE_IN_A_SESSION
    direct = Setting(alias("session", ENGINE=SESSION_BASED), without)
    Run("1", 600, conninfo, tasks=0, setting=direct)()
    pooled = Setting(through_pgbouncer("transaction", 2, ENGINE=SESSION_BASED), without)
    with pytest.raises(LeakError):
        Run("1", 600, conninfo, tasks=0, setting=pooled)()

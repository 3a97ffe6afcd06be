"""A PgBouncer in front of the server of the run, and aliases that go through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection

# The schemas and the aliases of the test of leaks.
from tests.integration.leaks.conftest import alias, conninfo, transactional_db
from tools.pgbouncer import PgBouncer, find_pgbouncer

__all__ = ["alias", "conninfo", "transactional_db"]


@pytest.fixture
def start_pgbouncer(conninfo: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that starts one, and gives the settings of an alias that goes through it."""
    if find_pgbouncer() is None:
        pytest.skip("There is no program 'pgbouncer', and APPSCHEMA_PGBOUNCER names none.")
    params = connection.get_connection_params()
    with ExitStack() as stack:

        def start(
            pool_mode: str = "transaction", pool_size: int = 1, **settings: str
        ) -> dict[str, Any]:
            # Each statement of a client's goes to another session, where there is one.
            settings = {"server_round_robin": "1"} | settings
            pgbouncer = PgBouncer(
                params, pool_mode=pool_mode, pool_size=pool_size, settings=settings
            )
            stack.enter_context(pgbouncer)
            return {
                "HOST": pgbouncer.socket_directory,
                "PORT": str(pgbouncer.port),
                "DISABLE_SERVER_SIDE_CURSORS": True,
            }

        yield start


@pytest.fixture
def through_pgbouncer(
    start_pgbouncer: Callable[..., dict[str, Any]], alias: Callable[..., str]
) -> Callable[..., str]:
    """Return a function that starts a PgBouncer and adds an alias that goes through it."""

    def add(*mode_and_size: Any, pgbouncer: dict[str, str] | None = None, **settings: Any) -> str:
        return alias("pooled", **start_pgbouncer(*mode_and_size, **pgbouncer or {}), **settings)

    return add

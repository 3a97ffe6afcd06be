"""A database with the schemas of the run, and aliases that reach it in other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count
from typing import Any

import pytest
from django.db import connection, connections
from psycopg.conninfo import make_conninfo

from tests.integration.leaks import witnesses

_numbers = count()


@pytest.fixture(scope="module")
def conninfo(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The test database with the witnesses in it."""
    with django_db_blocker.unblock():
        params = connection.get_connection_params()
        keys = ("host", "port", "user", "password", "dbname")
        conninfo = make_conninfo(**{key: params[key] for key in keys if params.get(key)})
        witnesses.build(conninfo)
        try:
            yield conninfo
        finally:
            witnesses.demolish(conninfo)


@pytest.fixture(autouse=True)
def transactional_db(conninfo: str, django_db_blocker: Any) -> Iterator[None]:
    """Real transactions, without pytest-django's flush; each run removes the rows of the one before.

    By its name pytest-django knows that the test database is needed.
    """
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def alias(conninfo: str) -> Iterator[Callable[..., str]]:
    """Return a function that adds an alias for the test database, with other settings."""
    added: list[str] = []

    def add(name: str, **settings: Any) -> str:
        # A thread of asgiref's outlives a test, with the connections of the aliases it has met.
        name = f"{name}_{next(_numbers)}"
        entry = deepcopy(connections["default"].settings_dict)
        entry["OPTIONS"] |= settings.pop("OPTIONS", {})
        connections.settings[name] = entry | settings
        added.append(name)
        return name

    yield add
    for name in added:
        connections[name].close()
        if connections[name].settings_dict["OPTIONS"].get("pool"):
            connections[name].close_pool()  # type: ignore[attr-defined]
        del connections[name]
        del connections.settings[name]

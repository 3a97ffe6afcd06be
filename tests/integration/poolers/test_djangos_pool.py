"""Django's own pool (``OPTIONS["pool"]``): many threads, few connections, and some are killed."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)

from appschema import schema_context
from tests.integration.backend.conftest import wire
from tests.integration.leaks import witnesses
from tests.integration.leaks.witnesses import SCHEMAS
from tests.sample.notes.models import Note

__all__ = ["wire"]

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
THREADS = 24
SIZE = 3
MARKED = "w pool"


class OnPurposeError(Exception):
    """A view fails."""


def sessions_path(wrapper: Any) -> str:
    """Ask for the path of the session itself, without any envelope."""
    result = wrapper.connection.pgconn.exec_(b"SHOW search_path")
    return result.get_value(0, 0).decode()  # type: ignore[no-any-return]


def reset(connection: Any) -> None:
    connection.execute("RESET statement_timeout")


@pytest.mark.parametrize("end", ["commit", "error", "left open", "driver"])
def test_a_connection_goes_back_as_it_came(
    conninfo: str, alias: Callable[..., str], wire: Callable[..., Any], end: str
):
    witnesses.clean(conninfo)
    pool = {"min_size": 1, "max_size": 1, "reset": reset}
    wrapper: Any = connections[alias("pooled", OPTIONS={"pool": pool}, CONN_HEALTH_CHECKS=True)]
    with schema_context("leak_ghost"):
        wrapper.ensure_connection()
    before = sessions_path(wrapper)
    with schema_context("leak_a"):
        use(wrapper, end)
        with wire(wrapper) as sent:
            connection = wrapper.connection
            wrapper.close()
            with schema_context("leak_ghost"):  # which would refuse an envelope
                wrapper.ensure_connection()
    assert wrapper.connection is connection
    assert "search_path" not in sent.sql
    assert "LOCK" not in sent.sql
    assert "RESET statement_timeout" in sent.sql
    assert sessions_path(wrapper) == before
    with schema_context("leak_b"):
        assert Note.objects.using(wrapper.alias).get().body == "leak_b"
    # A pool that is closed while it resets a connection in its thread leaves that one open.
    wrapper.pool._reset = None


def use(wrapper: Any, end: str) -> None:
    notes = Note.objects.using(wrapper.alias)
    if end == "commit":
        assert notes.get().body == "leak_a"
    elif end == "error":
        with pytest.raises(DatabaseError), transaction.atomic(wrapper.alias):
            with wrapper.cursor() as cursor:
                cursor.execute("SET LOCAL search_path TO leak_decoy; SELECT 1 / 0")
    elif end == "left open":
        wrapper.set_autocommit(False)
        notes.create(title=MARKED, body="leak_a")
        wrapper.rollback()
        wrapper.set_autocommit(True)
    else:
        with wrapper.connection.transaction(force_rollback=True):
            notes.create(title=MARKED, body="leak_a")


@pytest.mark.parametrize("checks", [False, True], ids=["unchecked", "checked"])
@pytest.mark.full
def test_no_wrong_row_with_many_threads_and_killed_connections(
    conninfo: str, alias: Callable[..., str], checks: bool
):
    witnesses.clean(conninfo)
    pool = {"min_size": 1, "max_size": SIZE, "timeout": 120}
    using = alias("pooled", OPTIONS={"pool": pool}, CONN_HEALTH_CHECKS=checks)
    requests = 200 if FULL else 15
    killed = threading.Semaphore(0)
    done = threading.Event()

    def kill() -> int:
        """Kill a connection of the pool whenever somebody asks for it."""
        number = 0
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while killed.acquire() and not done.is_set():
                rows = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = %s LIMIT 1",
                    [using],
                ).fetchall()
                number += len(rows)
        return number

    connections.settings[using]["OPTIONS"]["application_name"] = using
    with ThreadPoolExecutor(THREADS + 1) as threads:
        killer = threads.submit(kill)
        workers = [
            threads.submit(serve, using, f"w{number}", requests, killed)
            for number in range(THREADS)
        ]
        outcomes = [worker.exception() for worker in workers]
        done.set()
        killed.release()
        assert killer.result() > 0
    assert outcomes == [None] * THREADS
    # A connection died in the middle: what was written is where it belongs, or nowhere.
    with psycopg.connect(conninfo) as connection:
        for name in (*SCHEMAS, "public", "leak_decoy"):
            bodies = connection.execute(
                f"SELECT DISTINCT body FROM \"{name}\".notes_note WHERE title LIKE 'w%'"
            ).fetchall()
            assert bodies in ([], [(name,)])


def serve(using: str, worker: str, requests: int, killed: threading.Semaphore) -> None:
    """Answer requests, each with a connection from the pool and in a schema of its own."""
    choices = random.Random(worker)
    for number in range(requests):
        name = choices.choice(SCHEMAS)
        if choices.random() < 0.1:
            killed.release()
        try:
            with schema_context(name):
                request(using, f"{worker}:{number}", name, choices.choice(KINDS))
        except OnPurposeError:
            pass
        except (DatabaseError, InterfaceError) as error:
            if not isinstance(error, LOST):
                raise
        finally:
            connections[using].close()


# What Django makes of a connection that is gone.
LOST = (OperationalError, InterfaceError)
KINDS = ("read", "write", "roll back", "savepoint", "fail", "fail inside", "many", "leave open")


def request(using: str, title: str, name: str, kind: str) -> None:
    notes = Note.objects.using(using)
    assert set(notes.values_list("body", flat=True)) == {name}
    if kind == "write":
        notes.create(title=title, body=name)
    elif kind == "many":
        with connections[using].cursor() as cursor:
            rows = [(f"{title}.{number}", name) for number in range(3)]
            cursor.executemany("INSERT INTO notes_note (title, body) VALUES (%s, %s)", rows)
    elif kind == "fail":
        raise OnPurposeError
    elif kind == "leave open":
        connections[using].set_autocommit(False)
        notes.create(title=title, body="rolled back when it goes back")
    elif kind != "read":
        with transaction.atomic(using):
            notes.create(title=title, body=name)
            if kind == "savepoint":
                with transaction.atomic(using):
                    notes.create(title=title, body="undone")
                    transaction.set_rollback(True, using)
            assert set(notes.filter(title=title).values_list("body", flat=True)) == {name}
            if kind == "fail inside":
                raise OnPurposeError
            if kind == "roll back":
                transaction.set_rollback(True, using)

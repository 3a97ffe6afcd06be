"""What PostgreSQL refuses in a transaction is refused behind a pooler, and never runs elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connections

from appschema import schema_context
from appschema.exceptions import UnsafeStatement
from tests.integration.leaks.witnesses import SCHEMAS

IGNORES = {"ignore_startup_parameters": "options"}
CONCURRENTLY = "CREATE INDEX CONCURRENTLY stray ON notes_note (title)"
ALONE = (CONCURRENTLY, "VACUUM notes_note", "DO $$ BEGIN COMMIT; END $$")


def run(using: str, sql: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def strays(conninfo: str):
    """Return a function that tells in which schemas the index was made."""

    def look() -> list[str]:
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute("SELECT schemaname FROM pg_indexes WHERE indexname = 'stray'")
            return [name for (name,) in rows]

    yield look
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for name in look():
            connection.execute(f'DROP INDEX "{name}".stray')


@pytest.mark.parametrize("sql", ALONE)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_it_is_refused_where_pgbouncer_refuses_startup_options(
    through_pgbouncer: Callable[..., str], strays: Callable[[], list[str]], mode: str, sql: str
):
    using = through_pgbouncer(mode, 2)
    with (
        schema_context("leak_a"),
        pytest.raises(UnsafeStatement, match="connect directly to PostgreSQL") as caught,
    ):
        run(using, sql)
    assert f"{using!r} refuses startup options" in str(caught.value)
    assert strays() == []


@pytest.mark.parametrize("sql", ALONE)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_it_is_refused_where_pgbouncer_ignores_startup_options(
    through_pgbouncer: Callable[..., str], strays: Callable[[], list[str]], mode: str, sql: str
):
    using = through_pgbouncer(mode, 2, pgbouncer=IGNORES)
    with (
        schema_context("leak_a"),
        pytest.raises(UnsafeStatement, match="connect directly to PostgreSQL") as caught,
    ):
        run(using, sql)
    assert f"{using!r} loses startup options" in str(caught.value)
    assert strays() == []


@pytest.mark.parametrize("turns", range(3))
def test_it_is_refused_where_a_shared_session_happens_to_have_the_path(
    start_pgbouncer: Callable[..., dict[str, Any]],
    alias: Callable[..., str],
    strays: Callable[[], list[str]],
    turns: int,
):
    """One session was SET to this schema's path, the others to another's: each may get a question."""
    settings = start_pgbouncer("transaction", 3, **IGNORES)
    using = alias("pooled", **settings)
    name = connections[using].settings_dict["NAME"]
    clients = [
        psycopg.connect(
            host=settings["HOST"],
            port=settings["PORT"],
            dbname=name,
            user="postgres",
            prepare_threshold=None,
        )
        for _ in range(3)
    ]
    # Three transactions at once hold the three sessions.
    for client, schema_name in zip(clients, ("leak_a", "leak_b", "leak_b"), strict=True):
        path = f'"{schema_name}", "public", pg_temp'
        client.execute("SELECT set_config('search_path', %s, false)", [path])
    for client in clients:
        client.commit()
    for _ in range(turns):
        clients[0].execute("SELECT 1")
        clients[0].commit()
    for client in clients:
        client.close()
    with schema_context("leak_a"), pytest.raises(UnsafeStatement, match="loses startup options"):
        run(using, CONCURRENTLY)
    assert strays() == []


def test_over_a_direct_alias_it_runs_in_its_schema(
    alias: Callable[..., str], strays: Callable[[], list[str]]
):
    direct = alias("direct")
    for name in SCHEMAS[:2]:
        with schema_context(name):
            run(direct, CONCURRENTLY)
    assert sorted(strays()) == sorted(SCHEMAS[:2])

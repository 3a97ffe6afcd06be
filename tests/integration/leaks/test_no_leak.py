"""No interleaving of scopes, transactions and queries shows one schema's rows to another.

APPSCHEMA_LEAK_SEED repeats a run, whose seed a failure prints.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from appschema import schema_context
from tests.integration.leaks.operations import Setting
from tests.integration.leaks.oracle import LeakError
from tests.integration.leaks.run import Run
from tests.integration.leaks.witnesses import HALF

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
SEED = os.environ.get("APPSCHEMA_LEAK_SEED") or (secrets.token_hex(4) if FULL else "1")


@pytest.mark.full
def test_no_schema_leaks_into_another_in_threads_and_tasks(conninfo: str):
    Run(SEED, 50_000 if FULL else 1_500, conninfo)()


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        pytest.param({"CONN_MAX_AGE": 60}, (), id="kept connections"),
        pytest.param({"OPTIONS": {"pool": {"min_size": 1, "max_size": 30}}}, (), id="pool"),
        pytest.param(
            {"OPTIONS": {"server_side_binding": True}},
            ("stream", "_execute_two"),
            id="parameters bound by the server",
        ),
        pytest.param({"DISABLE_SERVER_SIDE_CURSORS": True}, (), id="no named cursors"),
    ],
)
@pytest.mark.full
def test_no_schema_leaks_however_the_database_is_reached(
    conninfo: str,
    alias: Callable[..., str],
    settings: dict[str, object],
    without: tuple[str, ...],
):
    setting = Setting(alias("leaky", **settings), frozenset(without))
    Run(SEED, 10_000 if FULL else 300, conninfo, tasks=10, setting=setting)()


SESSION_BASED = "tests.integration.leaks.session_variant"
# What opens each of the leaks of a session-based backend; without the others it is found too.
OPENERS = {
    "rollback to a savepoint": {"block_savepoint", "block_atomic"},
    "a cursor kept over a switch": {"ask_by_kept_cursor"},
    "a named cursor fetched after a switch": {"open_cursor"},
    "a session changed by others": {"spoil_session"},
    "a temporary table left behind": {"leave_temporary_table"},
}
EVERY_OPENER = set().union(*OPENERS.values())


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_the_same_test_fails_on_a_backend_that_keeps_the_schema_in_the_session(
    conninfo: str, alias: Callable[..., str], seed: str
):
    setting = Setting(alias("session", ENGINE=SESSION_BASED))
    with pytest.raises(LeakError):
        Run(seed, 1_500, conninfo, setting=setting)()


@pytest.mark.parametrize("opener", OPENERS)
def test_one_thread_alone_finds_each_leak_of_a_session(
    conninfo: str, alias: Callable[..., str], opener: str
):
    setting = Setting(
        alias("session", ENGINE=SESSION_BASED), frozenset(EVERY_OPENER - OPENERS[opener])
    )
    with pytest.raises(LeakError):
        Run("1", 1_500, conninfo, threads=1, tasks=0, setting=setting)()


# What the random operations have found once, each by itself.


@pytest.mark.parametrize("schema_name", [HALF, "leak_a"])
def test_a_both_table_that_a_schema_lacks_is_refused_after_the_users_own_path_too(schema_name: str):
    with transaction.atomic(), schema_context(schema_name), connection.cursor() as cursor:
        cursor.execute("/* SET search_path */ SELECT 1")
        if schema_name == HALF:
            with pytest.raises(DatabaseError, match=r'"leak_half\.tags_tag" does not exist'):
                cursor.execute("SELECT label FROM tags_tag")
            transaction.set_rollback(True)
        else:
            cursor.execute("SELECT label FROM tags_tag")
            assert cursor.fetchall() == [("leak_a",)]


def test_the_commit_of_psycopgs_block_runs_no_rest_of_a_named_cursor_in_another_schema():
    connection.ensure_connection()
    with connection.connection.transaction():
        with schema_context("leak_a"):
            cursor = connection.chunked_cursor()
            cursor.execute("SELECT public.leak_here() FROM generate_series(1, 6)")
            assert cursor.fetchmany(2) == [("leak_a",)] * 2
        with schema_context("leak_b"), connection.cursor() as other:
            other.execute("SELECT 1")
    with pytest.raises((DatabaseError, psycopg.Error), match="does not exist"):
        cursor.fetchmany(2)
    connection.close()
    cursor.close()


def test_a_named_cursor_outside_of_transactions_is_read_to_its_end_in_its_schema():
    with schema_context("leak_a"):
        cursor = connection.chunked_cursor()
        cursor.execute("SELECT public.leak_here() FROM generate_series(1, 6)")
    with schema_context("leak_b"), transaction.atomic():
        assert cursor.fetchall() == [("leak_a",)] * 6
    cursor.close()


def test_a_pipeline_works_behind_a_stream():
    with schema_context("leak_a"), connection.cursor() as cursor:
        assert list(cursor.stream("SELECT current_schema()::text")) == [("leak_a",)]
        asked = cursor.cursor
        asked.executemany("SELECT current_schema()::text, %s", [(1,), (2,)], returning=True)
        assert asked.fetchall() == [("leak_a", 1)]
        asked.nextset()
        assert asked.fetchall() == [("leak_a", 2)]

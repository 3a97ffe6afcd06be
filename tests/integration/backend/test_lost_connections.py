"""Connections are kept, killed and made anew: the next request is in its schema all the same."""

import os
import shutil
from collections.abc import Iterator

import psycopg
import pytest
from django.db import (
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)

from appschema import schema_context
from tools.postgres import PostgresServer, default_home

HERE = "SELECT name FROM place"


def ask(db, sql=HERE, params=None):
    with db.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def kill(db):
    """End the session of *db* from another one."""
    pid = db.connection.info.backend_pid
    connection.ensure_connection()
    assert ask(connection, f"SELECT pg_terminate_backend({pid}, 10000)") is True


def is_lost(act):
    with pytest.raises((OperationalError, InterfaceError)):
        act()


@pytest.fixture(params=["kept", "checked", "not kept", "pool"])
def db(request, make_alias):
    options = {"pool": {"min_size": 1, "max_size": 1}} if request.param == "pool" else {}
    wrapper = make_alias(f"lost_{request.param.replace(' ', '_')}", **options)
    settings = wrapper.settings_dict
    settings["CONN_MAX_AGE"] = 60 if request.param in ("kept", "checked") else 0
    settings["CONN_HEALTH_CHECKS"] = request.param in ("checked", "pool")
    return wrapper


@pytest.fixture
def new_request(db):
    """Do what Django does between two requests."""

    def act():
        db.close_if_unusable_or_obsolete()
        db.close_if_unusable_or_obsolete()

    return act


def test_a_kept_connection_serves_one_schema_after_the_other(db, new_request):
    for name in ("alpha", "beta", "alpha"):
        with schema_context(name):
            assert ask(db) == name
        new_request()
    if db.settings_dict["CONN_MAX_AGE"]:
        assert db.connection is not None
    else:
        assert db.connection is None


def test_a_connection_killed_between_requests_costs_one_error_at_most(db, new_request):
    with schema_context("alpha"):
        assert ask(db) == "alpha"
        kill(db)
    new_request()
    with schema_context("beta"):
        if db.connection is not None and not db.settings_dict["CONN_HEALTH_CHECKS"]:
            is_lost(lambda: ask(db))
            new_request()
        assert ask(db) == "beta"


def test_a_connection_killed_in_a_request(db, new_request):
    with schema_context("alpha"):
        assert ask(db) == "alpha"
        kill(db)
        is_lost(lambda: ask(db))
    new_request()
    with schema_context("beta"):
        assert ask(db) == "beta"


@pytest.mark.parametrize("inner", [False, True], ids=["transaction", "savepoint"])
def test_nothing_of_a_transaction_outlives_its_connection(db, new_request, inner):
    def work():
        with transaction.atomic(db.alias), schema_context("alpha"):
            ask(db, "INSERT INTO box (item) VALUES ('lost') RETURNING item")
            with transaction.atomic(db.alias, savepoint=inner):
                # A path of the user's own, which stands until the transaction ends.
                with db.cursor() as cursor:
                    cursor.execute("SET LOCAL search_path TO beta, public")
                assert ask(db) == "beta"
                kill(db)
                ask(db)

    is_lost(work)
    new_request()
    with schema_context("alpha"):
        assert ask(db) == "alpha"
        with transaction.atomic(db.alias):
            assert ask(db) == "alpha"
            assert ask(db, "SELECT count(*) FROM box") == 0


def test_a_connection_killed_while_it_fetches_from_a_named_cursor(db, new_request):
    with schema_context("alpha"), transaction.atomic():
        ask(connection, "INSERT INTO box (item) SELECT 'x' FROM generate_series(1, 50) RETURNING 1")
    with schema_context("alpha"):
        cursor = db.chunked_cursor()
        cursor.execute("SELECT item FROM box")
        cursor.fetchmany(2)
        kill(db)
        is_lost(cursor.fetchall)
        cursor.close()
    new_request()
    with schema_context("beta"):
        assert ask(db) == "beta"
        assert ask(db, "SELECT count(*) FROM box") == 0


class Restarted:
    """A server of this test's own, which keeps its data and its port."""

    def __init__(self) -> None:
        self.name = f"restarted-{os.getpid()}"
        self.server = PostgresServer(self.name)

    def start(self) -> None:
        self.server = PostgresServer(self.name, port=self.server.port or None)
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


@pytest.fixture
def restarted() -> Iterator[Restarted]:
    restarted = Restarted()
    restarted.start()
    try:
        with psycopg.connect(restarted.server.url, autocommit=True) as setup:
            for name in ("alpha", "beta"):
                setup.execute(
                    f"CREATE SCHEMA {name} CREATE TABLE django_migrations (id int)"
                    f" CREATE TABLE place (name text DEFAULT '{name}');"
                    f" INSERT INTO {name}.place DEFAULT VALUES"
                )
        yield restarted
    finally:
        restarted.stop()
        shutil.rmtree(default_home() / restarted.name)


# Not the pool: psycopg_pool waits longer and longer before it connects again.
@pytest.mark.parametrize("db", ["kept", "checked"], indirect=True)
def test_the_server_is_restarted(restarted, db, new_request):
    address = {"HOST": "127.0.0.1", "PORT": str(restarted.server.port), "NAME": "postgres"}
    db.settings_dict |= address | {"USER": "postgres", "PASSWORD": ""}

    def work():
        with transaction.atomic(db.alias):
            assert ask(db) == "alpha"
            restarted.stop()
            ask(db)

    with schema_context("alpha"):
        is_lost(work)
    restarted.start()
    new_request()
    for name in ("beta", "alpha"):
        with schema_context(name):
            assert ask(db) == name
        new_request()


def test_djangos_own_signals_do_what_these_tests_do_by_hand():
    with schema_context("alpha"):
        assert ask(connection) == "alpha"
        with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid]
            )
        is_lost(lambda: ask(connection))
        close_old_connections()
        assert ask(connection) == "alpha"

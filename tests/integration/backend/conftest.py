"""Two schemas with the sample site's tables, aliases made for one test, and the wire."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from psycopg import pq

from appschema import current_schema, deactivate, schema_context
from appschema.models import Schema
from appschema.provisioning import new_schema
from appschema.testing import remove_schema

SCHEMAS = ("alpha", "beta")
# `place` and `whereami()` tell under which schema a statement ran.
PLACES = """
    CREATE TABLE {0}.place (name text NOT NULL DEFAULT '{0}');
    INSERT INTO {0}.place DEFAULT VALUES;
    CREATE TABLE {0}.box (place text, item text);
"""
WHEREAMI = """
    CREATE FUNCTION public.whereami() RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN RETURN (SELECT name FROM place); END $$;
"""


@pytest.fixture(scope="session")
def schemas(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The schemas alpha and beta, left out of the registry, whose rows other tests count."""
    with django_db_blocker.unblock():
        demolish()
        with schema_context("public"), connection.cursor() as cursor:
            for name in SCHEMAS:
                new_schema(name, f"{name}.test")
            Schema.objects.filter(name__in=SCHEMAS).delete()
            for name in ("public", *SCHEMAS):
                cursor.execute(PLACES.format(name))
            cursor.execute(WHEREAMI)
        yield
        demolish()


def demolish() -> None:
    """Drop what these fixtures make, or an interrupted run has left in a database that is reused."""
    with schema_context("public"), connection.cursor() as cursor:
        Schema.objects.filter(name__in=[*SCHEMAS, "gamma"]).delete()
        for name in (*SCHEMAS, "gamma"):
            cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        cursor.execute("DROP TABLE IF EXISTS place, box; DROP FUNCTION IF EXISTS whereami")


@pytest.fixture(autouse=True)
def transactional_db(schemas: None, django_db_blocker: Any) -> Iterator[None]:
    """Real transactions, as pytest-django's, but deletes a few rows instead of flushing all tables.

    By its name pytest-django knows that the test database is needed.
    """
    assert current_schema() is None
    with django_db_blocker.unblock():
        yield
        deactivate()
        if connection.in_atomic_block or not connection.get_autocommit():
            connection.close()
        with connection.cursor() as cursor:
            for name in SCHEMAS:
                cursor.execute(
                    f"DELETE FROM {name}.notes_attachment; DELETE FROM {name}.notes_note;"
                    f" DELETE FROM {name}.tags_tag; DELETE FROM {name}.box"
                )
            cursor.execute("DELETE FROM tags_tag; DELETE FROM plans_plan; DELETE FROM box")


@pytest.fixture
def alpha() -> Iterator[None]:
    with schema_context("alpha"):
        yield


@pytest.fixture
def make_alias() -> Iterator[Callable[..., Any]]:
    """Make a connection of another alias to the same database, for one test."""
    made = []

    def make(name: str, *, engine: str = "appschema.backends.postgresql", **options: Any) -> Any:
        settings = connection.settings_dict
        connections.settings[name] = {
            **settings,
            "ENGINE": engine,
            "OPTIONS": {**settings["OPTIONS"], **options},
            "CONN_MAX_AGE": 0,
        }
        made.append(name)
        return connections[name]

    yield make
    for name in made:
        db: Any = connections[name]
        db.close()
        if db._connection_pools.get(name):
            db.close_pool()
        del connections[name]
        del connections.settings[name]


@pytest.fixture
def schema_of_its_own(request: pytest.FixtureRequest) -> Iterator[str]:
    """A schema that the test may drop or maim."""
    name = "gamma"
    new_schema(name, f"{name}.test")
    yield name
    deactivate()
    connection.close()
    if Schema.objects.filter(name=name).exists():
        remove_schema(name)


class Wire(list[str]):
    """The types of the messages that were sent to the server, in order."""

    sql: str
    """All that was traced, with its text."""


@pytest.fixture
def wire() -> Callable[..., Any]:
    """Record what one connection sends: libpq's own trace, so nothing can be overlooked."""

    @contextmanager
    def recording(wrapper: Any = connection) -> Iterator[Wire]:
        wrapper.ensure_connection()
        pgconn = wrapper.connection.pgconn
        sent = Wire()
        with tempfile.TemporaryFile("w+") as file:
            pgconn.trace(file.fileno())
            pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            try:
                yield sent
            finally:
                pgconn.untrace()
                file.seek(0)
                sent.sql = file.read()
                sent += re.findall(r"^F\t\d+\t(\w+)", sent.sql, re.MULTILINE)

    return recording

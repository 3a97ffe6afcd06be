"""A database whose schemas have roles, owned by a login that is no superuser."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings

from appschema import schema_context
from appschema.context import as_owner
from appschema.names import role_name
from appschema.provisioning import new_schema
from appschema.resolver import forget_names
from tests.integration.backend.conftest import PLACES, WHEREAMI, Wire, wire

__all__ = ["Wire", "wire"]

NUMBER = os.getpid()
DATABASE = f"appschema_roles_{NUMBER}"
LOGIN = f"appschema_login_{NUMBER}"
SCHEMAS = ("alpha", "beta")


def superuser(database: str = "") -> psycopg.Connection:
    url = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    if database:
        url = psycopg.conninfo.make_conninfo(url, dbname=database)
    return psycopg.connect(url, autocommit=True)


# The one to the fleet's database, which some thousand statements go over.
_kept: dict[str, psycopg.Connection] = {}


def run(sql: str, database: str = DATABASE) -> list[Any]:
    """Run SQL as the superuser, over a connection that knows nothing of schemas."""
    kept = _kept.get(database)
    with nullcontext(kept) if kept else superuser(database) as plain:
        cursor = plain.execute(sql)
        return cursor.fetchall() if cursor.description else []


def role(part: str, database: str = DATABASE) -> str:
    return '"' + role_name(database, part) + '"'


def roles_of(database: str = DATABASE) -> set[str]:
    """Return the last parts of the names of the roles of a database."""
    start = role_name(database, "")
    found = run(f"SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{start}')", "")
    return {name.removeprefix(start) for (name,) in found}


@contextmanager
def connected_to(database: str, login: str, **settings: Any) -> Iterator[None]:
    """Let Django's connection be to another database, as another login."""
    found = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(NAME=database, USER=login)
    forget_names()
    try:
        with override_settings(**{"APPSCHEMA_ROLES": True, **settings}):
            yield
    finally:
        connection.close()
        connection.settings_dict.update(found)
        forget_names()


@contextmanager
def new_database(database: str, login: str) -> Iterator[None]:
    """A database of a login that owns it; both are gone afterwards, with all roles of it."""
    with superuser() as admin:
        admin.execute(f'CREATE ROLE "{login}" LOGIN CREATEROLE')
        admin.execute(f'CREATE DATABASE "{database}" OWNER "{login}" TEMPLATE template0')
    try:
        yield
    finally:
        with superuser() as admin:
            admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
            start = role_name(database, "")
            left = admin.execute(
                "SELECT quote_ident(rolname) FROM pg_roles WHERE starts_with(rolname, %s)"
                " OR shobj_description(oid, 'pg_authid') = %s",
                [start, f"Made by appschema for the database {database!r}."],
            ).fetchall()
            for (name,) in left:
                admin.execute(f"DROP ROLE {name}")
            admin.execute(f'DROP ROLE "{login}"')


@pytest.fixture(scope="session")
def fleet(django_db_blocker: Any) -> Iterator[None]:
    """The schemas alpha and beta with roles; ``place`` tells where one is."""
    with django_db_blocker.unblock(), new_database(DATABASE, LOGIN):
        with connected_to(DATABASE, LOGIN):
            call_command("migrate", verbosity=0)
            for name in SCHEMAS:
                new_schema(name, f"{name}.test")
            with schema_context("public"), as_owner(), connection.cursor() as cursor:
                for name in ("public", *SCHEMAS):
                    cursor.execute(PLACES.format(name))
                cursor.execute(WHEREAMI)
        with superuser(DATABASE) as _kept[DATABASE]:
            yield
        del _kept[DATABASE]


@pytest.fixture
def in_fleet(fleet: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), connected_to(DATABASE, LOGIN):
        yield
    run("DELETE FROM alpha.box; DELETE FROM beta.box; DELETE FROM public.box")


@pytest.fixture
def sealed(in_fleet: None) -> Iterator[None]:
    """No role may read ``place``; the owner of the tables may."""
    names = (*SCHEMAS, "public")
    run("; ".join(f"REVOKE SELECT ON {name}.place FROM {role(name)}" for name in names))
    yield
    run("; ".join(f"GRANT SELECT ON {name}.place TO {role(name)}" for name in names))


@pytest.fixture
def make_alias(in_fleet: None) -> Iterator[Callable[..., Any]]:
    """Make a connection of another alias to the same database, for one test."""
    made = []

    def make(name: str, **options: Any) -> Any:
        settings = connection.settings_dict
        connections.settings[name] = {
            **settings,
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

"""A project per test: its apps are written by the test, its database is its own."""

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_migrate, pre_migrate
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from appschema import schema_context
from appschema.models import Schema
from appschema.provisioning import new_schema
from appschema.resolver import forget_names

NUMBERS = count()
PUBLIC_TABLES = {
    "appschema_schema",
    "appschema_publicname",
    "appschema_retiredname",
    "appschema_template",
    "appschema_spare",
    "appschema_appliedset",
    "appschema_ledgerentry",
    "appschema_fleetrun",
    "appschema_fleetresult",
    "django_migrations",
}


def migration(*operations: str, depends: list[tuple[str, str]] | None = None, **more: Any) -> str:
    """Return the source of a migration; the operations are Python expressions."""
    lines = [
        "from django.contrib.postgres import operations as postgres",
        "from django.db import migrations, models",
        "from .. import functions",
        "class Migration(migrations.Migration):",
        f"    dependencies = {depends or []!r}",
        *(f"    {name} = {value!r}" for name, value in more.items()),
        f"    operations = [{', '.join(operations)}]",
    ]
    return "\n".join(lines) + "\n"


def create(model: str, *fields: str) -> str:
    """Return the source of a CreateModel; each field is an expression such as ``("n", ...)``."""
    key = '("id", models.BigAutoField(primary_key=True))'
    title = '("title", models.TextField(default=""))'
    return f"migrations.CreateModel({model!r}, [{', '.join([key, title, *fields])}])"


def model(label: str) -> Any:
    """Return a model of an app that a test has written."""
    return apps.get_model(label)


class Site:
    """The apps that a test writes, and the database that they are migrated in."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self._stack = stack
        self._labels: list[str] = []

    def app(
        self,
        label: str,
        *migrations: str,
        functions: str = "",
        models: str = "",
        **named: str,
    ) -> None:
        """Write an app; its migrations are called 0001_first, 0002_next, ... or by name."""
        package = self.root / label
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "functions.py").write_text(functions)
        (package / "models.py").write_text(f"from django.db import models\n{models}")
        sources = {
            f"{number:04}_{'next' if number > 1 else 'first'}": text
            for number, text in enumerate(migrations, 1)
        } | named
        if sources:
            (package / "migrations").mkdir()
            (package / "migrations/__init__.py").touch()
        for name, text in sources.items():
            (package / f"migrations/{name}.py").write_text(text)
        self.forget(label)
        if label not in self._labels:
            self._labels.append(label)

    def add(self, label: str, name: str, source: str) -> None:
        """Write one more migration of an app that is installed."""
        (self.root / label / f"migrations/{name}.py").write_text(source)
        importlib.invalidate_caches()

    def forget(self, label: str) -> None:
        """Let Python and Django forget an app that was loaded."""
        for name in [each for each in sys.modules if each.partition(".")[0] == label]:
            del sys.modules[name]
        apps.all_models.pop(label, None)
        apps.clear_cache()
        importlib.invalidate_caches()

    def forget_all(self) -> None:
        for label in self._labels:
            self.forget(label)

    def place(
        self, *, shared: list[str] | None = None, both: list[str] | None = None, **more: Any
    ) -> None:
        """Install the written apps (and ``also``), placed so.

        Without a template, unless it is asked for: each new schema shows what its migrations do.
        """
        installed = ["appschema", *more.pop("also", []), *self._labels]
        self._stack.enter_context(
            override_settings(
                INSTALLED_APPS=installed,
                APPSCHEMA_SHARED_APPS=shared or [],
                APPSCHEMA_BOTH_APPS=both or [],
                **{"APPSCHEMA_TEMPLATE": None, **more},
            )
        )

    def migrate(self, *words: str, **options: Any) -> str:
        """Run ``migrate`` and return what it printed."""
        out = StringIO()
        options = {"verbosity": 1, "no_color": True, **options}
        call_command("migrate", *words, stdout=out, stderr=out, **options)
        return out.getvalue()

    def new(self, name: str) -> Schema:
        return new_schema(name, f"{name}.example.com")

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database over a connection that knows nothing of schemas."""
        with psycopg.connect(self.url, autocommit=True) as plain:
            cursor = plain.execute(statement, params or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def url(self) -> str:
        return _url(connection.settings_dict["NAME"])

    def tables(self, schema_name: str) -> set[str]:
        """Return the tables of a schema, without those that every one has."""
        found = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = %s", schema_name)
        return {table for (table,) in found} - PUBLIC_TABLES

    def records(self, schema_name: str) -> list[str]:
        """Return what a schema's own django_migrations lists, in order, without ours."""
        found = self.rows(
            f"SELECT app || '.' || name FROM \"{schema_name}\".django_migrations ORDER BY id"
        )
        return [record for (record,) in found if not record.startswith("appschema.")]

    def snapshot(self) -> list[tuple[Any, ...]]:
        """Return what is in the database: every relation, type and registered row."""
        catalog = self.rows(
            "SELECT n.nspname, c.relname, c.relkind::text FROM pg_class AS c"
            " RIGHT JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1, 2, 3"
        )
        registry = self.rows(
            "SELECT name, public_name, is_primary FROM appschema_schema AS s"
            " LEFT JOIN appschema_publicname ON schema_id = s.id ORDER BY 1, 2"
        )
        return [*catalog, *registry]


def _url(name: str) -> str:
    return psycopg.conninfo.make_conninfo(os.environ["APPSCHEMA_TEST_DATABASE_URL"], dbname=name)


@pytest.fixture
def site(
    tmp_path: Path,
    origin: str,
    django_db_blocker: DjangoDbBlocker,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    name = f"appschema_fleet_{os.getpid()}_{next(NUMBERS)}"
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{origin}"')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for signal in (pre_migrate, post_migrate):
        monkeypatch.setattr(signal, "receivers", list(signal.receivers))
    with django_db_blocker.unblock(), ExitStack() as stack:
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "NAME", name)
        forget_names()
        site = Site(tmp_path, stack)
        yield site
        connection.close()
    forget_names()
    site.forget_all()
    for signal in (pre_migrate, post_migrate):
        signal.sender_receivers_cache.clear()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def in_schemas() -> Callable[..., dict[str, Any]]:
    """Return a function that calls another in each of some schemas."""

    def call(function: Callable[[], Any], *names: str) -> dict[str, Any]:
        found = {}
        for name in names:
            with schema_context(name):
                found[name] = function()
        return found

    return call

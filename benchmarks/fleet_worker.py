"""One variant of the benchmark of fleet migrations, asked by lines on stdin.

``benchmarks.fleet`` starts it; what it answers is one line of JSON for each line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module, invalidate_caches
from typing import Any

import django
import psycopg
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations import AddField
from django.db.migrations.loader import MigrationLoader

from benchmarks.fleet_plain import holds, make_each, send_to_each, states
from benchmarks.fleet_project import APP

VARIANT, URL = os.environ["BENCHMARK_VARIANT"], os.environ["BENCHMARK_URL"]
PLANS = 10
BARE = "bare"
"""What the names of the psycopg loop begin with, which takes everything back that it has done."""


def name_of(number: int) -> str:
    return f"s{number:05}"


class Ours:
    """django-appschema."""

    def set_up(self) -> None:
        call_command("migrate", verbosity=0)
        _make_plans()

    def grow(self, first: int, last: int, width: int) -> None:
        """Make the schemas of these numbers, each by ``new_schema``."""
        new_schema = import_module("appschema.provisioning").new_schema
        for number in range(first, last):
            new_schema(name_of(number), f"{name_of(number)}.example.com")


class Peer:
    """A package with a model of tenants."""

    def __init__(self) -> None:
        registry = f"{VARIANT.removeprefix('django-')}_registry"
        self._tenant, self._domain = (
            apps.get_model(registry, name) for name in ("Tenant", "Domain")
        )

    def set_up(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path TO public")
        with connection.schema_editor() as editor:
            for model in (self._tenant, self._domain):
                editor.create_model(model)
        if VARIANT == "django-tenants":
            call_command("migrate_schemas", shared=True, verbosity=0)
        else:
            call_command("migrateschema", schemas=["public"], verbosity=0)
        _make_plans()
        first = self._tenant(schema_name=name_of(0))
        first.auto_create_schema = True
        first.save(verbosity=0)
        self._register_domains([first])

    def grow(self, first: int, last: int, width: int) -> None:
        """Make copies of the package's own first schema, with its rows and its records."""
        names = [name_of(number) for number in range(max(first, 1), last)]
        script = _read(name_of(0))
        make_each(URL, names, script.render, width)
        rows = self._tenant.objects.bulk_create(self._tenant(schema_name=name) for name in names)
        self._register_domains(rows)

    def _register_domains(self, tenants: Sequence[Any]) -> None:
        self._domain.objects.bulk_create(
            self._domain(
                domain=f"{each.schema_name}.example.com", tenant_id=each.pk, is_primary=True
            )
            for each in tenants
        )


def _make_plans() -> None:
    plan: Any = apps.get_model("plans", "Plan")
    plan.objects.bulk_create(plan(title=f"plan {n}") for n in range(PLANS))


def _read(schema_name: str) -> Any:
    """Return the SQL that makes a schema like the one that is there."""
    catalog = import_module("appschema.catalog")
    with (
        psycopg.connect(URL, cursor_factory=psycopg.ClientCursor) as plain,
        plain.cursor() as cursor,
    ):
        snapshot = catalog.read_schema(cursor, schema_name)
        return catalog.write_schema(snapshot, catalog.read_rows(cursor, snapshot))


def tidy() -> None:
    """Do what autovacuum would do at some moment of the measurement."""
    with psycopg.connect(URL, autocommit=True) as plain:
        listed = plain.execute(
            "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'pg_catalog'::regnamespace"
        ).fetchall()
        for (table,) in listed:
            plain.execute(f"VACUUM ANALYZE pg_catalog.{table}".encode())


def send(release: str, schemas: int, width: int) -> float:
    """Send the SQL of a migration, with its record, to each schema; then take it back, untimed.

    Under names of its own, so that it can be done before or after the migration itself.
    """
    loader = MigrationLoader(None)
    migration = loader.get_migration(APP, release)
    state = loader.project_state((APP, release), at_end=False)
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        migration.apply(state, editor, collect_sql=True)
    collected = [each for each in editor.collected_sql if not each.startswith("--")]
    statements = [each.rstrip(";").replace("added_", f"{BARE}_") for each in collected]
    column = next(each.name for each in migration.operations if isinstance(each, AddField))
    record = (
        f"INSERT INTO django_migrations (app, name, applied) VALUES ('{BARE}', '{release}', now())"
    )
    names = [name_of(number) for number in range(schemas)]
    spent = send_to_each(URL, names, [*statements, record], width)
    undo = [
        f"ALTER TABLE {APP}_article DROP COLUMN {column.replace('added_', f'{BARE}_')}",
        f"DELETE FROM django_migrations WHERE app = '{BARE}'",
    ]
    send_to_each(URL, names, undo, width)
    return spent


def call(release: str, schemas: int) -> float:
    """Call the function of a migration in each schema, with states that are rendered once.

    What it has done is taken back, untimed.
    """
    schema_context = import_module("appschema").schema_context
    function = import_module(f"fleet_site.{APP}.migrations.{release}").raise_scores
    models = MigrationLoader(None).project_state((APP, release), at_end=False).apps
    names = [name_of(number) for number in range(schemas)]
    connection.ensure_connection()
    with connection.schema_editor(atomic=False) as editor:
        begun = time.perf_counter()
        for name in names:
            with schema_context(name), transaction.atomic():
                function(models, editor)
        spent = time.perf_counter() - begun
    send_to_each(URL, names, [f"UPDATE {APP}_article SET score = score - 1"], 1)
    return spent


def main() -> None:
    # What packages print is not an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    django.setup()
    variant = Ours() if VARIANT == "appschema" else Peer()
    orders: dict[str, Callable[..., Any]] = {
        "set up": variant.set_up,
        "grow": variant.grow,
        "tidy": tidy,
        "send": send,
        "call": call,
        "states": lambda count: states(URL, [name_of(number) for number in range(count)]),
        "holds": lambda: holds(URL, name_of(0)),
        "check models": lambda: call_command("makemigrations", check=True, dry_run=True),
    }
    for line in sys.stdin:
        details = json.loads(line)
        # Releases are written while this process lives.
        invalidate_caches()
        answer = orders[details.pop("do")](**details)
        # What the server keeps for a connection grows with the schemas that it has seen.
        connection.close()
        print(json.dumps(answer), flush=True, file=answers)


if __name__ == "__main__":
    main()

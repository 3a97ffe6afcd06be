"""A ``migrate`` of the fleet is killed at random moments, and then run to its end.

Afterwards every schema is what a new one is that is made by all migrations: its tables and indexes, its
records, its rows of content types and permissions. Nothing was run twice, nothing is left to be mended by
hand, and the template and the spare are at head with all the others.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import load_command_class
from django.db import connection, transaction
from django.test import override_settings

from appschema import schema_context
from appschema.catalog import compare, read_schema
from appschema.fleet.look import find_all
from appschema.fleet.selection import read_selection
from appschema.models import Spare
from appschema.names import quote_identifier
from appschema.provisioning import refill_spares
from appschema.testing import remove_schema
from tests.integration.fleet.conftest import Site, create, migration

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
SEED = int(os.environ.get("APPSCHEMA_SEED", "1"))
SCHEMAS, KILLS = (200, 100) if FULL else (12, 4)
IN_A_ROW = 5 if FULL else 2
"""How often one release is killed at most, before it is let run to its end."""

ROOT = Path(__file__).parents[3]
TEMPLATE = "appschema_template"
CONTRIB = ["django.contrib.contenttypes", "django.contrib.auth"]
SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = {installed!r}
APPSCHEMA_SHARED_APPS = ["plans"]
APPSCHEMA_SPARES = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {{"default": {database!r}}}
"""
CHILD = """
import sys, django
from django.core.management import execute_from_command_line
django.setup()
print("begun", flush=True)
execute_from_command_line(["manage.py", "migrate", "--verbosity=0", *sys.argv[1:]])
"""
MODELS = """
class Item(models.Model):
    title = models.TextField(default='')
    n = models.IntegerField(default=0)
    plan = models.ForeignKey('plans.Plan', models.CASCADE, null=True)

class Ran(models.Model):
    title = models.TextField(default='')
"""
EXTRA = """
class Extra{number}(models.Model):
    title = models.TextField(default='')
"""
FUNCTIONS = """
def count(apps, editor):
    item = apps.get_model("shop", "Item")
    for each in item.objects.using(editor.connection.alias):
        each.n += 1
        each.save()
"""
# A row for each time that it is run: two of them are one too many.
NOTE = (
    "migrations.RunSQL(\"INSERT INTO shop_ran (title) VALUES ('{name}')\", migrations.RunSQL.noop)"
)
FIELD = 'migrations.AddField("Item", {field!r}, models.IntegerField(default=7))'
INDEX = '("Item", models.Index(fields=[{field!r}], name="{field}_{kind}"))'

Source = Callable[[str, str, int], str]
Process = subprocess.Popen[str]
Wait = Callable[[Process], None]


def in_one_transaction(name: str, before: str, number: int) -> str:
    field = f"f{number}"
    return migration(
        FIELD.format(field=field),
        f"migrations.AddIndex{INDEX.format(field=field, kind='index')}",
        NOTE.format(name=name),
        create(f"Extra{number}"),
        "migrations.RunPython(functions.count, migrations.RunPython.noop)",
        depends=[("shop", before)],
    )


def outside_of_one(name: str, before: str, number: int) -> str:
    """Two indexes that are built CONCURRENTLY, with a statement between that is not to be repeated."""
    indexes = [INDEX.format(field="n", kind=f"{kind}{number}") for kind in ("first", "second")]
    first, second = (f"postgres.AddIndexConcurrently{index}" for index in indexes)
    return migration(
        first, NOTE.format(name=name), second, depends=[("shop", before)], atomic=False
    )


RELEASES: dict[str, tuple[Source, ...]] = {"both": (in_one_transaction, outside_of_one)}
if FULL:
    RELEASES["in one transaction"] = (in_one_transaction, in_one_transaction)


class Shop:
    """A fleet that is migrated from release to release."""

    def __init__(self, site: Site, kinds: tuple[Source, ...]) -> None:
        self.site, self.kinds = site, kinds
        self.names = ["0001_first"]
        self.indexes: list[str] = []
        plan = create("Plan")
        site.app(
            "plans",
            migration(plan),
            models="class Plan(models.Model):\n    title = models.TextField(default='')\n",
        )
        first = migration(
            create(
                "Item",
                '("n", models.IntegerField(default=0))',
                '("plan", models.ForeignKey("plans.Plan", models.CASCADE, null=True))',
            ),
            create("Ran"),
            depends=[("plans", "0001_first")],
        )
        site.app("shop", first, models=MODELS, functions=FUNCTIONS)
        self.place()
        site.migrate()
        refill_spares()
        self.customers = [f"s{number}" for number in range(SCHEMAS)]
        with override_settings(APPSCHEMA_SPARES=0):
            for name in self.customers:
                site.new(name)
                site.rows(f"INSERT INTO {name}.shop_item (title, n) VALUES ('kept', 0)")
        refill_spares()

    def place(self) -> None:
        self.site.place(
            shared=["plans"], also=CONTRIB, APPSCHEMA_TEMPLATE=TEMPLATE, APPSCHEMA_SPARES=1
        )

    def release(self) -> None:
        """Write the migrations of one more, and its models, of which a deploy with no migrations reads."""
        self.indexes = []
        for kind in self.kinds:
            number = len(self.names) + 1
            name = f"{number:04}_{kind.__name__}"
            self.site.add("shop", name, kind(name, self.names[-1], number))
            self.names.append(name)
            self.indexes += [f"f{number}_index", f"n_first{number}", f"n_second{number}"]
            if kind is in_one_transaction:
                with (self.site.root / "shop/models.py").open("a") as models:
                    models.write(EXTRA.format(number=number))
        self.site.forget("shop")
        self.place()

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """Give a function that tells how many indexes of the release there are, ready or not."""
        sql = "SELECT count(*) FROM pg_class WHERE relname = ANY(%s)"
        with psycopg.connect(self.site.url, autocommit=True) as other:
            yield lambda: int(other.execute(sql, [self.indexes]).fetchall()[0][0])

    def built(self) -> int:
        with self.counting() as count:
            return count()

    def all(self) -> list[str]:
        spares = list(Spare.objects.values_list("schema_name", flat=True))
        assert len(spares) == 1
        return [TEMPLATE, *spares, *self.customers]


@pytest.mark.full
@pytest.mark.parametrize("case", RELEASES)
def test_a_killed_migrate_is_ended_by_the_next(site: Site, case: str, tmp_path: Path):
    chance = random.Random(SEED)
    shop = Shop(site, RELEASES[case])
    write_settings(tmp_path)
    shop.release()
    begun = time.monotonic()
    site.migrate(verbosity=0)
    taken = time.monotonic() - begun
    each = shop.built()
    kills = 0
    while kills < KILLS:
        shop.release()
        for _ in range(IN_A_ROW):
            connection.close()
            until = at_a_time(chance.uniform(0, taken))
            # Most of them when so much of the work can be seen as is done, and not a moment later.
            if kills % 4 and (built := shop.built()) < each:
                until = at_an_index(shop, chance.randint(built, each - 1))
            if not kill_migrate(tmp_path, until):
                break
            kills += 1
        site.migrate(*jobs(), verbosity=0)
        check(shop)


def check(shop: Shop) -> None:
    """Compare all schemas, and all of their rows, with one that is made by all migrations."""
    assert find_all("default", read_selection(None)) == []
    with override_settings(APPSCHEMA_TEMPLATE=None):
        shop.site.new("fresh")
    compare_with_fresh(shop.site, shop.all())
    runs = sum(name.endswith("in_one_transaction") for name in shop.names)
    for name in shop.customers:
        found = shop.site.rows(f"SELECT title, n FROM {name}.shop_item")
        assert found == [("kept", runs)], name
    # One comes from the spare, the other from the template.
    for name in ("claimed", "replayed"):
        shop.site.new(name)
    compare_with_fresh(shop.site, ["claimed", "replayed"])
    for name in ("fresh", "claimed", "replayed"):
        remove_schema(name)
    refill_spares()


def compare_with_fresh(site: Site, names: list[str]) -> None:
    with (
        psycopg.connect(site.url, autocommit=True) as plain,
        transaction.atomic(),
        schema_context("public"),
        connection.cursor() as cursor,
    ):
        fresh, wanted = read_schema(cursor, "fresh"), rows_of(plain, "fresh")
        for name in names:
            assert compare(read_schema(cursor, name), fresh) == (), name
            assert rows_of(plain, name) == wanted, name


def rows_of(plain: psycopg.Connection[Any], name: str) -> dict[str, list[Any]]:
    """Return what the migrations, and Django after them, have written in a schema."""
    plain.execute(f"SET search_path TO {quote_identifier(name)}")
    return {
        title: plain.execute(f"{query} ORDER BY 1, 2, 3").fetchall()
        for title, query in {
            "records": "SELECT app, name, 1 FROM django_migrations",
            "runs": "SELECT title, 1, 1 FROM shop_ran",
            "content types": "SELECT app_label, model, 1 FROM django_content_type",
            "permissions": "SELECT app_label, model, codename FROM auth_permission"
            " JOIN django_content_type AS c ON c.id = content_type_id",
        }.items()
    }


def write_settings(directory: Path) -> None:
    keys = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
    database = {key: connection.settings_dict[key] for key in keys}
    installed = ["appschema", *CONTRIB, "plans", "shop"]
    text = SETTINGS.format(installed=installed, database=database)
    (directory / "killed_settings.py").write_text(text)


def jobs() -> list[str]:
    """Return the words that ask for several connections, if ``migrate`` has them."""
    parser = load_command_class("appschema", "migrate").create_parser("manage.py", "migrate")
    return ["--jobs", "3"] if "--jobs" in parser.format_help() else []


def at_a_time(after: float) -> Wait:
    # How soon, it is by chance: this is no waiting for something to have happened.
    def wait(process: Process) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)

    return wait


def at_an_index(shop: Shop, beyond: int) -> Wait:
    def wait(process: Process) -> None:
        with shop.counting() as count:
            while process.poll() is None and count() <= beyond:
                pass

    return wait


def kill_migrate(directory: Path, wait: Wait) -> bool:
    """Run ``migrate``, and kill it when *wait* returns; tell if it was not done before.

    Nobody waits for the server to notice.
    """
    said = directory / "said.txt"
    path = os.pathsep.join([str(directory), str(ROOT), *filter(None, sys.path)])
    with (
        said.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", CHILD, *jobs()],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "killed_settings",
                "PYTHONPATH": path,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "begun\n", said.read_text()
        wait(process)
        process.kill()
        code = process.wait()
    assert code in (0, -signal.SIGKILL), said.read_text()
    return code != 0

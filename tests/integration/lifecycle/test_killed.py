"""Whoever renames or purges is killed at random moments, or loses the server's process.

Afterwards each registry row has its complete schema, or is told of as half purged; each schema has its
row; and the same call, made again, succeeds.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from django.db import DatabaseError, connection

from appschema.exceptions import UnknownSchema, WrongState
from appschema.fleet.look import find_all
from appschema.fleet.selection import read_selection
from appschema.models import Schema
from appschema.provisioning import (
    drop_schema,
    purge_schema,
    rename_schema,
    undrop_schema,
)
from tests.integration.fleet.conftest import Site
from tests.integration.lifecycle.conftest import add_item, items

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
ROOT = Path(__file__).parents[3]
SEED = int(os.environ.get("APPSCHEMA_SEED", "1"))
MORE = 20
"""Tables beside those of the app, so that purging takes many steps."""

SETTINGS = """
from appschema.backends.postgresql import base
SECRET_KEY = "x"
INSTALLED_APPS = ["appschema", "plans", "shop"]
APPSCHEMA_SHARED_APPS = ["plans"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {{"default": {settings!r}}}
"""
# What it is asked for comes by stdin, so that it has begun nothing before it is looked at.
CHILD = """
import sys, django
django.setup()
from django.db import connection
from django.test import override_settings
from appschema.provisioning import clone_schema, new_schema, purge, purge_schema, rename_schema
from appschema.provisioning import refill_spares
def refill(count):
    with override_settings(APPSCHEMA_SPARES=int(count)):
        refill_spares()
connection.ensure_connection()
purge.SHARE_OF_LOCKS = 10_000
acts = {
    "rename": rename_schema,
    "purge": lambda name, _: purge_schema(name, now=True),
    "create": new_schema,
    "clone": lambda name, source: clone_schema(source, name, name + ".test", with_data=True),
    "refill": refill,
}
print("ready", flush=True)
act, *names = sys.stdin.readline().split()
print("begun", flush=True)
acts[act](*names)
print("done", flush=True)
"""


@dataclass
class Act:
    """What is interrupted, and how long it takes if it is not."""

    run: Callable[[str], object]
    words: str


ACTS = {
    "rename": Act(lambda name: rename_schema(name, f"{name}_new"), "rename {0} {0}_new"),
    "purge": Act(lambda name: purge_schema(name, now=True), "purge {0} -"),
}


@pytest.fixture
def large(shop: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    # Few locks in each step mean many steps.
    monkeypatch.setattr("appschema.provisioning.purge.SHARE_OF_LOCKS", 10_000)
    return shop


def make(shop: Site, act: str, name: str) -> None:
    shop.new(name)
    add_item(name, "kept")
    shop.rows(
        f"DO $$BEGIN FOR n IN 1..{MORE} LOOP EXECUTE format('CREATE TABLE {name}.t%s (id serial PRIMARY"
        " KEY, t text, plan_id bigint REFERENCES plans_plan)', n); END LOOP; END$$"
    )
    if act == "purge":
        drop_schema(name)


def look(shop: Site, act: str, name: str) -> str:
    """Return what became of the schema; fail if that is neither the one thing nor the other."""
    connection.close()
    rows = {row.name: row for row in Schema.objects.all()}
    found = {
        each
        for (each,) in shop.rows(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public|information_schema)'"
        )
    }
    findings = {(each.kind, each.where) for each in find_all("default", read_selection(None))}
    assert set(rows) - {name} == found - {name}, "each schema has its row, and each row its schema"
    if act == "rename":
        assert findings == set()
        (there,) = {name, f"{name}_new"} & set(rows)
        assert there in found
        assert len(shop.tables(there)) == MORE + 1
        assert items(there) == ["kept"]
        return "whole" if there == name else "done"
    if name not in rows:
        assert name not in found
        assert findings == set()
        return "done"
    if rows[name].purging:
        assert findings == {("half-purged", name)}
        with pytest.raises(WrongState):
            undrop_schema(name)
        return "half"
    assert findings == set()
    assert len(shop.tables(name)) == MORE + 1
    return "whole"


def end(shop: Site, act: str, name: str) -> None:
    """Make the same call again."""
    try:
        ACTS[act].run(name)
    except UnknownSchema:
        assert look(shop, act, name) == "done"
    assert look(shop, act, name) == "done"
    if act == "rename":
        shop.rows(f"DROP SCHEMA {name}_new CASCADE")
        Schema.objects.all().delete()


def duration(shop: Site, act: str) -> float:
    make(shop, act, "measured")
    begun = time.monotonic()
    ACTS[act].run("measured")
    taken = time.monotonic() - begun
    if act == "rename":
        end(shop, act, "measured")
    return taken


@pytest.mark.full
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_any_moment_it_leaves_one_thing_or_the_other(
    large: Site, act: str, tmp_path: Path
):
    chance = random.Random(SEED)
    outcomes = []
    taken = duration(large, act)
    write_settings(tmp_path)
    for number in range(60 if FULL else 3):
        name = f"victim{number}"
        make(large, act, name)
        kill_child(tmp_path, ACTS[act].words.format(name), chance.uniform(0, taken * 1.2))
        wait_for_server(large)
        outcomes.append(look(large, act, name))
        end(large, act, name)
    assert set(outcomes) <= {"whole", "half", "done"}, f"seed {SEED}"


def write_settings(directory: Path) -> None:
    """Write the settings of a child that works in the database in use."""
    keys = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
    values = {key: connection.settings_dict[key] for key in keys}
    (directory / "killed_settings.py").write_text(SETTINGS.format(settings=values))


def kill_child(directory: Path, words: str, after: float) -> None:
    """Let a process do something, and kill it so many seconds after it has begun."""
    with child(directory) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.write(f"{words}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"
        # How soon, it is by chance: this is no waiting for something to have happened.
        time.sleep(after)
        process.kill()


def child(directory: Path) -> subprocess.Popen[str]:
    path = [str(directory), str(ROOT), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "killed_settings",
            "PYTHONPATH": os.pathsep.join(path),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for_server(shop: Site) -> None:
    """Wait until the server's process of the killed one has noticed, and has rolled back."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    connection.close()
    deadline = time.monotonic() + 30
    while shop.rows(others) != [(0,)]:
        assert time.monotonic() < deadline


@pytest.mark.full
@pytest.mark.parametrize("act", ACTS)
def test_a_server_process_that_ends_at_any_moment_leaves_the_same(large: Site, act: str):
    chance = random.Random(SEED)
    outcomes = []
    taken = duration(large, act)
    for number in range(60 if FULL else 6):
        name = f"victim{number}"
        make(large, act, name)
        connection.ensure_connection()
        pid = connection.connection.info.backend_pid
        killer = Thread(target=terminate, args=(large.url, pid, chance.uniform(0, taken)))
        killer.start()
        with contextlib.suppress(DatabaseError):
            ACTS[act].run(name)
        killer.join()
        outcomes.append(look(large, act, name))
        end(large, act, name)
    assert set(outcomes) <= {"whole", "half", "done"}, f"seed {SEED}"


def terminate(url: str, pid: int, after: float) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        time.sleep(after)
        other.execute("SELECT pg_terminate_backend(%s)", [pid])

"""Whoever makes a schema is killed at random moments, or loses the server's process.

Afterwards each registry row has its complete schema, each schema has its row, a spare is a spare or has
become a customer's, and the same call, made again, succeeds.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from appschema import schema_context
from appschema.catalog import compare, read_schema
from appschema.exceptions import SchemaExists
from appschema.fleet.look import find_all
from appschema.fleet.selection import read_selection
from appschema.models import Schema
from appschema.provisioning import clone_schema, compile_template, new_schema, refill_spares
from appschema.testing import remove_schema
from tests.integration.fleet.conftest import Site
from tests.integration.lifecycle.conftest import add_item, items
from tests.integration.lifecycle.test_killed import (
    FULL,
    SEED,
    kill_child,
    terminate,
    wait_for_server,
    write_settings,
)
from tests.integration.template.conftest import TEMPLATE, spares

MORE = 20
"""Tables beside those of the app, so that it takes a while."""

SOURCES = ("template", "spare", "clone")
Make = Callable[[str], object]


@pytest.fixture
def filled(shop: Site) -> Site:
    shop.rows(
        f"DO $$BEGIN FOR n IN 1..{MORE} LOOP EXECUTE format('CREATE TABLE {TEMPLATE}.t%s (id serial"
        " PRIMARY KEY, t text, plan_id bigint REFERENCES plans_plan)', n); END LOOP; END$$"
    )
    add_item(TEMPLATE, "from the template")
    compile_template()
    shop.new("source")
    return shop


def make(source: str, name: str) -> object:
    if source == "clone":
        return clone_schema("source", name, f"{name}.test", with_data=True)
    return new_schema(name, f"{name}.test")


def words(source: str, name: str) -> str:
    return f"clone {name} source" if source == "clone" else f"create {name} {name}.test"


def prepare(source: str) -> None:
    if source == "spare":
        # In a transaction, so that there are no rests between the keys.
        with override_settings(APPSCHEMA_SPARES=1), transaction.atomic():
            refill_spares()


def look(shop: Site, source: str, name: str) -> str:
    """Return what became of the schema; fail if that is neither the one thing nor the other."""
    connection.close()
    rows = set(Schema.objects.values_list("name", flat=True))
    sql = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public|information_schema)'"
    found = {each for (each,) in shop.rows(sql)}
    assert found == rows | set(spares()) | {TEMPLATE}
    assert find_all("default", read_selection(None)) == []
    if name not in rows:
        assert len(spares()) == (1 if source == "spare" else 0)
        return "nothing"
    assert spares() == []
    assert_like_template(name)
    assert items(name) == ["from the template"]
    return "made"


def end(shop: Site, source: str, name: str) -> None:
    """Make the same call again, and take everything away."""
    with contextlib.suppress(SchemaExists):
        make(source, name)
    assert look(shop, source, name) == "made"
    remove_schema(name)


def duration(shop: Site, source: str) -> float:
    prepare(source)
    begun = time.monotonic()
    make(source, "measured")
    taken = time.monotonic() - begun
    end(shop, source, "measured")
    return taken


@pytest.mark.full
@pytest.mark.parametrize("source", SOURCES)
def test_killed_at_any_moment_it_has_made_a_schema_or_nothing(
    filled: Site, source: str, tmp_path: Path
):
    chance = random.Random(SEED)
    taken = duration(filled, source)
    write_settings(tmp_path)
    for number in range(120 if FULL else 2):
        name = f"victim{number}"
        prepare(source)
        connection.close()
        kill_child(tmp_path, words(source, name), chance.uniform(0, taken * 1.5))
        wait_for_server(filled)
        assert look(filled, source, name) in {"nothing", "made"}, f"seed {SEED}"
        end(filled, source, name)


@pytest.mark.full
@pytest.mark.parametrize("source", SOURCES)
def test_a_server_process_that_ends_at_any_moment_leaves_the_same(filled: Site, source: str):
    chance = random.Random(SEED)
    taken = duration(filled, source)
    for number in range(120 if FULL else 4):
        name = f"victim{number}"
        prepare(source)
        connection.ensure_connection()
        pid = connection.connection.info.backend_pid
        killer = Thread(target=terminate, args=(filled.url, pid, chance.uniform(0, taken)))
        killer.start()
        with contextlib.suppress(DatabaseError):
            make(source, name)
        killer.join()
        assert look(filled, source, name) in {"nothing", "made"}, f"seed {SEED}"
        end(filled, source, name)


@pytest.mark.full
def test_killed_at_any_moment_who_makes_spares_leaves_none_that_is_not_whole(
    filled: Site, tmp_path: Path
):
    chance = random.Random(SEED)
    begun = time.monotonic()
    with override_settings(APPSCHEMA_SPARES=1):
        refill_spares()
    taken = time.monotonic() - begun
    write_settings(tmp_path)
    left = 0
    for number in range(60 if FULL else 2):
        connection.close()
        kill_child(tmp_path, "refill 3", chance.uniform(0, taken * 2.5))
        wait_for_server(filled)
        for name in spares():
            assert_like_template(name)
        left += len(own_spares(filled)) - len(spares())
        with override_settings(APPSCHEMA_SPARES=number % 2):
            refill_spares()
        assert own_spares(filled) == sorted(spares()), f"seed {SEED}"
    assert left or not FULL, "it was never killed between two keys"


def own_spares(shop: Site) -> list[str]:
    sql = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'appschema_spare%' ORDER BY nspname"
    return [name for (name,) in shop.rows(sql)]


def assert_like_template(name: str) -> None:
    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        assert compare(read_schema(cursor, name), read_schema(cursor, TEMPLATE)) == ()

"""A schema is made whole or not at all, in one transaction, from inside a running process."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from appschema import current_schema, schema_context
from appschema.exceptions import (
    AppSchemaError,
    InvalidPublicName,
    InvalidSchemaName,
    NameRetired,
    SchemaExists,
    SchemaMissing,
    UnknownSchema,
)
from appschema.models import PublicName, Schema
from appschema.provisioning import adopt_schema, clone_schema, drop_schema, new_schema, purge_schema
from appschema.resolver import resolve
from appschema.signals import schema_created, schema_dropped, schema_purged
from tests.integration.fleet.conftest import Site, create, migration, model

ITEM = "class Item(models.Model):\n    title = models.TextField(default='')\n"


@pytest.fixture
def shop(site: Site) -> Site:
    site.app("shop", migration(create("Item")), models=ITEM)
    site.place()
    site.migrate()
    return site


@pytest.fixture
def told() -> Iterator[list[tuple[str, str, bool]]]:
    """What the signals told, and whether the schema was committed then."""
    calls: list[tuple[str, str, bool]] = []

    def note_created(schema_name: str, using: str, **kwargs: Any) -> None:
        calls.append(("created", schema_name, connection.in_atomic_block))

    def note_dropped(schema_name: str, using: str, **kwargs: Any) -> None:
        calls.append(("dropped", schema_name, connection.in_atomic_block))

    def note_purged(schema_name: str, using: str, **kwargs: Any) -> None:
        calls.append(("purged", schema_name, connection.in_atomic_block))

    schema_created.connect(note_created)
    schema_dropped.connect(note_dropped)
    schema_purged.connect(note_purged)
    yield calls
    schema_created.disconnect(note_created)
    schema_dropped.disconnect(note_dropped)
    schema_purged.disconnect(note_purged)


def in_threads(count: int, function: Any) -> list[Any]:
    def call(number: int) -> Any:
        try:
            return function(number)
        except AppSchemaError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def remove(name: str) -> None:
    drop_schema(name)
    purge_schema(name, now=True)


def test_row_schema_and_tables_are_made(shop: Site):
    row = new_schema("acme", "ACME.Example.com.:80", is_active=False)
    assert (row.name, row.public_name, row.is_active) == ("acme", "acme.example.com", False)
    assert Schema.objects.get() == row
    assert shop.tables("acme") == {"shop_item"}
    assert current_schema() is None


def test_it_is_reached_at_once(shop: Site):
    assert resolve(new_schema("acme", "acme.example.com").public_name or "").name == "acme"


@pytest.mark.parametrize("name", ["Acme", "acme-2", "ünïcode", "select", "1", "a" * 63, "客户"])
def test_any_valid_name_is_made_as_it_is_written(shop: Site, name: str):
    shop.new("acme")
    new_schema(name, "other.example.com")
    assert shop.tables(name) == {"shop_item"}
    with schema_context(name):
        model("shop.Item").objects.create(title="here")
    assert shop.rows("SELECT * FROM acme.shop_item") == []
    remove(name)
    assert shop.rows("SELECT nspname FROM pg_namespace WHERE nspname = %s", name) == []


def test_the_callers_rollback_undoes_all_of_it(shop: Site, told: list[Any]):
    before = shop.snapshot()
    with transaction.atomic():
        shop.new("acme")
        with schema_context("acme"):
            model("shop.Item").objects.create(title="never")
        transaction.set_rollback(True)
    assert shop.snapshot() == before
    assert told == []


def test_the_callers_savepoint_undoes_all_of_it(shop: Site, told: list[Any]):
    with transaction.atomic():
        shop.new("acme")
        with transaction.atomic():
            shop.new("globex")
            transaction.set_rollback(True)
    assert [row.name for row in Schema.objects.all()] == ["acme"]
    assert shop.tables("acme") == {"shop_item"}
    assert told == [("created", "acme", False)]


def test_nobody_sees_it_before_it_is_committed(shop: Site):
    with transaction.atomic():
        before = shop.snapshot()
        shop.new("acme")
        assert shop.snapshot() == before
    assert shop.snapshot() != before


TAKEN = {
    "name": (
        ("acme", "other.example.com"),
        "The schema 'acme' is registered already. Choose another name.",
    ),
    "public name": (
        ("other", "ACME.example.com:80"),
        "The public name 'acme.example.com' belongs to the schema 'acme' already. Choose another.",
    ),
    "schema": (
        ("stranger", "other.example.com"),
        (
            "The database has a schema 'stranger' already, which is not registered. Nothing of it was"
            " touched. Choose another name; or, if all rows in it are this customer's, take it over with"
            " 'manage.py createschema stranger PUBLIC_NAME --adopt'."
        ),
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken_is_refused_and_nothing_changed(shop: Site, what: str, told: list[Any]):
    shop.new("acme")
    told.clear()
    shop.rows("CREATE SCHEMA stranger; CREATE TABLE stranger.shop_item (title text)")
    before = shop.snapshot()
    arguments, sentence = TAKEN[what]
    with pytest.raises(SchemaExists) as raised:
        new_schema(*arguments)
    assert str(raised.value) == sentence
    assert shop.snapshot() == before
    assert told == []
    assert not connection.in_atomic_block
    shop.new("globex")


@pytest.mark.parametrize("what", TAKEN)
def test_a_refusal_leaves_the_callers_transaction_usable(shop: Site, what: str):
    shop.new("acme")
    shop.rows("CREATE SCHEMA stranger")
    with transaction.atomic():
        with pytest.raises(SchemaExists):
            new_schema(*TAKEN[what][0])
        shop.new("globex")
    assert shop.tables("globex") == {"shop_item"}


@pytest.mark.parametrize("name", ["", "public", "pg_x", 'a"b', "a b", "a;b", "ü" * 32, "-a"])
def test_a_bad_name_is_refused_before_anything_is_sent(shop: Site, name: str):
    connection.close()
    with pytest.raises(InvalidSchemaName):
        new_schema(name, "acme.example.com")
    for act in (drop_schema, purge_schema):
        with pytest.raises(InvalidSchemaName):
            act(name)
    with pytest.raises(InvalidPublicName):
        new_schema("acme", "no host")
    with override_settings(APPSCHEMA_BASE_DOMAINS=["example.com"]):
        for make in (new_schema, adopt_schema, partial(clone_schema, "other")):
            with pytest.raises(InvalidPublicName, match=r"'example\.com' is served from public"):
                make("acme", "example.com.")
    assert connection.connection is None


def test_one_of_many_creators_of_a_name_wins(shop: Site):
    barrier = Barrier(4)

    def make(number: int) -> Schema:
        barrier.wait(10)
        return new_schema("acme", f"acme{number}.example.com")

    found = in_threads(4, make)
    assert sorted(type(each).__name__ for each in found) == ["Schema", *["SchemaExists"] * 3]
    assert shop.tables("acme") == {"shop_item"}
    assert PublicName.objects.count() == 1


def test_one_of_many_creators_of_a_public_name_wins(shop: Site):
    barrier = Barrier(4)

    def make(number: int) -> Schema:
        barrier.wait(10)
        return new_schema(f"acme{number}", "acme.example.com")

    found = in_threads(4, make)
    (winner,) = [each for each in found if isinstance(each, Schema)]
    assert shop.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'acme%'") == [
        (winner.name,)
    ]


def test_many_creators_of_different_names_do_not_hinder_each_other(shop: Site):
    found = in_threads(4, lambda number: shop.new(f"acme{number}"))
    assert [each.name for each in found] == ["acme0", "acme1", "acme2", "acme3"]
    assert all(shop.tables(each.name) == {"shop_item"} for each in found)


def test_other_threads_query_on_while_a_schema_is_made(shop: Site):
    item = model("shop.Item")
    shop.new("acme")
    done = Event()

    def work(number: int) -> Any:
        if number == 0:
            try:
                return [shop.new(f"more{index}").name for index in range(3)]
            finally:
                done.set()
        count = 0
        while not done.is_set() or not count:
            with schema_context("acme"):
                item.objects.create(title=str(number))
                count += 1
        return count

    made, *counts = in_threads(3, work)
    assert made == ["more0", "more1", "more2"]
    with schema_context("acme"):
        assert item.objects.count() == sum(counts)
    for name in made:
        assert shop.rows(f"SELECT * FROM {name}.shop_item") == []


def test_installed_apps_and_the_app_registry_are_untouched(shop: Site):
    def state() -> tuple[Any, ...]:
        models = {label: dict(found) for label, found in apps.all_models.items() if found}
        return (settings.INSTALLED_APPS, apps.app_configs, list(apps.app_configs), models)

    before, configs = state(), apps.app_configs
    shop.new("acme")
    remove("acme")
    assert state() == before
    assert apps.app_configs is configs


def test_signals_are_sent_when_it_is_committed(shop: Site, told: list[Any]):
    with transaction.atomic():
        shop.new("acme")
        assert told == []
    assert told == [("created", "acme", False)]
    with transaction.atomic():
        drop_schema("acme")
        purge_schema("acme", now=True)
        assert len(told) == 1
    assert told[1:] == [("dropped", "acme", False), ("purged", "acme", False)]


def test_a_failing_receiver_destroys_nothing_and_is_logged(
    shop: Site, told: list[Any], caplog: pytest.LogCaptureFixture
):
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("not today")

    schema_created.connect(fail)
    try:
        with caplog.at_level(logging.ERROR):
            shop.new("acme")
    finally:
        schema_created.disconnect(fail)
    assert told == [("created", "acme", False)]
    assert shop.tables("acme") == {"shop_item"}
    assert "not today" in caplog.text


def test_a_failing_migration_leaves_nothing(shop: Site, told: list[Any]):
    shop.add(
        "shop",
        "0002_next",
        migration("migrations.RunSQL('SELECT 1 / 0')", depends=[("shop", "0001_first")]),
    )
    before = shop.snapshot()
    with pytest.raises(Exception, match="division by zero"):
        shop.new("acme")
    assert shop.snapshot() == before
    assert told == []
    assert not connection.in_atomic_block


def test_purging_takes_schema_rows_and_public_names(shop: Site):
    before = shop.snapshot()
    shop.new("acme").public_names.create(public_name="two.example.com")
    remove("acme")
    assert shop.snapshot() == before


def test_dropping_what_is_not_registered_is_refused(shop: Site):
    shop.rows("CREATE SCHEMA stranger")
    before = shop.snapshot()
    with pytest.raises(UnknownSchema, match=r"^There is no schema 'stranger'\."):
        drop_schema("stranger")
    assert shop.snapshot() == before


def test_a_schema_that_is_gone_already_can_be_dropped_from_the_registry(shop: Site):
    shop.new("acme")
    shop.rows("DROP SCHEMA acme CASCADE")
    remove("acme")
    assert not Schema.objects.exists()


def test_a_purged_schema_answers_nothing_more_and_never_public(shop: Site):
    shop.new("acme")
    remove("acme")
    with schema_context("acme"), pytest.raises(SchemaMissing):
        model("shop.Item").objects.count()


def test_the_name_of_a_purged_schema_is_retired_and_gives_a_new_empty_one_if_asked_to(shop: Site):
    item = model("shop.Item")
    shop.new("acme")
    with schema_context("acme"):
        item.objects.create(title="old")
    remove("acme")
    before = shop.snapshot()
    with pytest.raises(NameRetired, match=r"^A schema was called 'acme' until \d{4}-\d\d-\d\d\."):
        shop.new("acme")
    assert shop.snapshot() == before
    new_schema("acme", "acme.example.com", reuse_name=True)
    with schema_context("acme"):
        assert not item.objects.exists()


def test_purging_waits_for_a_transaction_that_uses_the_schema(shop: Site):
    shop.new("acme")
    drop_schema("acme")
    began, dropping = Event(), Event()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database ="
    waiting += " (SELECT oid FROM pg_database WHERE datname = current_database())"

    def work(number: int) -> Any:
        if number == 1:
            began.wait(10)
            dropping.set()
            return purge_schema("acme", now=True)
        with transaction.atomic(), schema_context("acme"):
            item = model("shop.Item")
            item.objects.create(title="before")
            began.set()
            dropping.wait(10)
            with psycopg.connect(shop.url, autocommit=True) as watcher:
                while watcher.execute(waiting).fetchone() == (0,):
                    pass
            return item.objects.count()

    assert in_threads(2, work) == [1, None]
    assert not Schema.objects.exists()


def test_a_rolled_back_drop_keeps_everything(shop: Site, told: list[Any]):
    shop.new("acme")
    before = shop.snapshot()
    with transaction.atomic():
        remove("acme")
        transaction.set_rollback(True)
    assert shop.snapshot() == before
    assert [act for act, *_ in told] == ["created"]
    with schema_context("acme"):
        assert model("shop.Item").objects.count() == 0


def test_it_is_made_from_inside_another_schema(shop: Site):
    shop.new("acme")
    with schema_context("acme"):
        shop.new("globex")
        assert current_schema() == "acme"
    assert shop.tables("acme") == shop.tables("globex") == {"shop_item"}


def test_a_name_that_stands_in_the_path_of_all_schemas_is_refused(shop: Site):
    with override_settings(APPSCHEMA_DEFAULT_PATH=["extensions", "public"]):
        with pytest.raises(InvalidSchemaName, match="APPSCHEMA_DEFAULT_PATH"):
            shop.new("extensions")
    assert shop.rows("SELECT FROM pg_namespace WHERE nspname = 'extensions'") == []


def test_the_name_of_the_role_in_use_is_refused(shop: Site):
    ((role,),) = shop.rows("SELECT current_user::text")
    with pytest.raises(InvalidSchemaName, match="database role in use"):
        shop.new(role)
    assert shop.rows("SELECT FROM pg_namespace WHERE nspname = current_user") == []

"""Schemas are made while others serve requests, write to shared tables, or migrate."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.apps import AppConfig, apps
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models.signals import post_migrate
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from psycopg import IsolationLevel

from appschema import current_schema, patience, schema_context
from appschema.exceptions import SchemaBusy
from appschema.models import Schema
from appschema.provisioning import new_schema, refill_spares
from appschema.provisioning.locks import _MIGRATE, no_new_schemas
from tests.integration.fleet.conftest import Site, create, migration, model
from tests.integration.lifecycle.conftest import (
    KEY,
    OPEN,
    add_item,
    beside,
    holding,
    items,
    pass_while_others_wait,
)
from tests.integration.template.conftest import TEMPLATE, open_shop, spares

# -- requests -----------------------------------------------------------------------------------


def sign_up(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]
    new_schema(name, f"{name}.example.com")
    if "fail" in request.GET:
        raise ValueError("after it")
    return HttpResponse(name)


def listing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(",".join(model("shop.Item").objects.values_list("title", flat=True)))


urlpatterns = [path("sign-up/", sign_up), path("items/", listing)]
IN_REQUESTS = {
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": ["appschema.middleware.FqdnMiddleware"],
    "APPSCHEMA_PUBLIC_NAMES": ["www.example.com"],
    "ALLOWED_HOSTS": ["*"],
}


@pytest.mark.parametrize("template", [TEMPLATE, None])
def test_other_threads_serve_on_and_the_app_registry_is_as_it_was(site: Site, template: str | None):
    shop = open_shop(site)
    shop.new("acme")
    add_item("acme", "one")
    done = threading.Event()

    def serve() -> int:
        count = 0
        client = Client(headers={"host": "acme.example.com"})
        try:
            while not done.is_set() or not count:
                assert client.get("/items/").content == b"one"
                assert model("shop.Item") is item
                assert apps.app_configs is configs
                assert settings.INSTALLED_APPS is installed
                count += 1
        finally:
            connection.close()
        return count

    with (
        override_settings(**IN_REQUESTS, APPSCHEMA_TEMPLATE=template),
        ThreadPoolExecutor(2) as pool,
    ):
        item, configs, installed = (
            model("shop.Item"),
            apps.app_configs,
            settings.INSTALLED_APPS,
        )
        servers = [pool.submit(serve) for _ in range(2)]
        try:
            client = Client(headers={"host": "www.example.com"})
            for number in range(3):
                assert client.get(f"/sign-up/?name=customer{number}").status_code == 200
        finally:
            done.set()
        assert all(each.result(timeout=30) > 0 for each in servers)
    assert Schema.objects.count() == 4


@pytest.mark.parametrize("spare", [False, True])
def test_with_atomic_requests_a_view_that_fails_leaves_nothing(site: Site, spare: bool):
    shop = open_shop(site, APPSCHEMA_SPARES=1)
    if spare:
        refill_spares()
    before = shop.snapshot()
    client = Client(headers={"host": "www.example.com"}, raise_request_exception=False)
    with override_settings(**IN_REQUESTS):
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            assert client.get("/sign-up/?name=acme&fail=1").status_code == 500
            assert shop.snapshot() == before
            assert client.get("/sign-up/?name=acme").status_code == 200
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert items("acme") == []


# -- locks on shared tables ---------------------------------------------------------------------


def test_a_shared_table_that_is_written_to_is_waited_for_and_told_of(site: Site):
    shop = open_shop(site, APPSCHEMA_LOCK_TIMEOUT=0.2)
    before = shop.snapshot()
    with holding(shop.url, "INSERT INTO plans_plan (title) VALUES ('open')"):
        with pytest.raises(SchemaBusy) as caught:
            shop.new("acme")
    assert "create the schema before anything else is written" in str(caught.value)
    assert "APPSCHEMA_SPARES" in str(caught.value)
    assert shop.snapshot() == before
    shop.new("acme")


def test_with_a_spare_nobody_is_waited_for(site: Site):
    shop = open_shop(site, APPSCHEMA_LOCK_TIMEOUT=0.2, APPSCHEMA_SPARES=1)
    refill_spares()
    with holding(shop.url, "INSERT INTO plans_plan (title) VALUES ('open')"):
        shop.new("acme")
    assert items("acme") == []


TARIFF = '("tariff", models.ForeignKey("plans.Tariff", models.CASCADE, null=True))'


def open_shop_with_two_keys(site: Site) -> Site:
    """The items refer to two shared tables, so that one can be held while the other is looked at."""
    text = "class {}(models.Model):\n    title = models.TextField(default='')\n"
    key = "    {} = models.ForeignKey('plans.{}', models.CASCADE, null=True)\n"
    plans = text.format("Plan") + text.format("Tariff")
    items = text.format("Item") + key.format("plan", "Plan") + key.format("tariff", "Tariff")
    site.app("plans", migration(create("Plan"), create("Tariff")), models=plans)
    site.app("shop", migration(create("Item", KEY, TARIFF), depends=OPEN), models=items)
    site.place(shared=["plans"], APPSCHEMA_TEMPLATE=TEMPLATE, APPSCHEMA_SPARES=1)
    site.migrate()
    return site


def test_while_spares_are_made_nobody_waits_for_more_than_one_foreign_key(site: Site):
    shop = open_shop_with_two_keys(site)
    write = "INSERT INTO plans_tariff (title) VALUES ('x')"
    with holding(shop.url, write) as other, beside(refill_spares) as making:
        # Who writes to the table that is wanted gets on, and the key before is committed already.
        pass_while_others_wait(shop.url, "plans_tariff", write)
        assert keys_of_spares(shop) == [("plans_plan", True)]
        other.rollback()
        assert making.result(timeout=30) == 1
    assert keys_of_spares(shop) == [("plans_plan", True), ("plans_tariff", True)]


def test_between_two_keys_writers_get_on_for_longer_than_a_key_has_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    shop = open_shop_with_two_keys(site)
    now, rests = [0.0], list[float]()

    def tick() -> float:
        now[0] += 0.01
        return now[0]

    clock = SimpleNamespace(monotonic=tick, sleep=rests.append)
    monkeypatch.setattr("appschema.provisioning.refill.time", clock)
    assert refill_spares() == 1
    assert rests == pytest.approx([0.09, 0.09])
    shop.new("acme")
    # In a transaction of the caller's they would wait for its end anyhow.
    with transaction.atomic():
        assert refill_spares() == 1
    assert len(rests) == 2


def keys_of_spares(shop: Site) -> list[tuple[str, bool]]:
    return shop.rows(
        "SELECT confrelid::regclass::text, convalidated FROM pg_constraint WHERE contype = 'f'"
        " AND starts_with(connamespace::regnamespace::text, 'appschema_spare_') ORDER BY 1"
    )


def test_a_spare_of_a_template_that_has_changed_meanwhile_is_made_anew(site: Site):
    shop = open_shop_with_two_keys(site)
    changed = "UPDATE appschema_template SET compiled = now()"
    with holding(shop.url, "INSERT INTO plans_plan (title) VALUES ('x')") as other:
        with beside(refill_spares) as making:
            pass_while_others_wait(shop.url, "plans_plan", "SELECT")
            ((first,),) = own_spares(shop)
            shop.rows(changed)
            other.rollback()
            assert making.result(timeout=30) == 1
    (second,) = spares()
    assert own_spares(shop) == [(second,)]
    assert second != first


def test_what_was_left_of_a_spare_is_dropped_by_the_next_who_makes_some(site: Site):
    shop = open_shop(site, APPSCHEMA_SPARES=1)
    shop.rows("CREATE SCHEMA appschema_spare_0123456789ab")
    shop.rows("CREATE SCHEMA appschema_spare_of_somebody")
    assert refill_spares() == 1
    assert own_spares(shop) == sorted(
        [*((each,) for each in spares()), ("appschema_spare_of_somebody",)]
    )


def test_a_spare_that_could_not_be_finished_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    shop = open_shop(site, APPSCHEMA_SPARES=1)
    with holding(shop.url, "INSERT INTO plans_plan (title) VALUES ('x')"):
        with pytest.raises(SchemaBusy, match="Making the spare"):
            refill_spares()
    assert own_spares(shop) == []
    assert refill_spares() == 1


def own_spares(shop: Site) -> list[tuple[str]]:
    return shop.rows(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'appschema_spare%%' ORDER BY nspname"
    )


def test_two_sign_ups_that_write_before_they_create_end_with_one_schema_and_a_clear_error(
    shop: Site,
):
    """PostgreSQL ends the deadlock; the one that got the error can go on, or try again."""
    both_have_written = threading.Barrier(2, timeout=20)

    def write_and_create(name: str) -> str:
        with transaction.atomic():
            with schema_context("public"):
                model("plans.Plan").objects.create(title=name)
            both_have_written.wait()
            shop.new(name)
        return name

    with beside(lambda: write_and_create("acme")) as one:
        with beside(lambda: write_and_create("globex")) as other:
            results = [each.exception(timeout=30) for each in (one, other)]
    (busy,) = [each for each in results if each is not None]
    assert isinstance(busy, SchemaBusy)
    assert "deadlock detected" in str(busy)
    (row,) = Schema.objects.all()
    with schema_context("public"):
        assert list(model("plans.Plan").objects.values_list("title", flat=True)) == [row.name]
    shop.new("another")


def test_foreign_keys_to_shared_tables_come_last_so_that_writers_wait_shortly(shop: Site):
    from appschema.provisioning.template import load_script
    from tests.integration.template.conftest import template

    text = load_script(template(), "default").render("acme")
    *before, last = text.strip().split(";\n")[:-1]
    assert "REFERENCES public.plans_plan" in last
    assert "REFERENCES public" not in ";".join(before)


# -- migrate ------------------------------------------------------------------------------------


PRICE = migration(
    'migrations.AddField("item", "price", models.IntegerField(default=0))',
    depends=[("shop", "0001_first")],
)


def test_migrate_waits_for_schemas_that_are_being_made_and_lists_them(shop: Site):
    made, waited_for = threading.Event(), threading.Event()

    def create_slowly() -> None:
        with transaction.atomic():
            shop.new("acme")
            made.set()
            assert waited_for.wait(timeout=30)

    with beside(create_slowly) as creating:
        assert made.wait(timeout=30)
        shop.add("shop", "0002_price", PRICE)
        with beside(shop.migrate) as migrating:
            wait_for_lock(shop)
            waited_for.set()
            told = migrating.result(timeout=60)
        creating.result(timeout=30)
    assert "acme: 1 migration, replayed" in told
    assert shop.records("acme") == ["shop.0001_first", "shop.0002_price"]


def wait_for_lock(shop: Site) -> None:
    sql = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        f" AND (classid::bigint << 32) + objid::bigint = {_MIGRATE}"
    )
    deadline = time.monotonic() + 30
    while shop.rows(sql) == [(0,)]:
        assert time.monotonic() < deadline


def test_while_migrate_is_at_it_new_schemas_wait_and_then_it_is_told(site: Site):
    shop = open_shop(site, APPSCHEMA_LOCK_TIMEOUT=0.2)
    with no_new_schemas(connection):
        with pytest.raises(SchemaBusy, match="is changing public and the"):
            shop.new("acme")
    shop.new("acme")


def test_a_schema_that_waits_for_migrate_is_made_of_the_new_version(shop: Site):
    shop.add("shop", "0002_price", PRICE)
    in_template, go_on = threading.Event(), threading.Event()

    def stop(signal: object, app_config: AppConfig, **told: object) -> None:
        if current_schema() == TEMPLATE and app_config.label == "shop":
            in_template.set()
            assert go_on.wait(timeout=30)

    post_migrate.connect(stop)
    with beside(shop.migrate) as migrating:
        assert in_template.wait(timeout=30)
        with beside(lambda: shop.new("acme")) as making:
            wait_for_lock(shop)
            go_on.set()
            making.result(timeout=30)
        migrating.result(timeout=60)
    assert shop.records("acme") == ["shop.0001_first", "shop.0002_price"]


def test_a_transaction_that_sees_the_old_version_makes_no_schema_of_it(shop: Site):
    """With REPEATABLE READ what it sees may be older than the lock."""
    level = connection.settings_dict["OPTIONS"]
    connection.close()
    level["isolation_level"] = IsolationLevel.REPEATABLE_READ
    try:
        with transaction.atomic():
            assert Schema.objects.count() == 0
            shop.add("shop", "0002_price", PRICE)
            with beside(shop.migrate) as migrating:
                migrating.result(timeout=60)
            with pytest.raises(OperationalError, match="could not serialize access"):
                shop.new("acme")
        shop.new("acme")
    finally:
        connection.close()
        del level["isolation_level"]
    assert shop.records("acme") == ["shop.0001_first", "shop.0002_price"]

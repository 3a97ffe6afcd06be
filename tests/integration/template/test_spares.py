"""Spares are ready schemas, which new customers are given by renaming them."""

import io
import json
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from appschema import schema_context
from appschema.catalog import compare, read_schema
from appschema.exceptions import TemplateLags, WrongState
from appschema.fleet import origins
from appschema.fleet.origins import drop_own_schema
from appschema.models import Schema, Spare, Template
from appschema.provisioning import compile_template, refill_spares
from tests.integration.fleet.conftest import Site, create, migration
from tests.integration.lifecycle.conftest import add_item, beside, items
from tests.integration.template.conftest import TEMPLATE, open_shop, spares, template

FUNCTION = (
    "CREATE FUNCTION {0}.how_many() RETURNS bigint LANGUAGE plpgsql SET search_path = {0}"
    " AS $$BEGIN RETURN (SELECT count(*) FROM {0}.shop_item); END$$"
)


@pytest.fixture
def stock(site: Site) -> Site:
    """A shop with two spares."""
    shop = open_shop(site, APPSCHEMA_SPARES=2)
    assert refill_spares() == 2
    return shop


def oid(shop: Site, name: str) -> int:
    ((found,),) = shop.rows("SELECT oid FROM pg_namespace WHERE nspname = %s", name)
    return int(found)


def oids(shop: Site) -> list[int]:
    return [oid(shop, name) for name in spares()]


def test_a_new_schema_is_a_spare_of_another_name(stock: Site):
    first, second = oids(stock)
    stock.new("acme")
    assert oid(stock, "acme") == first
    assert oids(stock) == [second]
    add_item("acme", "one")
    assert items("acme") == ["one"]


def test_it_is_like_the_template_and_knows_its_new_name(site: Site):
    shop = open_shop(site, APPSCHEMA_SPARES=1)
    shop.rows(FUNCTION.format(TEMPLATE))
    shop.rows(f"CREATE SEQUENCE {TEMPLATE}.numbers")
    shop.rows(
        f"ALTER TABLE {TEMPLATE}.shop_item ADD number int DEFAULT nextval('{TEMPLATE}.numbers'::text)"
    )
    compile_template()
    refill_spares()
    shop.new("acme")
    assert spares() == []
    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        assert compare(read_schema(cursor, "acme"), read_schema(cursor, TEMPLATE)) == ()
    add_item("acme", "one")
    assert shop.rows("SELECT acme.how_many(), nextval('acme.numbers')") == [(1, 2)]


def test_when_there_is_none_the_template_is_copied(stock: Site):
    for number in range(3):
        stock.new(f"customer{number}")
    assert spares() == []
    assert stock.tables("customer2") == {"shop_item"}


def test_a_rollback_gives_it_back(stock: Site):
    before = stock.snapshot(), spares()
    with transaction.atomic():
        stock.new("acme")
        transaction.set_rollback(True)
    assert (stock.snapshot(), spares()) == before


def test_two_at_once_get_one_each(stock: Site):
    first, second = oids(stock)
    with transaction.atomic():
        stock.new("acme")
        with beside(lambda: stock.new("globex")) as other:
            other.result(timeout=20)
    assert {oid(stock, "acme"), oid(stock, "globex")} == {first, second}


def test_a_claim_sends_the_same_number_of_statements_whatever_the_size(site: Site):
    counts = []
    for tables in (1, 40):
        models = [create(f"Table{number}") for number in range(tables)]
        site.app(f"big{tables}", migration(*models))
        site.place(APPSCHEMA_TEMPLATE=TEMPLATE, APPSCHEMA_SPARES=1)
        site.migrate()
        refill_spares()
        with CaptureQueriesContext(connection) as queries:
            site.new(f"customer{tables}")
        assert spares() == []
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10


def test_migrate_migrates_spares_with_the_template(stock: Site):
    before = oids(stock)
    price = 'migrations.AddField("item", "price", models.IntegerField(default=0))'
    stock.add("shop", "0002_price", migration(price, depends=[("shop", "0001_first")]))
    stock.migrate()
    assert oids(stock) == before
    stock.new("acme")
    assert oid(stock, "acme") == before[0]
    assert stock.records("acme") == ["shop.0001_first", "shop.0002_price"]


def test_a_stale_one_is_never_given_away(stock: Site):
    """Whatever the row says of it."""
    first, second = spares()
    stock.rows(f"DELETE FROM {first}.django_migrations")
    found = oid(stock, first)
    stock.new("acme")
    assert oid(stock, "acme") != found
    stock.rows(f"DROP SCHEMA {first} CASCADE; UPDATE appschema_spare SET records = 'another'")
    stock.new("globex")
    assert stock.tables("globex") == {"shop_item"}
    assert refill_spares() == 2
    assert second not in spares()


def test_one_that_is_gone_is_passed_over(stock: Site):
    first, second = spares()
    found = oid(stock, second)
    stock.rows(f"DROP SCHEMA {first} CASCADE")
    stock.new("acme")
    assert oid(stock, "acme") == found


def test_one_that_could_not_be_migrated_is_dropped(stock: Site):
    stale = spares()[0]
    stock.rows(f"DROP TABLE {stale}.shop_item")
    price = 'migrations.AddField("item", "price", models.IntegerField(default=0))'
    stock.add("shop", "0002_price", migration(price, depends=[("shop", "0001_first")]))
    with pytest.raises(Exception, match=f"Failed in 1 of 4: {stale}"):
        stock.migrate()
    assert stale not in spares()
    assert len(spares()) == 1
    assert stock.rows("SELECT FROM pg_namespace WHERE nspname = %s", stale) == []


def test_each_is_dropped_by_itself(stock: Site, monkeypatch: pytest.MonkeyPatch):
    """Twenty of a hundred tables take more locks than a server has room for."""
    transactions = []

    def drop(name: str, *, using: str) -> None:
        transactions.append(stock.rows("SELECT txid_current()"))
        drop_own_schema(name, using=using)

    monkeypatch.setattr(origins, "drop_own_schema", drop)
    assert origins.drop_spares(using="default") == 2
    first, second = transactions
    assert first != second
    assert spares() == []


def test_while_one_is_dropped_the_other_can_be_claimed(
    stock: Site, monkeypatch: pytest.MonkeyPatch
):
    stale, usable = spares()
    found = oid(stock, usable)
    records = template().records
    stock.rows("UPDATE appschema_spare SET records = '' WHERE schema_name = %s", stale)

    def drop(name: str, *, using: str) -> None:
        with beside(lambda: stock.new("acme")) as other:
            other.result(timeout=20)
        drop_own_schema(name, using=using)

    monkeypatch.setattr(origins, "drop_own_schema", drop)
    assert origins.drop_spares(using="default", keep=records) == 1
    assert oid(stock, "acme") == found
    assert spares() == []


def test_a_template_that_lags_gives_none_away(stock: Site):
    stock.rows("INSERT INTO django_migrations (app, name, applied) VALUES ('plans', 'x', now())")
    with pytest.raises(TemplateLags):
        stock.new("acme")
    with pytest.raises(TemplateLags):
        refill_spares()
    assert len(spares()) == 2


def test_as_many_as_are_wanted(stock: Site):
    assert refill_spares() == 0
    with override_settings(APPSCHEMA_SPARES=1):
        assert refill_spares() == 0
        assert len(spares()) == 1
    with override_settings(APPSCHEMA_SPARES=0):
        assert refill_spares() == 0
    assert spares() == []
    assert stock.rows("SELECT FROM pg_namespace WHERE nspname LIKE 'appschema_spare%%'") == []


def test_two_who_refill_at_once_do_not_make_too_many(stock: Site):
    with override_settings(APPSCHEMA_SPARES=4), transaction.atomic():
        assert refill_spares() == 2
        with beside(refill_spares) as other:
            assert other.result(timeout=20) == 0
    assert len(spares()) == 4


def test_without_a_template_none_are_made(stock: Site):
    with override_settings(APPSCHEMA_TEMPLATE=None):
        with pytest.raises(WrongState, match="There is no template that spares could be made from"):
            refill_spares()
        stock.migrate()
    assert spares() == []
    assert not Template.objects.exists()


def test_what_cannot_be_renamed_makes_no_spares(site: Site):
    shop = open_shop(site, APPSCHEMA_SPARES=1)
    shop.rows(FUNCTION.format(TEMPLATE))
    shop.rows(
        f"CREATE MATERIALIZED VIEW {TEMPLATE}.seen AS SELECT nextval('{TEMPLATE}.shop_item_id_seq'::text)"
    )
    compile_template()
    assert template().functions is None
    with pytest.raises(WrongState, match="it holds what cannot be renamed"):
        refill_spares()
    shop.new("acme")


def test_neither_the_registry_nor_the_fleet_know_them(stock: Site):
    assert not Schema.objects.exists()
    out = io.StringIO()
    call_command("listschemas", stdout=out, verbosity=0)
    assert "spare" not in out.getvalue()


def test_the_command_tells_how_many_there_are(stock: Site):
    stock.new("acme")
    out = io.StringIO()
    call_command("provisionschemas", stdout=out, no_color=True)
    assert out.getvalue() == "Made 1 spares; 2 are ready.\n"
    out = io.StringIO()
    call_command("provisionschemas", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"made": 0, "ready": 2}
    assert Spare.objects.count() == 2


def test_watching_goes_on_after_an_error(stock: Site, monkeypatch: pytest.MonkeyPatch):
    out, err, waits = io.StringIO(), io.StringIO(), []
    lag = "INSERT INTO django_migrations (app, name, applied) VALUES ('plans', 'x', now())"
    stock.rows(lag)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt
        stock.rows("DELETE FROM django_migrations WHERE name = 'x'")

    clock = SimpleNamespace(sleep=wait)
    monkeypatch.setattr("appschema.management.commands.provisionschemas.time", clock)
    with override_settings(APPSCHEMA_SPARES=3), pytest.raises(KeyboardInterrupt):
        call_command(
            "provisionschemas", "--watch", "--interval", "7", stdout=out, stderr=err, no_color=True
        )
    assert waits == [7.0, 7.0, 7.0]
    assert "no spares were made" in err.getvalue()
    assert out.getvalue() == "Made 1 spares; 3 are ready.\n"

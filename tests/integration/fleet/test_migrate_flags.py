"""``migrate`` takes Django's flags, and two of its own."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connections

from appschema import schema_context
from appschema.exceptions import InvalidSchemaName, MigrationError, UnknownSchema
from tests.integration.fleet.conftest import Site, create, migration


@pytest.fixture
def shop(site: Site) -> Site:
    """A shared app with one migration, an isolated one with two, and two schemas at head."""
    site.app("billing", migration(create("Plan")))
    site.app(
        "shop",
        migration(create("Item"), depends=[("billing", "0001_first")], initial=True),
        migration(create("Sale"), depends=[("shop", "0001_first")]),
    )
    site.place(shared=["billing"])
    site.migrate()
    site.new("acme")
    site.new("globex")
    return site


def add_third(site: Site) -> None:
    site.add("shop", "0003_third", migration(create("Third"), depends=[("shop", "0002_next")]))


def test_schema_addresses_one_schema(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "acme")
    assert "shop_third" in shop.tables("acme")
    assert "shop_third" not in shop.tables("globex")


def test_schema_may_be_repeated_and_names_each_once(shop: Site):
    add_third(shop)
    printed = shop.migrate("--schema", "globex", "--schema", "acme", "--schema", "globex")
    told = [line for line in printed.splitlines() if line.startswith(("Migrating", "acme"))]
    assert told[0] == "Migrating globex:"
    assert re.fullmatch(r"acme: 1 migration, replayed, \d+\.\d+ s", told[1])
    assert len(told) == 2


def test_schema_may_name_public_beside_others(shop: Site):
    printed = shop.migrate("--schema", "acme", "--schema", "public")
    assert "Migrating public:" in printed
    assert "2 up to date." in printed


def test_an_unknown_schema_is_refused_before_anything_is_done(shop: Site):
    add_third(shop)
    with pytest.raises(UnknownSchema, match=r"^There is no schema 'initech'. Run 'manage.py list"):
        shop.migrate("--schema", "acme", "--schema", "initech")
    assert "shop_third" not in shop.tables("acme")


@pytest.mark.parametrize("option", ["--canary", "--exclude"])
def test_an_unknown_schema_in_an_option_is_refused_before_public_is_migrated(
    shop: Site, option: str, monkeypatch: pytest.MonkeyPatch
):
    def migrate(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("migrated")

    monkeypatch.setattr("appschema.management.commands.migrate.migrate_schema", migrate)
    with pytest.raises(UnknownSchema, match=r"^There is no schema 'initech'"):
        shop.migrate(option, "initech")


def test_a_name_that_cannot_be_a_schema_is_refused(shop: Site):
    with pytest.raises(
        (CommandError, InvalidSchemaName), match=r"^The schema name 'a;b' holds ';'"
    ):
        shop.migrate("--schema", "a;b")


def test_shared_migrates_public_alone(shop: Site):
    add_third(shop)
    shop.add("billing", "0002_next", migration(create("Tax"), depends=[("billing", "0001_first")]))
    shop.migrate("--shared")
    assert shop.tables("public") == {"billing_plan", "billing_tax"}
    assert "shop_third" not in shop.tables("acme") | shop.tables("globex")


def test_shared_with_schema_migrates_public_and_that_schema(shop: Site):
    add_third(shop)
    shop.add("billing", "0002_next", migration(create("Tax"), depends=[("billing", "0001_first")]))
    shop.migrate("--shared", "--schema", "acme")
    assert "billing_tax" in shop.tables("public")
    assert "shop_third" in shop.tables("acme")
    assert "shop_third" not in shop.tables("globex")


def test_inside_a_schema_it_addresses_that_schema(shop: Site):
    add_third(shop)
    with schema_context("acme"):
        shop.migrate()
    assert "shop_third" in shop.tables("acme")
    assert "shop_third" not in shop.tables("globex")


def test_an_app_and_a_migration_name_and_the_way_back(shop: Site):
    add_third(shop)
    shop.migrate("shop", "0001")
    assert shop.tables("acme") == shop.tables("globex") == {"shop_item"}
    assert shop.records("acme") == ["shop.0001_first"]
    shop.migrate("shop", "0002_next")
    assert shop.tables("acme") == shop.tables("globex") == {"shop_item", "shop_sale"}
    shop.migrate("shop")
    assert "shop_third" in shop.tables("acme")
    shop.migrate("shop", "zero")
    assert shop.tables("acme") == shop.tables("globex") == set()
    assert shop.tables("public") == {"billing_plan"}
    assert shop.records("acme") == []
    assert shop.records("public") == ["billing.0001_first"]


def test_back_in_one_schema(shop: Site):
    shop.migrate("shop", "0001", "--schema", "acme")
    assert shop.tables("acme") == {"shop_item"}
    assert shop.tables("globex") == {"shop_item", "shop_sale"}
    shop.migrate()
    assert shop.tables("acme") == {"shop_item", "shop_sale"}


def test_a_shared_app_goes_back_after_what_depends_on_it_in_the_schemas(shop: Site):
    shop.migrate("billing", "zero")
    assert shop.tables("public") == shop.tables("acme") == shop.tables("globex") == set()
    assert shop.records("public") == shop.records("acme") == []
    shop.migrate()
    assert shop.tables("public") == {"billing_plan"}
    assert shop.tables("acme") == {"shop_item", "shop_sale"}


def test_an_app_alone_is_migrated_with_what_it_needs(shop: Site):
    shop.add("billing", "0002_next", migration(create("Tax"), depends=[("billing", "0001_first")]))
    add_third(shop)
    shop.migrate("billing")
    assert "billing_tax" in shop.tables("public")
    assert "shop_third" not in shop.tables("acme")
    shop.migrate("shop")
    assert "shop_third" in shop.tables("acme")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing"], r"^No installed app with label 'nothing'\.$"),
        (["shop", "0009"], r"^Cannot find a migration matching '0009' from app 'shop'\. Run"),
        (["shop", "000"], r"^More than one migration matches '000' in app 'shop'\. Give more"),
        (["--prune"], r"^Migrations can be pruned only when an app is specified\.$"),
    ],
)
def test_what_does_not_exist_is_told_in_a_sentence(shop: Site, words: list[str], sentence: str):
    with pytest.raises(CommandError, match=sentence):
        shop.migrate(*words)


def test_conflicting_migrations_are_refused(shop: Site):
    shop.add("shop", "0002_other", migration(create("Other"), depends=[("shop", "0001_first")]))
    with pytest.raises(MigrationError, match=r"^Conflicting migrations detected; .* in shop\)"):
        shop.migrate()
    assert shop.tables("acme") == {"shop_item", "shop_sale"}


def test_fake_records_and_does_nothing_else(shop: Site):
    add_third(shop)
    shop.migrate("--fake")
    assert "shop_third" not in shop.tables("acme") | shop.tables("globex")
    assert shop.records("acme")[-1] == shop.records("globex")[-1] == "shop.0003_third"
    assert shop.records("public") == ["billing.0001_first"]
    shop.migrate("shop", "0002", "--fake")
    shop.migrate()
    assert "shop_third" in shop.tables("acme")


def test_fake_initial_looks_for_the_tables_in_the_schema_itself(shop: Site):
    shop.rows("DELETE FROM acme.django_migrations")
    shop.rows("DELETE FROM globex.django_migrations; DROP TABLE globex.shop_item, globex.shop_sale")
    shop.rows("DROP TABLE acme.shop_sale")
    printed = shop.migrate("--fake-initial")
    assert printed.count("FAKED") == 1
    assert shop.tables("acme") == shop.tables("globex") == {"shop_item", "shop_sale"}
    assert shop.records("acme") == shop.records("globex") == ["shop.0001_first", "shop.0002_next"]


def test_plan_shows_each_schemas_steps_and_does_nothing(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "globex")
    before = shop.snapshot()
    printed = shop.migrate("--plan")
    assert printed.split("Planned operations in ")[1:] == [
        "public:\n  No planned migration operations.\n",
        "acme:\nshop.0003_third\n    Create model Third\n",
        "globex:\n  No planned migration operations.\n",
    ]
    assert shop.snapshot() == before


def test_plan_tells_what_is_undone(shop: Site):
    printed = shop.migrate("shop", "0001", "--plan", "--schema", "acme")
    assert printed.endswith("shop.0002_next\n    Undo Create model Sale\n")


def test_check_fails_while_any_schema_has_something_to_do(shop: Site):
    shop.migrate("--check")
    add_third(shop)
    shop.migrate("--schema", "acme")
    with pytest.raises(SystemExit) as stopped:
        shop.migrate("--check")
    assert stopped.value.code == 1
    shop.migrate("--check", "--schema", "acme")
    assert "shop_third" not in shop.tables("globex")


def test_check_fails_when_only_public_has_something_to_do(shop: Site):
    shop.add("billing", "0002_next", migration(create("Tax"), depends=[("billing", "0001_first")]))
    with pytest.raises(SystemExit):
        shop.migrate("--check")
    shop.migrate("--check", "--schema", "acme")


@pytest.mark.parametrize("origin", ["template0"])
def test_check_before_the_first_migrate_fails_and_makes_nothing(site: Site):
    site.app("billing", migration(create("Plan")))
    site.place(shared=["billing"])
    with pytest.raises(SystemExit):
        site.migrate("--check")
    assert site.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


def test_prune_deletes_the_records_of_migrations_that_are_gone(shop: Site):
    add_third(shop)
    shop.migrate()
    (shop.root / "shop/migrations/0003_third.py").unlink()
    shop.forget("shop")
    printed = shop.migrate("shop", "--prune")
    assert "Pruning in acme: shop.0003_third" in printed
    assert "Pruning in globex: shop.0003_third" in printed
    assert shop.records("acme") == shop.records("globex") == ["shop.0001_first", "shop.0002_next"]


def test_prune_of_one_schema_leaves_the_others(shop: Site):
    for name in ("acme", "globex"):
        shop.rows(f"INSERT INTO {name}.django_migrations VALUES (99, 'shop', '0009_gone', now())")
    shop.migrate("shop", "--prune", "--schema", "acme")
    assert "shop.0009_gone" not in shop.records("acme")
    assert "shop.0009_gone" in shop.records("globex")


def test_run_syncdb_of_one_app(site: Site):
    site.app("plain", models="class Row(models.Model):\n    pass\n")
    site.app("other", models="class Row(models.Model):\n    pass\n")
    site.place()
    site.migrate()
    site.new("acme")
    site.rows("DROP TABLE acme.plain_row, acme.other_row")
    site.migrate("plain", "--run-syncdb")
    assert site.tables("acme") == {"plain_row"}


def test_an_app_without_migrations_is_not_migrated(site: Site):
    site.app("plain", models="class Row(models.Model):\n    pass\n")
    site.place()
    with pytest.raises(
        CommandError, match=r"^App 'plain' does not have migrations\. Make them with"
    ):
        site.migrate("plain")


def test_run_syncdb_is_refused_for_an_app_with_migrations(shop: Site):
    with pytest.raises(CommandError, match="Can't use run_syncdb with app 'shop'"):
        shop.migrate("shop", "--run-syncdb")


def test_a_database_of_another_engine_is_migrated_by_django_and_has_no_registry(
    shop: Site, tmp_path: Path
):
    connections.databases["log"] = {
        **connections.databases["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "log.sqlite3",
        "OPTIONS": {},
    }
    try:
        shop.migrate("--database", "log")
        tables = connections["log"].introspection.table_names()
        connections["log"].close()
    finally:
        del connections.databases["log"], connections["log"]
    assert tables == ["billing_plan", "django_migrations", "shop_item", "shop_sale"]

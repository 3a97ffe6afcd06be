"""Squashed migrations, of isolated and of shared apps, in every state of their records."""

import pytest

from tests.integration.fleet.conftest import Site, create, migration

FIRST, SECOND = create("Item"), create("Sale")
KINDS = {"isolated": [], "shared": ["shop"]}


def second() -> str:
    return migration(SECOND, depends=[("shop", "0001_first")])


def squash(site: Site) -> None:
    site.add(
        "shop",
        "0001_squashed",
        migration(
            FIRST, SECOND, replaces=[("shop", "0001_first"), ("shop", "0002_next")], initial=True
        ),
    )


@pytest.fixture(params=KINDS)
def where(site: Site, request: pytest.FixtureRequest) -> str:
    """Install the app with its first migration; return the schema that it is placed in."""
    site.app("shop", migration(FIRST))
    site.app("labels", migration(create("Label")))
    site.place(shared=KINDS[request.param], both=["labels"])
    site.migrate()
    site.new("acme")
    return "public" if request.param == "shared" else "acme"


def records(site: Site, where: str) -> set[str]:
    return {each for each in site.records(where) if each.startswith("shop.")}


ALL = {"shop.0001_first", "shop.0002_next", "shop.0001_squashed"}


def test_parts_that_are_all_applied_are_recorded_as_the_squashed_one(site: Site, where: str):
    site.add("shop", "0002_next", second())
    site.migrate()
    squash(site)
    site.migrate()
    assert records(site, where) == ALL
    other = "acme" if where == "public" else "public"
    assert records(site, other) == set()
    assert {"shop_item", "shop_sale"} <= site.tables(where)


def test_a_schema_that_is_migrated_alone_records_no_squashed_migration_of_a_shared_app(
    site: Site, where: str
):
    site.add("shop", "0002_next", second())
    site.migrate()
    squash(site)
    site.migrate("--schema", "acme")
    assert records(site, "acme") == (ALL if where == "acme" else set())


def test_parts_that_are_partly_applied_are_finished_one_by_one(site: Site, where: str):
    site.add("shop", "0002_next", second())
    squash(site)
    site.migrate()
    assert {"shop_item", "shop_sale"} <= site.tables(where)
    assert records(site, where) == ALL
    assert "2 up to date." in site.migrate()


def test_a_new_schema_takes_the_squashed_one_whatever_state_the_others_are_in(
    site: Site, where: str
):
    site.add("shop", "0002_next", second())
    squash(site)
    site.migrate()
    site.new("globex")
    other = "globex" if where == "acme" else "public"
    assert {"shop_item", "shop_sale"} <= site.tables(other)
    # Django records a squashed migration together with what it replaces.
    assert records(site, other) == ALL
    assert "3 up to date." in site.migrate()


def test_what_depends_on_a_part_is_migrated_after_the_squashed_one(site: Site, where: str):
    site.add("shop", "0002_next", second())
    squash(site)
    site.add(
        "labels",
        "0002_next",
        migration(create("Other"), depends=[("labels", "0001_first"), ("shop", "0002_next")]),
    )
    site.migrate()
    site.new("globex")
    for name in ("public", "acme", "globex"):
        assert "labels_other" in site.tables(name)
    assert "3 up to date." in site.migrate()


def test_the_squashed_one_alone_is_enough_once_the_parts_are_deleted(site: Site, where: str):
    site.add("shop", "0002_next", second())
    squash(site)
    site.migrate()
    for name in ("0001_first", "0002_next"):
        (site.root / f"shop/migrations/{name}.py").unlink()
    site.add("shop", "0001_squashed", migration(FIRST, SECOND, initial=True))
    site.forget("shop")
    site.new("globex")
    assert "3 up to date." in site.migrate()
    assert "shop_sale" in site.tables("globex" if where == "acme" else "public")


def test_a_fresh_database_takes_the_squashed_one(site: Site):
    site.app("shop", migration(FIRST), second())
    squash(site)
    site.app("billing", migration(create("Plan"), depends=[("shop", "0001_squashed")]))
    site.place(both=["shop"])
    site.migrate()
    site.new("acme")
    for name in ("public", "acme"):
        assert records(site, name) == ALL
    assert "billing_plan" in site.tables("acme")


def test_it_goes_back(site: Site, where: str):
    site.add("shop", "0002_next", second())
    squash(site)
    site.migrate()
    site.migrate("shop", "zero")
    assert records(site, where) == set()
    assert not {"shop_item", "shop_sale"} & site.tables(where)
    assert "labels_label" in site.tables("acme")

"""What Django's receivers of post_migrate make is made in every schema, also where nothing is to be migrated."""

from typing import Any

import pytest

from appschema.models import LedgerEntry
from tests.integration.fleet.conftest import Site, create, migration

CONTRIB = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites"]
NAMES = ("acme", "globex")
MODEL = """
class Thing(models.Model):
    title = models.TextField(default='')
    class Meta:
        permissions = [{permissions}]
"""


@pytest.fixture
def shop(site: Site) -> Site:
    site.app("shop", migration(create("Thing")), models=MODEL.format(permissions=""))
    site.place(also=CONTRIB, APPSCHEMA_TEMPLATE="appschema_template")
    site.migrate()
    for name in NAMES:
        site.new(name)
    return site


def permissions(site: Site, name: str) -> list[Any]:
    return site.rows(f"SELECT codename FROM {name}.auth_permission WHERE codename LIKE 'lend%'")


def test_a_new_permission_reaches_all_schemas_without_a_migration(shop: Site):
    shop.app(
        "shop", migration(create("Thing")), models=MODEL.format(permissions="('lend', 'Can lend')")
    )
    shop.place(also=CONTRIB, APPSCHEMA_TEMPLATE="appschema_template")
    printed = shop.migrate()
    assert "acme: rows of models" in printed
    for name in (*NAMES, "appschema_template"):
        assert permissions(shop, name) == [("lend",)]
    shop.new("initech")
    assert permissions(shop, "initech") == [("lend",)]
    assert "5 up to date." in shop.migrate()


def test_a_new_schema_has_an_entry_that_says_all_is_there(shop: Site):
    entries = LedgerEntry.objects.values_list("applied_id", "rows").distinct()
    assert LedgerEntry.objects.count() == 3
    assert len(entries) == 1
    assert "4 up to date." in shop.migrate()


def test_after_a_migration_nothing_is_left_to_be_made(shop: Site):
    shop.add(
        "shop",
        "0002_next",
        migration(create("Box"), create("Apple"), depends=[("shop", "0001_first")]),
    )
    shop.app(
        "shop",
        migration(create("Thing")),
        migration(create("Box"), create("Apple"), depends=[("shop", "0001_first")]),
        models=MODEL.format(permissions="")
        + "class Apple(models.Model):\n    title = models.TextField(default='')\n"
        + "class Box(models.Model):\n    title = models.TextField(default='')\n",
    )
    shop.place(also=CONTRIB, APPSCHEMA_TEMPLATE="appschema_template")
    assert "globex: 1 migration, replayed" in shop.migrate()
    assert "4 up to date." in shop.migrate()

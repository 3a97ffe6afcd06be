"""An extension belongs to the database: a schema's migrations neither keep nor lose it."""

import pytest
from django.core.management.base import CommandError

from appschema.testing import remove_schema
from tests.integration.fleet.conftest import Site, create, migration

WORD = '("word", models.TextField(default=""))'
WAYS = {
    "CreateExtension": 'postgres.CreateExtension("citext")',
    "CITextExtension": "postgres.CITextExtension()",
    "RunSQL": 'migrations.RunSQL("CREATE EXTENSION IF NOT EXISTS citext", "DROP EXTENSION citext")',
    "a list": 'migrations.RunSQL(["CREATE EXTENSION IF NOT EXISTS citext"], ["DROP EXTENSION citext"])',
    "amid others": (
        "migrations.RunSQL('CREATE TABLE shop_before (a int);"
        ' create extension if not exists "citext"; CREATE TABLE shop_after (a citext)\','
        " 'DROP TABLE shop_before; DROP TABLE shop_after; DROP EXTENSION IF EXISTS citext')"
    ),
    "commented": 'migrations.RunSQL("/* ours */ CREATE EXTENSION IF NOT EXISTS citext; -- done", "")',
    "RunPython": "migrations.RunPython(functions.extend, migrations.RunPython.noop)",
}
FUNCTIONS = """
def extend(apps, schema_editor):
    schema_editor.execute("CREATE EXTENSION IF NOT EXISTS citext")
"""
USES = 'migrations.RunSQL("CREATE TABLE shop_word (word citext)", "DROP TABLE shop_word")'


def extensions(site: Site) -> list[tuple[str, str]]:
    return site.rows(
        "SELECT extname, extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'citext'"
    )


def install(site: Site, way: str) -> None:
    site.app("shop", migration(create("Item"), WAYS[way], USES), functions=FUNCTIONS)
    site.place()
    site.migrate()


@pytest.mark.parametrize("way", WAYS)
def test_the_first_schema_puts_it_into_public_and_the_others_find_it(site: Site, way: str):
    install(site, way)
    assert extensions(site) == []
    site.new("acme")
    assert extensions(site) == [("citext", "public")]
    site.new("globex")
    assert extensions(site) == [("citext", "public")]
    assert "shop_word" in site.tables("acme") & site.tables("globex")
    if way == "amid others":
        assert {"shop_before", "shop_after"} <= site.tables("acme") & site.tables("globex")


@pytest.mark.parametrize("way", WAYS)
def test_it_outlives_the_schema_that_made_it(site: Site, way: str):
    install(site, way)
    site.new("acme")
    site.new("globex")
    remove_schema("acme")
    assert extensions(site) == [("citext", "public")]
    assert "shop_word" in site.tables("globex")


@pytest.mark.parametrize("way", WAYS)
def test_a_schema_that_goes_back_leaves_it_to_the_others(site: Site, way: str):
    install(site, way)
    site.new("acme")
    site.new("globex")
    site.migrate("shop", "zero", "--schema", "acme")
    assert site.tables("acme") == set() or way == "amid others"
    assert "shop_before" not in site.tables("acme")
    assert extensions(site) == [("citext", "public")]
    assert "shop_word" in site.tables("globex")
    site.migrate()
    assert "shop_word" in site.tables("acme")


def test_it_goes_to_the_schema_for_extensions_if_there_is_one(site: Site):
    site.rows("CREATE SCHEMA extensions")
    site.app("shop", migration(WAYS["CreateExtension"], USES))
    site.place(
        APPSCHEMA_EXTENSIONS_SCHEMA="extensions", APPSCHEMA_DEFAULT_PATH=["public", "extensions"]
    )
    site.migrate()
    site.new("acme")
    assert extensions(site) == [("citext", "extensions")]
    assert "shop_word" in site.tables("acme")


def test_a_later_migration_of_existing_schemas_makes_it_once(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.add(
        "shop",
        "0002_next",
        migration(WAYS["CreateExtension"], USES, depends=[("shop", "0001_first")]),
    )
    site.migrate()
    assert extensions(site) == [("citext", "public")]
    assert "shop_word" in site.tables("acme") & site.tables("globex")


def test_a_shared_apps_extension_is_made_and_dropped_as_django_does(site: Site):
    site.app("shop", migration(WAYS["CreateExtension"]))
    site.place(shared=["shop"])
    site.migrate()
    assert extensions(site) == [("citext", "public")]
    site.migrate("shop", "zero")
    assert extensions(site) == []


def test_the_word_extension_in_data_is_no_extension(site: Site):
    site.app(
        "shop",
        migration(
            create("Item"),
            "migrations.RunSQL(\"INSERT INTO shop_item (id, title) VALUES (1, 'create extension; drop extension')\", '')",
        ),
    )
    site.place()
    site.migrate()
    site.new("acme")
    assert site.rows("SELECT title FROM acme.shop_item") == [("create extension; drop extension",)]


def test_an_extension_with_a_schema_of_its_own_choice_keeps_it(site: Site):
    site.rows("CREATE SCHEMA elsewhere")
    site.app(
        "shop",
        migration(
            "migrations.RunSQL('CREATE EXTENSION IF NOT EXISTS citext SCHEMA elsewhere', '')"
        ),
    )
    site.place()
    site.migrate()
    site.new("acme")
    assert extensions(site) == [("citext", "elsewhere")]


def test_an_extension_that_the_server_lacks_is_an_error_and_leaves_no_schema(site: Site):
    site.app("shop", migration('postgres.CreateExtension("no_such_extension")'))
    site.place()
    site.migrate()
    before = site.snapshot()
    with pytest.raises(Exception, match="no_such_extension"):
        site.new("acme")
    assert site.snapshot() == before
    with pytest.raises(CommandError, match="There is no schema 'acme'"):
        site.migrate("--schema", "acme")

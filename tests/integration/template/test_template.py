"""New schemas are copies of a template, which ``migrate`` keeps at head."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

from appschema import schema_context
from appschema.catalog import compare, read_rows, read_schema
from appschema.exceptions import InvalidSchemaName, SchemaExists, TemplateLags
from appschema.models import Schema, Template
from appschema.provisioning import adopt_schema, compile_template, new_schema, rename_schema
from tests.integration.fleet.conftest import Site, create, migration, model
from tests.integration.lifecycle.conftest import OPEN, add_item, items
from tests.integration.template.conftest import TEMPLATE, migrations_run, open_shop, template

WELCOME = """
def welcome(apps, editor):
    item = apps.get_model("shop", "Item").objects.create(title="welcome")
"""
ANOTHER_FIELD = migration(
    'migrations.AddField("item", "price", models.IntegerField(default=0))',
    depends=[("shop", "0001_first")],
)


def differences(one: str, other: str) -> list[str]:
    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        snapshots = [read_schema(cursor, name) for name in (one, other)]
        rows = [read_rows(cursor, each) for each in snapshots]
    assert rows[0] == rows[1]
    return [str(each) for each in compare(*snapshots)]


def columns(shop: Site, schema_name: str) -> set[str]:
    sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'shop_item'"
    return {name for (name,) in shop.rows(sql, schema_name)}


# -- copies -------------------------------------------------------------------------------------


def test_a_new_schema_is_a_copy_of_the_template_and_no_migration_is_run(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    ran = migrations_run(monkeypatch)
    shop.new("acme")
    assert ran == []
    assert shop.tables("acme") == shop.tables(TEMPLATE) == {"shop_item"}
    assert shop.records("acme") == shop.records(TEMPLATE)
    assert differences("acme", TEMPLATE) == []
    add_item("acme", "one")
    shop.new("globex")
    assert items("globex") == []


def test_rows_of_migrations_content_types_permissions_and_fixtures_come_along(site: Site):
    fixture = site.root / "start.json"
    fixture.write_text('[{"model": "shop.item", "pk": 7, "fields": {"title": "from a file"}}]')
    site.app("plans", migration(create("Plan")))
    welcome = migration(create("Item"), "migrations.RunPython(functions.welcome)")
    item = "class Item(models.Model):\n    title = models.TextField(default='')\n"
    site.app("shop", welcome, functions=WELCOME, models=item)
    also = ["django.contrib.contenttypes", "django.contrib.auth"]
    site.place(
        shared=["plans"], also=also, APPSCHEMA_TEMPLATE=TEMPLATE, APPSCHEMA_FIXTURES=[str(fixture)]
    )
    site.migrate()
    site.new("acme")
    assert items("acme") == ["welcome", "from a file"]
    assert site.rows("SELECT count(*) > 5 FROM acme.auth_permission") == [(True,)]
    assert differences("acme", TEMPLATE) == []
    add_item("acme", "next")
    assert site.rows("SELECT max(id) FROM acme.shop_item") == [(8,)]


def test_a_fixture_that_has_changed_makes_the_template_anew(site: Site):
    fixture = site.root / "start.json"
    fixture.write_text('[{"model": "shop.item", "pk": 1, "fields": {"title": "old"}}]')
    shop = open_shop(site, APPSCHEMA_FIXTURES=[str(fixture)])
    fixture.write_text('[{"model": "shop.item", "pk": 2, "fields": {"title": "new"}}]')
    shop.migrate()
    shop.new("acme")
    assert items("acme") == ["new"]


def test_without_a_template_fixtures_are_loaded_too(site: Site):
    fixture = site.root / "start.json"
    fixture.write_text('[{"model": "shop.item", "pk": 1, "fields": {"title": "old"}}]')
    shop = open_shop(site, APPSCHEMA_FIXTURES=[str(fixture)])
    with override_settings(APPSCHEMA_TEMPLATE=None):
        shop.new("acme")
    assert items("acme") == ["old"]


def test_it_is_one_transaction_with_the_callers(shop: Site):
    before = shop.snapshot()
    with transaction.atomic():
        shop.new("acme")
        assert items("acme") == []
        transaction.set_rollback(True)
    assert shop.snapshot() == before
    shop.new("acme")


def test_what_the_caller_has_written_to_shared_tables_is_no_hindrance(shop: Site):
    with transaction.atomic():
        with schema_context("public"):
            plan = model("plans.Plan").objects.create(title="gold")
        shop.new("acme")
        add_item("acme", "one", plan=plan)
    assert items("acme") == ["one"]


def test_a_schema_that_is_there_is_not_taken_over(shop: Site):
    shop.rows("CREATE SCHEMA acme")
    with pytest.raises(SchemaExists, match="The database has a schema 'acme' already"):
        shop.new("acme")
    assert not Schema.objects.exists()


def test_the_search_path_and_the_limit_on_waiting_are_what_they_were(shop: Site):
    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout TO '7s'; SET LOCAL IntervalStyle TO 'iso_8601'")
        shop.new("acme")
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('IntervalStyle')")
        assert cursor.fetchone() == ("7s", "iso_8601")


# -- migrate keeps it ---------------------------------------------------------------------------


def test_migrate_brings_the_template_to_head_before_the_fleet(shop: Site):
    shop.new("acme")
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    told = shop.migrate()
    assert told.index(f"Migrating {TEMPLATE}") < told.index("acme: 1 migration")
    shop.new("globex")
    assert columns(shop, "globex") == columns(shop, "acme") == columns(shop, TEMPLATE)
    assert "price" in columns(shop, "globex")


def test_a_migrate_that_has_nothing_to_do_leaves_it_as_it_is(shop: Site):
    before = template().compiled
    shop.migrate()
    assert template().compiled == before


def test_what_is_undone_is_undone_in_the_template_too(shop: Site):
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    shop.migrate()
    shop.migrate("shop", "0001")
    shop.new("acme")
    assert "price" not in columns(shop, "acme")


def test_a_migration_of_a_shared_app_is_known_to_the_script(shop: Site):
    rename = 'migrations.AlterModelTable("plan", "tariff")'
    shop.add("plans", "0002_name", migration(rename, depends=OPEN))
    shop.migrate("--shared")
    shop.new("acme")
    assert shop.rows(
        "SELECT confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'acme'::regnamespace"
    ) == [("tariff",)]


def test_the_migration_of_one_schema_does_not_touch_it(shop: Site):
    shop.new("acme")
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    before = template().compiled
    shop.migrate("--schema", "acme")
    assert template().compiled == before
    assert "price" not in columns(shop, TEMPLATE)


def test_a_new_table_of_an_app_without_migrations_is_in_the_next_schema(site: Site):
    plain = "class Plain(models.Model):\n    title = models.TextField(default='')\n"
    site.app("plain", models=plain)
    shop = open_shop(site)
    assert shop.tables(TEMPLATE) == {"shop_item", "plain_plain"}
    shop.app("plain", models=plain + plain.replace("Plain", "More"))
    with override_settings(INSTALLED_APPS=["appschema", "plans", "shop", "plain"]):
        shop.migrate()
        shop.new("acme")
    assert shop.tables("acme") == {"shop_item", "plain_plain", "plain_more"}


def test_with_none_the_template_goes_and_each_schema_is_migrated(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    ran = migrations_run(monkeypatch)
    with override_settings(APPSCHEMA_TEMPLATE=None):
        shop.migrate()
        shop.new("acme")
    assert ran == ["acme"]
    assert not Template.objects.exists()
    assert shop.rows("SELECT FROM pg_namespace WHERE nspname = %s", TEMPLATE) == []


def test_under_another_name_it_is_made_anew(shop: Site):
    with override_settings(APPSCHEMA_TEMPLATE="model_customer"):
        shop.migrate()
        assert template().schema_name == "model_customer"
        with pytest.raises(InvalidSchemaName, match="kept for appschema's own schemas"):
            shop.new("model_customer")
    assert shop.rows("SELECT FROM pg_namespace WHERE nspname = %s", TEMPLATE) == []


def test_a_leftover_of_its_name_is_told_of_and_not_touched(shop: Site):
    Template.objects.all().delete()
    with pytest.raises(CommandError, match=f"Failed in 1 of 2: {TEMPLATE}") as caught:
        shop.migrate()
    assert "no record that it is the template" in str(caught.value.__cause__)
    assert shop.tables(TEMPLATE) == {"shop_item"}
    shop.rows(f"DROP SCHEMA {TEMPLATE} CASCADE")
    shop.migrate()
    shop.new("acme")


def test_one_that_is_gone_is_made_anew(shop: Site):
    shop.rows(f"DROP SCHEMA {TEMPLATE} CASCADE")
    with pytest.raises(TemplateLags, match="is gone from the database"):
        shop.new("acme")
    assert not Schema.objects.exists()
    shop.migrate()
    shop.new("acme")


def test_customers_cannot_have_names_of_our_own(shop: Site):
    shop.new("acme")
    for name in (TEMPLATE, "appschema_spare_1", "AppSchema_x"):
        with pytest.raises(InvalidSchemaName, match="kept for appschema's own schemas"):
            shop.new(name)
        with pytest.raises(InvalidSchemaName):
            adopt_schema(name, "x.example.com")
        with pytest.raises(InvalidSchemaName):
            rename_schema("acme", name)


def test_neither_the_registry_nor_the_fleet_know_it(shop: Site):
    assert not Schema.objects.exists()
    with pytest.raises(CommandError, match="There is no schema 'appschema_template'"):
        call_command("inschema", TEMPLATE, "check")


def test_plans_checks_and_pruning_reach_it(shop: Site):
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    assert f"Planned operations in {TEMPLATE}:" in shop.migrate("--plan")
    shop.migrate()
    shop.rows(
        f"INSERT INTO {TEMPLATE}.django_migrations (app, name, applied) VALUES ('shop', '0000_old', now())"
    )
    with pytest.raises(TemplateLags):
        shop.new("acme")
    shop.migrate("shop", "--prune")
    shop.new("acme")
    assert shop.records("acme") == ["shop.0001_first", "shop.0002_price"]


# -- lag ----------------------------------------------------------------------------------------


def test_a_template_that_lags_is_not_copied(shop: Site):
    shop.add(
        "plans",
        "0002_note",
        migration('migrations.AddField("plan", "note", models.TextField(null=True))', depends=OPEN),
    )
    broken = migration('migrations.RunSQL("SELECT 1/0")', depends=[("shop", "0001_first")])
    shop.add("shop", "0002_broken", broken)
    with pytest.raises(CommandError, match="Failed in"):
        shop.migrate()
    before = shop.snapshot()
    with pytest.raises(TemplateLags, match=r"Run 'manage\.py migrate'"):
        shop.new("acme")
    assert shop.snapshot() == before


def test_the_copy_of_one_that_lags_is_migrated_if_that_is_asked_for(shop: Site):
    rename = 'migrations.AlterModelTable("plan", "tariff")'
    shop.add("plans", "0002_name", migration(rename, depends=OPEN))
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    # As an older migrate does, which knows nothing of templates.
    shop.rows("ALTER TABLE plans_plan RENAME TO tariff")
    shop.rows(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('plans', '0002_name', now())"
    )
    with pytest.raises(TemplateLags, match=r"migrate=True"):
        shop.new("acme")
    new_schema("acme", "acme.example.com", migrate=True)
    assert "price" in columns(shop, "acme")
    assert "price" not in columns(shop, TEMPLATE)


def test_what_was_changed_by_hand_is_copied_when_it_is_compiled(shop: Site):
    add_item(TEMPLATE, "for everybody")
    shop.new("before")
    compile_template()
    shop.new("after")
    assert (items("before"), items("after")) == ([], ["for everybody"])


def test_rows_that_refer_to_shared_rows_that_are_gone_are_told_of(shop: Site):
    with schema_context("public"):
        plan = model("plans.Plan").objects.create(title="gold")
    add_item(TEMPLATE, "one", plan=plan)
    compile_template()
    shop.rows(f"TRUNCATE {TEMPLATE}.shop_item; DELETE FROM plans_plan")
    with pytest.raises(TemplateLags, match="refer to shared rows that are gone"):
        shop.new("acme")
    assert not Schema.objects.exists()


def test_flush_keeps_it_unless_rows_of_it_refer_to_what_goes(shop: Site):
    call_command("flush", interactive=False, verbosity=0)
    shop.new("acme")
    with schema_context("public"):
        plan = model("plans.Plan").objects.create(title="gold")
    add_item(TEMPLATE, "one", plan=plan)
    compile_template()
    call_command("flush", interactive=False, verbosity=0)
    assert not Template.objects.exists()
    shop.new("globex")
    shop.migrate()
    assert template().schema_name == TEMPLATE


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["template.sql", "template.py"])
def test_a_file_of_it_makes_the_same_schema(shop: Site, tmp_path: Path, name: str):
    add_item(TEMPLATE, 'it\'s \\ "__schema__" %s %% -- end\nand;\n-- end\nmore')
    add_item(TEMPLATE, "a\rb\r\nc\u2028d\x0ce\x85f\x1cg\u2029h\r")
    shop.rows(
        f"CREATE FUNCTION {TEMPLATE}.f() RETURNS bigint LANGUAGE sql SET search_path = {TEMPLATE}"
        f" AS 'SELECT count(*) FROM {TEMPLATE}.shop_item'"
    )
    compile_template()
    path = tmp_path / name
    words = ["--as-python"] if name.endswith("py") else []
    call_command("schematemplate", *words, output=str(path), verbosity=0)
    new_schema("acme", "acme.example.com", template_file=path)
    assert differences("acme", TEMPLATE) == []
    assert shop.rows("SELECT acme.f()") == [(2,)]
    titles = "SELECT title FROM {}.shop_item ORDER BY id"
    assert shop.rows(titles.format("acme")) == shop.rows(titles.format(TEMPLATE))


def test_a_file_for_other_migrations_is_refused(shop: Site, tmp_path: Path):
    path = tmp_path / "template.sql"
    call_command("schematemplate", output=str(path), verbosity=0)
    shop.add("shop", "0002_price", ANOTHER_FIELD)
    shop.migrate()
    with pytest.raises(TemplateLags, match="was written for other migrations"):
        new_schema("acme", "acme.example.com", template_file=path)
    new_schema("acme", "acme.example.com", template_file=path, migrate=True)
    assert "price" in columns(shop, "acme")


@pytest.mark.parametrize("text", ["", "SELECT 1", "-- appschema template {}\n"])
def test_another_file_is_refused(shop: Site, tmp_path: Path, text: str):
    path = tmp_path / "other.sql"
    path.write_text(text)
    with pytest.raises(CommandError, match="is no template that this version of appschema"):
        new_schema("acme", "acme.example.com", template_file=path)
    assert not Schema.objects.exists()


def test_a_file_whose_line_endings_were_changed_is_refused(shop: Site, tmp_path: Path):
    path = tmp_path / "template.sql"
    call_command("schematemplate", output=str(path), verbosity=0)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(CommandError, match="its line endings were changed"):
        new_schema("acme", "acme.example.com", template_file=path)


def test_half_a_file_is_refused(shop: Site, tmp_path: Path):
    path = tmp_path / "template.sql"
    call_command("schematemplate", output=str(path), verbosity=0)
    text = path.read_text()
    for length in range(0, len(text) - 1, 97):
        path.write_text(text[:length])
        with pytest.raises(CommandError, match="is no template"):
            new_schema("acme", "acme.example.com", template_file=path)

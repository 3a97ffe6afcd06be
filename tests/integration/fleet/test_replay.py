"""The schemas that follow a record come out as the first, which Django itself has migrated."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.signals import post_migrate

from appschema import current_schema, schema_context
from appschema.catalog import compare, read_schema
from appschema.context import as_owner
from appschema.exceptions import MigrationError, SchemaDrifts
from tests.integration.fleet.conftest import Site, create, migration

CONTRIB = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites"]
NAMES = ("acme", "globex", "initech")
FIRST = [("shop", "0001_first")]

FUNCTIONS = """
import secrets
def token():
    return secrets.token_hex(8)
def number_things(apps, schema_editor):
    Thing = apps.get_model("shop", "Thing")
    for number, thing in enumerate(Thing.objects.order_by("id")):
        thing.number = number + 1
        thing.save()
def unnumber_things(apps, schema_editor):
    apps.get_model("shop", "Thing").objects.update(number=0)
def count_types(apps, schema_editor):
    Type = apps.get_model("contenttypes", "ContentType")
    Thing = apps.get_model("shop", "Thing")
    Thing.objects.create(title=str(Type.objects.get_for_model(Thing).pk))
"""

KINDS = {
    "add-field": 'migrations.AddField("thing", "colour", models.CharField(max_length=9, default="red"))',
    "add-null": 'migrations.AddField("thing", "size", models.IntegerField(null=True))',
    "add-db-default": 'migrations.AddField("thing", "tall", models.IntegerField(db_default=3))',
    "add-unique": 'migrations.AddField("thing", "code", models.IntegerField(null=True, unique=True))',
    "add-key": 'migrations.AddField("thing", "other", models.ForeignKey("shop.part", models.CASCADE, null=True))',
    "add-shared-key": 'migrations.AddField("thing", "plan", models.ForeignKey("billing.plan", models.CASCADE, null=True))',
    "add-many": 'migrations.AddField("thing", "parts", models.ManyToManyField("shop.part"))',
    "add-generated": 'migrations.AddField("thing", "twice", models.GeneratedField(expression=models.F("number") * 2,'
    " output_field=models.IntegerField(), db_persist=True))",
    "alter-type": 'migrations.AlterField("thing", "number", models.BigIntegerField(default=0))',
    "alter-text": 'migrations.AlterField("thing", "title", models.CharField(max_length=99, db_index=True))',
    "alter-unique": 'migrations.AlterField("thing", "number", models.IntegerField(default=0, null=True, db_index=True))',
    "rename-field": 'migrations.RenameField("thing", "title", "name")',
    "rename-model": 'migrations.RenameModel("Part", "Piece")',
    "table": 'migrations.AlterModelTable("part", "other_parts")',
    "together": 'migrations.AlterUniqueTogether("thing", {("title", "number")})',
    "order": 'migrations.AlterOrderWithRespectTo("thing", "part")',
    "add-index": 'migrations.AddIndex("thing", models.Index(fields=["-number"], name="by_number"))',
    "remove-index": 'migrations.RemoveIndex("thing", "by_title")',
    "rename-index": 'migrations.RenameIndex("thing", new_name="new_name", old_name="by_title")',
    "add-constraint": 'migrations.AddConstraint("thing", models.CheckConstraint(condition=models.Q(number__gte=0), name="positive"))',
    "remove-constraint": 'migrations.RemoveConstraint("thing", "short")',
    "not-valid": 'postgres.AddConstraintNotValid("thing", models.CheckConstraint(condition=models.Q(number__gte=0), name="later"))',
    "remove-field": 'migrations.RemoveField("thing", "number")',
    "delete": 'migrations.DeleteModel("Spare")',
    "create": create("Box", '("part", models.ForeignKey("shop.part", models.CASCADE))'),
    "options": 'migrations.AlterModelOptions("thing", {"permissions": [("use", "Can use"), ("lend", "Can lend")]})',
    "sql": 'migrations.RunSQL(["UPDATE shop_thing SET title = \'x%\' -- ; not its end", ("UPDATE shop_thing SET title = title || %s", ["y%\'"])], \'\')',
    "sql-function": "migrations.RunSQL('CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT 2 * n $$;"
    " CREATE VIEW things AS SELECT id, twice(number) AS n FROM shop_thing', '')",
    "python": "migrations.RunPython(functions.number_things, functions.unnumber_things)",
    "types-in-python": "migrations.RunPython(functions.count_types, migrations.RunPython.noop)",
    "apart": 'migrations.SeparateDatabaseAndState([migrations.RunSQL("ALTER TABLE shop_thing ADD extra int", "ALTER TABLE shop_thing DROP extra")],'
    ' [migrations.AddField("thing", "extra", models.IntegerField(null=True))])',
}
BASE = [
    create("Part"),
    create("Spare"),
    create(
        "Thing",
        '("number", models.IntegerField(default=0))',
        '("part", models.ForeignKey("shop.part", models.CASCADE, null=True))',
    ),
    'migrations.AddIndex("thing", models.Index(fields=["title"], name="by_title"))',
    'migrations.AddConstraint("thing", models.CheckConstraint(condition=models.Q(number__lt=100), name="short"))',
]


@pytest.fixture
def shop(site: Site) -> Site:
    """Three schemas with a few rows, at the first migration of an app."""
    site.app("billing", migration(create("Plan")))
    site.app("shop", migration(*BASE, depends=[("billing", "0001_first")]), functions=FUNCTIONS)
    site.place(shared=["billing"], also=CONTRIB)
    site.migrate()
    for number, name in enumerate(NAMES, 1):
        site.new(name)
        site.rows(
            f"INSERT INTO {name}.shop_part (title) SELECT 'p' FROM generate_series(1, {number})"
        )
        site.rows(
            f"INSERT INTO {name}.shop_thing (title, number, part_id)"
            f" SELECT 't' || n, n, 1 FROM generate_series(1, {number}) n"
        )
    return site


def structure(name: str) -> Any:
    with as_owner(), transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        return read_schema(cursor, name)


def made_rows(site: Site, name: str) -> list[Any]:
    """Return what the receivers of post_migrate have made, with the numbers that were drawn."""
    return [
        site.rows(f"SELECT * FROM {name}.{table} ORDER BY id")
        for table in ("django_content_type", "auth_permission", "django_site")
    ] + [site.rows(f"SELECT last_value FROM {name}.auth_permission_id_seq")]


def assert_alike(site: Site) -> None:
    first, *others = NAMES
    for name in others:
        assert [str(each) for each in compare(structure(first), structure(name))] == []
        assert site.records(name) == site.records(first)
        assert made_rows(site, name) == made_rows(site, first)


# Django renames the content type of a model with Python.
DONE_AGAIN = {"python", "types-in-python", "rename-model"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_that_follows_is_what_django_makes_of_the_first(shop: Site, kind: str):
    before = [structure(name) for name in NAMES]
    shop.add("shop", "0002_next", migration(KINDS[kind], depends=FIRST))
    printed = shop.migrate("--jobs", "2", verbosity=2)
    assert ("Not replayed" in printed) == (kind in DONE_AGAIN)
    assert "Migrating acme:" in printed
    assert "globex: 1 migration, replayed" in printed
    assert "initech: 1 migration, replayed" in printed
    assert_alike(shop)
    if kind in {"sql", "python", "types-in-python"}:
        return
    shop.migrate("shop", "0001")
    # The first says nothing of the way back, and a column that comes back is the last one.
    if kind not in {"sql-function", "remove-field"}:
        assert [structure(name) for name in NAMES] == before
        assert_alike(shop)


def test_all_kinds_together_come_out_alike(shop: Site):
    # In an order in which none takes away what a later one needs.
    late = ["rename-field", "rename-model", "remove-field", "table", "remove-index", "rename-index"]
    late += ["alter-type"]
    kinds = [
        kind for kind in KINDS if kind not in {*late, "alter-unique", "add-generated", "together"}
    ]
    for number, kind in enumerate([*kinds, "rename-model"], 2):
        before = "0001_first" if number == 2 else f"{number - 1:04}_next"
        shop.add("shop", f"{number:04}_next", migration(KINDS[kind], depends=[("shop", before)]))
    shop.migrate("--jobs", "3")
    assert_alike(shop)
    assert shop.rows("SELECT model FROM globex.django_content_type WHERE model = 'piece'")


def test_python_runs_in_each_schema_on_its_own_rows(shop: Site):
    shop.rows("UPDATE globex.shop_thing SET number = 77")
    shop.add("shop", "0002_next", migration(KINDS["python"], depends=FIRST))
    shop.migrate("--jobs", "2")
    for count, name in enumerate(NAMES, 1):
        found = shop.rows(f"SELECT number FROM {name}.shop_thing ORDER BY id")
        assert found == [(number,) for number in range(1, count + 1)]


def test_content_types_in_python_are_those_of_the_schema(shop: Site):
    for count, name in enumerate(NAMES):
        shop.rows(f"DELETE FROM {name}.auth_permission")
        shop.rows(f"UPDATE {name}.django_content_type SET id = {500 + count} WHERE model = 'thing'")
    shop.add("shop", "0002_next", migration(KINDS["types-in-python"], depends=FIRST))
    shop.migrate("--jobs", "3")
    for count, name in enumerate(NAMES):
        assert shop.rows(f"SELECT title FROM {name}.shop_thing ORDER BY id DESC LIMIT 1") == [
            (str(500 + count),)
        ]


def test_a_callable_default_is_evaluated_for_each_schema(shop: Site):
    field = "models.CharField(max_length=16, default=functions.token)"
    shop.add(
        "shop",
        "0002_next",
        migration(f'migrations.AddField("thing", "token", {field})', depends=FIRST),
    )
    shop.migrate("--jobs", "2")
    tokens = [shop.rows(f"SELECT DISTINCT token FROM {name}.shop_thing") for name in NAMES]
    assert len({token for (row,) in tokens for token in row}) == len(NAMES)


def test_fake_writes_records_only(shop: Site):
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    shop.migrate("--fake")
    for name in NAMES:
        assert "shop_box" not in shop.tables(name)
        assert shop.records(name)[-1] == "shop.0002_next"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_one_schema_that_fails_is_left_as_it_was_and_the_others_go_on(shop: Site, jobs: str):
    shop.rows("ALTER TABLE globex.shop_thing DROP CONSTRAINT short")
    shop.rows("UPDATE globex.shop_thing SET number = 1000")
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    check = 'models.CheckConstraint(condition=models.Q(number__lt=500), name="low")'
    shop.add(
        "shop",
        "0003_third",
        migration(f'migrations.AddConstraint("thing", {check})', depends=[("shop", "0002_next")]),
    )
    with pytest.raises(MigrationError, match=r"^Failed in 1 of 4: globex\. The others are done"):
        shop.migrate("--jobs", jobs)
    assert "shop_box" not in shop.tables("globex")
    assert "shop.0002_next" not in shop.records("globex")
    assert {"shop_box"} < shop.tables("acme") & shop.tables("initech")
    shop.rows("UPDATE globex.shop_thing SET number = 1")
    shop.rows("ALTER TABLE globex.shop_thing ADD CONSTRAINT short CHECK (number < 100)")
    shop.migrate("--only-failed")
    assert sorted(shop.records("globex")) == sorted(shop.records("acme"))


def test_a_table_that_differs_is_told_and_rolled_back(shop: Site):
    shop.rows("ALTER TABLE globex.shop_thing ADD note text")
    shop.add("shop", "0002_next", migration(KINDS["add-index"], depends=FIRST))
    with pytest.raises(MigrationError, match="Failed in 1 of 4: globex") as caught:
        shop.migrate()
    cause = caught.value.__cause__
    assert isinstance(cause, SchemaDrifts)
    (told,) = cause.differences
    assert told.startswith("column shop_thing.note is there (text")
    assert "shop.0002_next" not in shop.records("globex")
    assert (
        shop.rows("SELECT FROM pg_indexes WHERE schemaname = 'globex' AND indexname = 'by_number'")
        == []
    )
    shop.migrate("--accept-drift")
    assert shop.records("globex")[-1] == "shop.0002_next"
    # What was accepted is known: next time the schema goes by itself.
    shop.add("shop", "0003_third", migration(KINDS["add-null"], depends=[("shop", "0002_next")]))
    printed = shop.migrate()
    assert "Migrating globex:" in printed
    assert "initech: 1 migration, replayed" in printed


def test_what_fails_as_recorded_is_left_to_django(shop: Site):
    # The names of these constraints are looked up by Django.
    shop.rows(
        "ALTER TABLE globex.shop_thing RENAME CONSTRAINT"
        " shop_thing_part_id_" + _suffix(shop, "globex") + " TO another_name"
    )
    field = 'models.ForeignKey("shop.part", models.CASCADE, null=True, db_constraint=False)'
    shop.add(
        "shop",
        "0002_next",
        migration(f'migrations.AlterField("thing", "part", {field})', depends=FIRST),
    )
    printed = shop.migrate()
    assert "globex: 1 migration, django: what was recorded fails in it" in printed
    assert_alike(shop)


def _suffix(site: Site, name: str) -> str:
    ((found,),) = site.rows(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
        f"{name}.shop_thing",
    )
    return str(found).removeprefix("shop_thing_part_id_")


class OnlyInAcme:
    """A project's router that answers by schema."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if hints.get("model_name") == "box":
            return current_schema() == "acme"
        return None


def test_a_router_that_answers_otherwise_is_asked_in_each_schema(shop: Site, settings: Any):
    settings.DATABASE_ROUTERS = [f"{__name__}.OnlyInAcme"]
    shop.add("shop", "0002_next", migration(KINDS["create"], KINDS["add-index"], depends=FIRST))
    printed = shop.migrate("--accept-drift")
    assert "shop_box" in shop.tables("acme")
    assert "shop_box" not in shop.tables("globex") | shop.tables("initech")
    assert "globex: 1 migration, django: a database router answers otherwise in it" in printed


def test_records_that_were_changed_by_hand_count(shop: Site):
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    shop.rows(
        "INSERT INTO globex.django_migrations (app, name, applied) VALUES ('shop', '0002_next', now())"
    )
    shop.migrate()
    assert shop.records("globex").count("shop.0002_next") == 1
    assert "shop_box" not in shop.tables("globex")
    assert {"shop_box"} < shop.tables("initech")


def test_a_both_apps_table_that_is_missing_is_not_changed_in_public(site: Site):
    site.app("labels", migration(create("Label")))
    site.app("shop", migration(create("Thing")))
    site.place(both=["labels"])
    site.migrate()
    for name in NAMES:
        site.new(name)
    site.rows("INSERT INTO public.labels_label (title) VALUES ('of all')")
    site.rows("DROP TABLE globex.labels_label")
    site.add(
        "shop",
        "0002_next",
        migration(
            "migrations.RunSQL(\"UPDATE labels_label SET title = 'changed'\", '')", depends=FIRST
        ),
    )
    with pytest.raises(MigrationError, match="Failed in 1 of 4: globex"):
        site.migrate()
    assert site.rows("SELECT title FROM public.labels_label") == [("of all",)]
    assert site.records("globex")[-1] == "shop.0001_first"


def test_receivers_of_others_run_in_each_schema_that_is_migrated(shop: Site):
    seen: list[tuple[str, str | None, int]] = []

    def note(sender: Any, apps: Any, plan: Any, **kwargs: Any) -> None:
        seen.append((sender.label, current_schema(), len(plan)))

    post_migrate.connect(note, sender=apps.get_app_config("shop"))
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    shop.migrate("--jobs", "2")
    assert sorted(seen) == [("shop", name, 1) for name in NAMES]
    seen.clear()
    shop.migrate()
    assert seen == []


def statements_of(act: Callable[[], Any]) -> int:
    sent = []

    def count(execute: Any, *args: Any) -> Any:
        sent.append(args[0])
        return execute(*args)

    with connection.execute_wrapper(count):
        act()
    return len(sent)


def test_a_migrate_with_nothing_to_do_asks_as_much_for_many_schemas_as_for_few(shop: Site):
    shop.migrate()
    few = statements_of(lambda: call_command("migrate", verbosity=0))
    for number in range(5):
        shop.new(f"other{number}")
    shop.migrate()
    many = statements_of(lambda: call_command("migrate", verbosity=0))
    assert many == few


def test_a_squashed_migration_is_recorded_in_each_schema_without_a_plan(shop: Site):
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    shop.migrate()
    shop.add(
        "shop",
        "0001_squashed_0002",
        migration(
            *BASE,
            KINDS["create"],
            depends=[("billing", "0001_first")],
            replaces=[("shop", "0001_first"), ("shop", "0002_next")],
        ),
    )
    shop.migrate()
    for name in NAMES:
        assert "shop.0001_squashed_0002" in shop.records(name)
    with schema_context("acme"):
        assert "shop_box" in connection.introspection.table_names()


def test_an_entry_of_a_set_that_is_gone_is_written_anew(shop: Site):
    shop.rows("DELETE FROM public.appschema_appliedset")
    shop.add("shop", "0002_next", migration(KINDS["create"], depends=FIRST))
    assert "initech: 1 migration, replayed" in shop.migrate()
    assert_alike(shop)
    for name in NAMES:
        ((told,),) = shop.rows(
            "SELECT migrations FROM public.appschema_ledgerentry JOIN public.appschema_appliedset"
            " ON digest = applied_id WHERE schema_name = %s",
            name,
        )
        assert told == sorted(shop.records(name))


def test_of_a_schema_that_follows_its_connection_counts_the_tables_it_dealt_with(shop: Site):
    shop.add("shop", "0002_next", migration(KINDS["add-index"], depends=FIRST))
    connection.close()
    shop.migrate("--jobs", "1")
    session: Any = connection.connection
    assert not {"globex", "initech"} & session.touched_schemas
    # The records and one table, of all that a schema has, in two schemas.
    tables = {"django_migrations"} | shop.tables("globex")
    assert session.touched_in_part == pytest.approx(2 * 2 / len(tables))

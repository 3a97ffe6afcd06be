"""What published migrations do that a schema of its own makes difficult."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError, ProgrammingError

from appschema import schema_context
from appschema.exceptions import MigrationError
from tests.integration.fleet.conftest import Site, create, migration, model

SETS_PATH = """
def with_own_path(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path')")
        (found,) = cursor.fetchone()
        cursor.execute("SELECT set_config('search_path', 'elsewhere', true)")
        cursor.execute("CREATE TABLE made_elsewhere (a int)")
        cursor.execute("INSERT INTO made_elsewhere VALUES (1)")
        cursor.execute("SELECT set_config('search_path', %s, true)", [found])
    apps.get_model("shop", "Item").objects.create(title="after")
"""
CONCURRENT = (
    'postgres.AddIndexConcurrently("Item", models.Index(fields=["title"], name="shop_title"))'
)
BY_SQL = (
    'migrations.RunSQL("CREATE INDEX CONCURRENTLY shop_title ON shop_item (title)",'
    ' "DROP INDEX CONCURRENTLY shop_title")'
)
BY_PYTHON = (
    "migrations.RunPython(lambda apps, editor: editor.connection.cursor().execute("
    '"CREATE INDEX CONCURRENTLY shop_title ON shop_item (title)"),'
    " lambda apps, editor: editor.connection.cursor().execute("
    '"DROP INDEX CONCURRENTLY shop_title"))'
)
INDEX_WAYS = pytest.mark.parametrize(
    "operation", [CONCURRENT, BY_SQL, BY_PYTHON], ids=["operation", "sql", "python"]
)


def indexes(site: Site) -> list[tuple[str, bool]]:
    return site.rows(
        "SELECT relnamespace::regnamespace::text, indisvalid FROM pg_index"
        " JOIN pg_class AS c ON c.oid = indexrelid WHERE relname = 'shop_title' ORDER BY 1"
    )


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_model_of_a_both_app_may_stand_on_a_view_that_a_migration_makes(
    site: Site, in_schemas: Callable[..., dict[str, Any]], kind: str
):
    report = 'migrations.CreateModel("Report", [("title", models.TextField(primary_key=True))], {"managed": False})'
    sql = f"CREATE {kind} shop_report AS SELECT title FROM shop_item"
    site.app(
        "shop",
        migration(create("Item"), f"migrations.RunSQL({sql!r}, 'DROP {kind} shop_report')", report),
        models="class Report(models.Model):\n    title = models.TextField(primary_key=True)\n"
        "    class Meta:\n        managed = False\n",
    )
    site.place(both=["shop"])
    site.migrate()
    site.new("acme")
    site.new("globex")
    for name in ("public", "acme", "globex"):
        site.rows(f"INSERT INTO {name}.shop_item (title) VALUES ('of {name}')")
        if kind != "VIEW":
            site.rows(f"REFRESH MATERIALIZED VIEW {name}.shop_report")

    def titles() -> list[str]:
        reports = model("shop.Report").objects
        with connection.connection.pipeline():
            queued = [str(each) for each in reports.all()]
        assert queued == [str(each) for each in reports.iterator()]
        return list(reports.values_list("title", flat=True))

    names = ("public", "acme", "globex")
    assert in_schemas(titles, *names) == {name: [f"of {name}"] for name in names}
    # public has one too, and it is not what acme gets.
    site.rows(f"DROP {kind} acme.shop_report")
    for block in (nullcontext, transaction.atomic):
        for ask in (titles, model("shop.Report").objects.count):
            with (
                pytest.raises(ProgrammingError, match=r'"acme\.shop_report" does not exist'),
                schema_context("acme"),
                block(),
            ):
                ask()


def test_a_migration_may_set_search_path_for_its_next_statements_and_restore_it(site: Site):
    site.rows("CREATE SCHEMA elsewhere")
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    (site.root / "shop/functions.py").write_text(SETS_PATH)
    site.add(
        "shop",
        "0002_next",
        migration(
            "migrations.RunPython(functions.with_own_path)", depends=[("shop", "0001_first")]
        ),
    )
    site.forget("shop")
    site.migrate()
    assert site.rows("SELECT a FROM elsewhere.made_elsewhere") == [(1,)]
    assert site.rows("SELECT title FROM acme.shop_item") == [("after",)]
    site.rows("DROP TABLE elsewhere.made_elsewhere")
    site.new("globex")
    assert site.rows("SELECT a FROM elsewhere.made_elsewhere") == [(1,)]
    assert site.rows("SELECT title FROM globex.shop_item") == [("after",)]


def test_the_path_that_a_migration_leaves_behind_does_not_reach_the_next_schema(site: Site):
    site.rows("CREATE SCHEMA elsewhere")
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.add(
        "shop",
        "0002_next",
        migration(
            "migrations.RunSQL(\"SELECT set_config('search_path', 'elsewhere, public', true)\", '')",
            depends=[("shop", "0001_first")],
        ),
    )
    site.add("shop", "0003_third", migration(create("Sale"), depends=[("shop", "0002_next")]))
    site.migrate()
    assert site.tables("elsewhere") == set()
    assert site.tables("acme") == site.tables("globex") == {"shop_item", "shop_sale"}


@INDEX_WAYS
def test_an_index_is_made_concurrently_in_schemas_that_exist(site: Site, operation: str):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.add(
        "shop",
        "0002_next",
        migration(operation, depends=[("shop", "0001_first")], atomic=False),
    )
    statements = []

    def note(execute, sql, params, many, context):
        statements.append(str(sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        site.migrate()
    assert sum("INDEX CONCURRENTLY" in each for each in statements) == 2
    assert indexes(site) == [("acme", True), ("globex", True)]
    site.migrate("shop", "0001")
    assert indexes(site) == []


@INDEX_WAYS
def test_an_index_is_made_plainly_in_a_new_schema(site: Site, operation: str):
    site.app(
        "shop",
        migration(create("Item")),
        migration(operation, depends=[("shop", "0001_first")], atomic=False),
    )
    site.place()
    site.migrate()
    with transaction.atomic():
        site.new("acme")
    assert indexes(site) == [("acme", True)]
    assert site.records("acme") == ["shop.0001_first", "shop.0002_next"]


def test_an_index_is_removed_concurrently_or_plainly(site: Site):
    site.app(
        "shop",
        migration(create("Item")),
        migration(CONCURRENT, depends=[("shop", "0001_first")], atomic=False),
    )
    site.place()
    site.migrate()
    site.new("acme")
    site.add(
        "shop",
        "0003_third",
        migration(
            'postgres.RemoveIndexConcurrently("Item", "shop_title")',
            depends=[("shop", "0002_next")],
            atomic=False,
        ),
    )
    site.migrate()
    site.new("globex")
    assert indexes(site) == []


def test_the_failing_half_of_a_migration_that_is_not_atomic_stays_unrecorded(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.add(
        "shop",
        "0002_next",
        migration(
            create("Sale"),
            "migrations.RunSQL('SELECT 1 / 0')",
            depends=[("shop", "0001_first")],
            atomic=False,
        ),
    )
    with pytest.raises(MigrationError, match=r"^Failed in 1 of 2: acme\."):
        site.migrate()
    assert "shop_sale" in site.tables("acme")
    assert site.records("acme") == ["shop.0001_first"]


def test_rows_of_a_data_migration_do_not_hinder_a_later_change_of_their_table(site: Site):
    fills = """
def fill(apps, schema_editor):
    item = apps.get_model("shop", "Item").objects.create(title="one")
    apps.get_model("shop", "Sale").objects.create(item=item)
"""
    site.app(
        "shop",
        migration(
            create("Item"),
            create("Sale", '("item", models.ForeignKey("shop.Item", models.CASCADE))'),
        ),
        migration("migrations.RunPython(functions.fill)", depends=[("shop", "0001_first")]),
        migration(
            'migrations.AlterField("Sale", "title", models.CharField(max_length=9, default=""))',
            'migrations.AddField("Sale", "price", models.IntegerField(default=1))',
            depends=[("shop", "0002_next")],
        ),
        functions=fills,
    )
    site.place()
    site.migrate()
    site.new("acme")
    assert site.rows("SELECT price FROM acme.shop_sale") == [(1,)]


def test_a_row_that_breaks_a_deferred_key_leaves_no_schema(site: Site):
    site.app(
        "shop",
        migration(
            create("Item"),
            create("Sale", '("item", models.ForeignKey("shop.Item", models.CASCADE))'),
            "migrations.RunSQL(\"INSERT INTO shop_sale (id, title, item_id) VALUES (1, '', 7)\")",
        ),
    )
    site.place()
    site.migrate()
    before = site.snapshot()
    with pytest.raises(IntegrityError, match="violates foreign key constraint"):
        site.new("acme")
    assert not connection.in_atomic_block
    assert site.snapshot() == before


def test_a_row_that_breaks_a_deferred_key_in_one_schema_does_not_undo_the_next(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.rows("INSERT INTO acme.shop_item (id, title) VALUES (1, 'breaks it')")
    site.add(
        "shop",
        "0002_next",
        migration(
            create("Sale", '("item", models.ForeignKey("shop.Item", models.CASCADE))'),
            'migrations.RunSQL("INSERT INTO shop_sale SELECT id, title, 7 FROM shop_item")',
            depends=[("shop", "0001_first")],
        ),
    )
    with pytest.raises(MigrationError, match=r"^Failed in 1 of 3: acme\."):
        site.migrate()
    assert not connection.in_atomic_block
    assert site.tables("acme") == {"shop_item"}
    assert site.tables("globex") == {"shop_item", "shop_sale"}


def test_one_schemas_failure_does_not_stop_the_others_and_is_named(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    for name in ("acme", "globex", "initech", "umbrella"):
        site.new(name)
    site.rows("CREATE TABLE acme.shop_sale (a int); CREATE TABLE initech.shop_sale (a int)")
    site.add("shop", "0002_next", migration(create("Sale"), depends=[("shop", "0001_first")]))
    with pytest.raises(MigrationError) as raised:
        site.migrate()
    assert str(raised.value) == (
        "Failed in 2 of 5: acme, initech. The others are done. Mend the cause and run the same"
        " command again."
    )
    for name in ("globex", "umbrella"):
        assert site.records(name) == ["shop.0001_first", "shop.0002_next"]
    for name in ("acme", "initech"):
        assert site.records(name) == ["shop.0001_first"]
    site.rows("DROP TABLE acme.shop_sale, initech.shop_sale")
    site.migrate()
    assert site.records("acme") == site.records("initech") == site.records("globex")


def test_a_failure_in_public_leaves_the_schemas_alone(site: Site):
    site.app("billing", migration(create("Plan")))
    site.app("shop", migration(create("Item")))
    site.place(shared=["billing"])
    site.migrate()
    site.new("acme")
    site.add(
        "billing",
        "0002_next",
        migration("migrations.RunSQL('SELECT 1 / 0')", depends=[("billing", "0001_first")]),
    )
    site.add("shop", "0002_next", migration(create("Sale"), depends=[("shop", "0001_first")]))
    with pytest.raises(Exception, match="division by zero"):
        site.migrate()
    assert site.tables("acme") == {"shop_item"}


def test_a_schema_that_was_dropped_behind_our_back_is_a_failure_of_its_own(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.rows("DROP SCHEMA acme CASCADE")
    site.add("shop", "0002_next", migration(create("Sale"), depends=[("shop", "0001_first")]))
    with pytest.raises(MigrationError, match=r"^Failed in 1 of 3: acme\."):
        site.migrate()
    assert "shop_sale" in site.tables("globex")
    assert site.tables("public") == site.tables("acme") == set()


@pytest.mark.parametrize("origin", ["template0"])
def test_migrate_refuses_while_isolated_tables_stand_in_public_and_names_them(site: Site):
    thing = "class Item(models.Model):\n    labels = models.ManyToManyField('shop.Item')\n"
    site.app("shop", migration(create("Item")), models=thing)
    site.place()
    site.rows("CREATE TABLE shop_item (a int); CREATE TABLE shop_item_labels (a int)")
    with pytest.raises(MigrationError) as raised:
        site.migrate()
    assert str(raised.value) == (
        "Tables of isolated apps stand in public: shop_item, shop_item_labels. A schema that lacks"
        " one of them would read public's. Move them into a schema (ALTER TABLE public.NAME SET"
        " SCHEMA ...), drop them, or name their apps in APPSCHEMA_SHARED_APPS or"
        " APPSCHEMA_BOTH_APPS."
    )
    assert site.rows("SELECT to_regclass('public.django_migrations')") == [(None,)]
    site.rows("DROP TABLE shop_item, shop_item_labels")
    site.migrate()


def test_an_isolated_app_may_have_the_user_model(site: Site):
    site.app(
        "people",
        migration(
            'migrations.CreateModel("Person", [("id", models.BigAutoField(primary_key=True)),'
            ' ("password", models.CharField(max_length=128)),'
            ' ("last_login", models.DateTimeField(null=True)),'
            ' ("name", models.CharField(max_length=50, unique=True))],'
            ' options={"swappable": "AUTH_USER_MODEL"})',
            initial=True,
        ),
        models=(
            "from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager\n"
            "class Person(AbstractBaseUser):\n"
            "    name = models.CharField(max_length=50, unique=True)\n"
            "    USERNAME_FIELD = 'name'\n"
            "    objects = BaseUserManager()\n"
        ),
    )
    site.app(
        "shop",
        migration(
            create("Sale", '("by", models.ForeignKey("people.Person", models.CASCADE))'),
            depends=[("people", "0001_first")],
        ),
    )
    site.place(
        also=["django.contrib.contenttypes", "django.contrib.auth"],
        AUTH_USER_MODEL="people.Person",
    )
    site.migrate()
    site.new("acme")
    assert "people_person" in site.tables("acme")
    assert not {"people_person", "auth_user"} & site.tables("public")
    with schema_context("acme"):
        model("people.Person").objects.create(name="ann")
    assert site.rows("SELECT name FROM acme.people_person") == [("ann",)]


def test_a_lagging_schema_never_reads_a_both_apps_table_of_public(site: Site):
    word = "class Word(models.Model):\n    title = models.TextField(default='')\n"
    site.app("labels", migration(create("Label")), models=word)
    site.place(both=["labels"])
    site.migrate()
    site.new("acme")
    site.add("labels", "0002_next", migration(create("Word"), depends=[("labels", "0001_first")]))
    site.migrate("--shared")
    site.rows("INSERT INTO public.labels_word VALUES (1, 'of public')")
    word_model = model("labels.Word")
    with schema_context("acme"), pytest.raises(ProgrammingError, match=r'"acme\.labels_word"'):
        list(word_model.objects.all())
    site.migrate()
    with schema_context("acme"):
        assert list(word_model.objects.all()) == []

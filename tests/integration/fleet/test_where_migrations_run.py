"""Each migration runs where its app is placed, is recorded there, and nowhere else."""

import pytest

from appschema.exceptions import MigrationError
from tests.integration.fleet.conftest import Site, create, migration

WHERE = """
def note_where(apps, schema_editor):
    schema_editor.execute("INSERT INTO public.ran SELECT %s, current_schema()", [__name__.split(".")[0]])
"""
RAN = "CREATE TABLE public.ran (app text, schema_name text)"


def three_apps(site: Site) -> None:
    """A shared, an isolated and a both app; each notes where its own steps run."""
    for label in ("billing", "shop", "labels"):
        site.app(
            label,
            migration(
                create("Thing"),
                "migrations.RunPython(functions.note_where, migrations.RunPython.noop)",
                f"migrations.RunSQL(\"INSERT INTO public.ran SELECT '{label} sql', current_schema()\", '')",
                f"migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL(\"INSERT INTO public.ran SELECT '{label} apart', current_schema()\", '')])",
            ),
            functions=WHERE,
            models="class Thing(models.Model):\n    title = models.TextField(default='')\n",
        )
    site.place(shared=["billing"], both=["labels"])
    site.rows(RAN)


def ran(site: Site) -> set[tuple[str, str]]:
    return {(app, name) for app, name in site.rows("SELECT app, schema_name FROM public.ran")}


def everywhere(label: str, *names: str) -> set[tuple[str, str]]:
    return {(f"{label}{kind}", name) for kind in ("", " sql", " apart") for name in names}


def test_an_isolated_apps_steps_never_run_in_public_nor_a_shared_ones_in_a_schema(site: Site):
    three_apps(site)
    site.migrate()
    assert ran(site) == everywhere("billing", "public") | everywhere("labels", "public")
    site.new("acme")
    site.new("globex")
    assert ran(site) == (
        everywhere("billing", "public")
        | everywhere("labels", "public", "acme", "globex")
        | everywhere("shop", "acme", "globex")
    )


def test_tables_and_records_are_where_the_app_is_placed(site: Site):
    three_apps(site)
    site.migrate()
    site.new("acme")
    assert site.tables("public") == {"billing_thing", "labels_thing", "ran"}
    assert site.tables("acme") == {"shop_thing", "labels_thing"}
    assert site.records("public") == ["billing.0001_first", "labels.0001_first"]
    assert sorted(site.records("acme")) == ["labels.0001_first", "shop.0001_first"]


def test_a_later_migration_reaches_public_and_every_schema(site: Site):
    three_apps(site)
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.rows("TRUNCATE public.ran")
    for label in ("billing", "shop", "labels"):
        site.add(
            label,
            "0002_next",
            migration(
                'migrations.AddField("Thing", "price", models.IntegerField(default=1))',
                "migrations.RunPython(functions.note_where, migrations.RunPython.noop)",
                depends=[(label, "0001_first")],
            ),
        )
    site.migrate()
    assert ran(site) == {
        ("billing", "public"),
        ("labels", "public"),
        ("labels", "acme"),
        ("labels", "globex"),
        ("shop", "acme"),
        ("shop", "globex"),
    }
    assert site.records("acme") == site.records("globex")
    assert "3 up to date." in site.migrate()


def test_inactive_schemas_are_migrated_too(site: Site):
    three_apps(site)
    site.migrate()
    site.new("acme")
    site.rows("UPDATE appschema_schema SET is_active = false")
    site.add("shop", "0002_next", migration(create("Other"), depends=[("shop", "0001_first")]))
    site.migrate()
    assert "shop_other" in site.tables("acme")


def test_a_foreign_key_of_a_schema_points_to_the_schemas_table_and_to_publics_shared_one(
    site: Site,
):
    site.app("billing", migration(create("Plan")))
    site.app(
        "shop",
        migration(
            create("Item"),
            create(
                "Sale",
                '("item", models.ForeignKey("shop.Item", models.CASCADE))',
                '("plan", models.ForeignKey("billing.Plan", models.CASCADE))',
            ),
            depends=[("billing", "0001_first")],
        ),
    )
    site.place(shared=["billing"])
    site.migrate()
    site.new("acme")
    targets = site.rows(
        "SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND"
        " conrelid = 'acme.shop_sale'::regclass ORDER BY 1"
    )
    assert targets == [("acme.shop_item",), ("billing_plan",)]


def test_a_shared_app_may_depend_on_a_both_app_and_schemas_made_after_it(site: Site):
    site.app("people", migration(create("Person")))
    site.app(
        "billing",
        migration(
            create("Invoice", '("person", models.ForeignKey("people.Person", models.CASCADE))'),
            depends=[("people", "0001_first")],
        ),
    )
    site.app("shop", migration(create("Item"), depends=[("billing", "0001_first")]))
    site.place(shared=["billing"], both=["people"])
    site.migrate()
    site.new("acme")
    assert site.tables("acme") == {"people_person", "shop_item"}
    assert "2 up to date." in site.migrate()


def test_a_schema_is_not_migrated_upon_shared_migrations_that_public_lacks(site: Site):
    site.app("billing", migration(create("Plan")))
    site.app("shop", migration(create("Item"), depends=[("billing", "0001_first")]))
    site.place(shared=["billing"])
    site.migrate()
    site.new("acme")
    site.add(
        "billing", "0002_next", migration(create("Other"), depends=[("billing", "0001_first")])
    )
    site.add(
        "shop",
        "0002_next",
        migration(create("Other"), depends=[("shop", "0001_first"), ("billing", "0002_next")]),
    )
    with pytest.raises(
        MigrationError,
        match=r"^Schema 'acme' needs billing.0002_next of a shared app, which is not applied in public. Run 'manage.py migrate --shared' first.$",
    ):
        site.migrate("--schema", "acme")
    assert site.tables("acme") == {"shop_item"}


def test_run_before_is_kept_across_placements(site: Site):
    site.app("shop", migration(create("Item"), run_before=[("labels", "0001_first")]))
    site.app("labels", migration(create("Label")))
    site.app("billing", migration(create("Plan"), run_before=[("shop", "0001_first")]))
    site.place(shared=["billing"], both=["labels"])
    site.migrate()
    site.new("acme")
    assert site.records("public") == ["billing.0001_first", "labels.0001_first"]
    assert site.records("acme") == ["shop.0001_first", "labels.0001_first"]
    assert "2 up to date." in site.migrate()


def test_apps_without_migrations_get_their_tables_in_a_new_schema_and_by_run_syncdb(site: Site):
    site.app("plain", models="class Row(models.Model):\n    pass\n")
    site.app("kept", models="class Row(models.Model):\n    pass\n")
    site.place(shared=["kept"])
    site.migrate()
    assert site.tables("public") == set()
    site.migrate("--run-syncdb")
    assert site.tables("public") == {"kept_row"}
    site.new("acme")
    assert site.tables("acme") == {"plain_row"}
    site.rows("DROP TABLE acme.plain_row")
    site.migrate()
    assert site.tables("acme") == set()
    site.migrate("--run-syncdb")
    assert site.tables("acme") == {"plain_row"}

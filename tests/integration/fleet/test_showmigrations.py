"""``showmigrations --all``, ``listschemas`` and ``migrate --check`` ask the ledger, and it alone."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from appschema.exceptions import MigrationError
from appschema.models import LedgerEntry
from appschema.provisioning import drop_schema, purge_schema, refill_spares, rename_schema
from tests.integration.fleet.conftest import Site, create, migration
from tests.integration.fleet.test_telling import NAMES, add_third, shop

__all__ = ["shop"]


def call(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, no_color=True)
    return out.getvalue()


def add_schemas(site: Site, number: int) -> None:
    """Add schemas that are empty, and which the ledger takes for what acme is."""
    site.rows(
        f"DO $$BEGIN FOR n IN 1..{number} LOOP EXECUTE format('CREATE SCHEMA s%s', n); END LOOP; END$$"
    )
    site.rows(
        "INSERT INTO appschema_schema (name, is_active, created)"
        f" SELECT 's' || n, true, now() FROM generate_series(1, {number}) n"
    )
    site.rows(
        "INSERT INTO appschema_publicname (public_name, is_primary, schema_id)"
        " SELECT name || '.test', true, id FROM appschema_schema WHERE name LIKE 's%'"
    )
    site.rows(
        "INSERT INTO appschema_ledgerentry (schema_name, schema_oid, applied_id, rows)"
        " SELECT nspname, n.oid, applied_id, rows FROM pg_namespace n, appschema_ledgerentry"
        " WHERE nspname ~ '^s[0-9]+$' AND schema_name = 'acme'"
    )


def test_a_column_for_each_state_and_the_schemas_that_are_at_it(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "hooli")
    shop.migrate("shop", "0001", "--schema", "acme")
    assert call("showmigrations", "--all").splitlines() == [
        "[1] 1 to apply: 3 schemas: globex, initech, umbrella",
        "[2] 2 to apply: 1 schema: acme",
        "[3] up to date: 1 schema: hooli",
        "(appschema, billing: in public)",
        "shop",
        " [1] [2] [3]",
        " [X] [X] [X] 0001_first",
        " [X] [ ] [X] 0002_next",
        " [ ] [ ] [X] 0003_third",
    ]


def test_machines_are_told_in_one_object_for_each_state(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "hooli")
    first, second = map(json.loads, call("showmigrations", "--all", "--json").splitlines())
    assert first == {
        "count": 4,
        "schemas": ["acme", "globex", "initech", "umbrella"],
        "applied": ["shop.0001_first", "shop.0002_next"],
        "missing": ["shop.0003_third"],
        "unknown": [],
    }
    assert (second["schemas"], second["missing"]) == (["hooli"], [])


def test_schemas_that_differ_in_other_apps_only_are_at_one_state(site: Site):
    site.app("shop", migration(create("Item")))
    site.app(
        "news",
        migration(create("Story")),
        migration(create("Page"), depends=[("news", "0001_first")]),
    )
    site.place()
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.migrate("news", "0001", "--schema", "acme")
    assert len(call("showmigrations", "--all", "--json").splitlines()) == 2
    assert call("showmigrations", "--all", "shop").splitlines() == [
        "[1] up to date: 2 schemas: acme, globex",
        "shop",
        " [1]",
        " [X] 0001_first",
    ]


def test_what_newer_code_has_applied_is_told(shop: Site):
    shop.rows("INSERT INTO hooli.django_migrations VALUES (99, 'shop', '0009_new', now())")
    shop.rows("DELETE FROM appschema_ledgerentry WHERE schema_name = 'hooli'")
    shown = call("showmigrations", "--all")
    assert " [ ] [X] 0009_new (not in this code)\n" in shown
    assert "  has shop.0009_new, which this code does not have\n" in call(
        "listschemas", "--by-migrations"
    )


def test_squashed_migrations_are_told_as_django_does(shop: Site):
    shop.migrate("shop", "0001", "--schema", "acme")
    shop.add(
        "shop",
        "0001_squashed",
        migration(
            create("Item"),
            create("Sale"),
            depends=[("billing", "0001_first")],
            replaces=[("shop", "0001_first"), ("shop", "0002_next")],
        ),
    )
    assert call("showmigrations", "--all", "shop").splitlines()[-4:] == [
        " [1] [2]",
        " [-] [ ] 0001_squashed (2 squashed migrations)",
        " [X] [X] 0001_first",
        " [X] [ ] 0002_next",
    ]


def test_all_goes_with_neither_plan_nor_a_wrong_app(shop: Site):
    with pytest.raises(CommandError, match=r"^Give --all without --plan\.$"):
        call("showmigrations", "--all", "--plan")
    with pytest.raises(CommandError, match=r"^Give --json with --all\.$"):
        call("showmigrations", "--json")
    with pytest.raises(SystemExit, match="2"):
        call("showmigrations", "--all", "nothing")


def test_before_the_first_migrate_it_says_what_to_do(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.rows("DROP SCHEMA public CASCADE")
    site.rows("CREATE SCHEMA public")
    with pytest.raises(MigrationError, match=r"Run 'manage\.py migrate --shared'\.$"):
        call("showmigrations", "--all")


def test_listschemas_tells_what_each_schema_lacks(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "hooli")
    LedgerEntry.objects.filter(schema_name="globex").update(under_way={"migration": "x", "done": 1})
    LedgerEntry.objects.filter(schema_name="hooli").update(drift="x")
    shop.rows("DROP SCHEMA initech CASCADE")
    found = {line.split()[0]: line for line in call("listschemas").splitlines()}
    assert " 1 to apply  " in found["acme"]
    assert " 1 to apply, interrupted  " in found["globex"]
    assert " up to date, drifts  " in found["hooli"]
    assert " not in the database  " in found["initech"]
    assert call("listschemas", "--by-migrations").splitlines() == [
        "1 to apply: 3 schemas: acme, globex, umbrella",
        "  lacks shop.0003_third",
        "up to date: 1 schema: hooli",
        "not in the database: 1 schema: initech",
    ]
    by_name = {each["name"]: each for each in json.loads(call("listschemas", "--json"))}
    assert by_name["acme"]["migrations"] == {"missing": ["shop.0003_third"], "unknown": []}
    assert by_name["initech"]["migrations"] is None
    assert [by_name[name]["interrupted"] for name in NAMES] == [False, True, False, False, False]
    assert [by_name[name]["drifts"] for name in NAMES] == [False, False, True, False, False]
    lines = call("listschemas", "--by-migrations", "--json").splitlines()
    assert [json.loads(line)["count"] for line in lines] == [3, 1, 1]


ASKING = (
    ["showmigrations", "--all"],
    ["listschemas"],
    ["listschemas", "--by-migrations"],
    ["migrate", "--check"],
    ["migrate", "--plan"],
)


def test_who_only_looks_writes_nothing(shop: Site):
    """So a replica can be asked, also for schemas that the ledger does not know yet."""
    add_third(shop)
    look = (
        ("showmigrations", "--all"),
        ("listschemas",),
        ("listschemas", "--by-migrations"),
        ("migrate", "--plan"),
        ("diffschemas",),
    )
    wanted = [call(*words) for words in look]
    shop.rows("DELETE FROM appschema_ledgerentry; DELETE FROM appschema_appliedset")
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only TO on")
    try:
        assert [call(*words) for words in look] == wanted
        with pytest.raises(SystemExit, match="1"):
            call("migrate", "--check")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only TO off")
    assert not LedgerEntry.objects.exists()


def test_the_number_of_statements_does_not_depend_on_that_of_schemas(shop: Site):
    def count() -> list[int]:
        counts = []
        for words in ASKING:
            with CaptureQueriesContext(connection) as queries:
                call(*words)
            assert not any('"acme"' in each["sql"] for each in queries), "no schema is asked itself"
            counts.append(len(queries))
        return counts

    call("migrate", "--check")
    few = count()
    add_schemas(shop, 500)
    assert count() == few
    assert "up to date: 505 schemas: acme, globex, hooli, initech, s1, ... and 500 more" in call(
        "showmigrations", "--all"
    )


def test_the_ledger_follows_each_schema_from_its_beginning_to_its_end(site: Site):
    site.app("shop", migration(create("Item")))
    site.place(APPSCHEMA_TEMPLATE="appschema_template", APPSCHEMA_SPARES=1)
    site.migrate()

    def entries() -> list[str]:
        found = site.rows(
            "SELECT schema_name, nspname, applied_id = (SELECT applied_id FROM appschema_ledgerentry"
            " WHERE schema_name = 'appschema_template'), rows = (SELECT rows FROM"
            " appschema_ledgerentry WHERE schema_name = 'appschema_template')"
            " FROM appschema_ledgerentry LEFT JOIN pg_namespace n ON n.oid = schema_oid"
            " WHERE schema_name <> 'appschema_template' ORDER BY 1"
        )
        assert all(alike and rows and name == real for name, real, alike, rows in found)
        return [name for name, *_ in found]

    site.new("acme")
    assert entries() == ["acme"]
    refill_spares()
    (spare,) = set(entries()) - {"acme"}
    assert spare.startswith("appschema_spare_")
    site.new("globex")
    assert entries() == ["acme", "globex"]
    rename_schema("globex", "hooli")
    assert entries() == ["acme", "hooli"]
    drop_schema("hooli")
    purge_schema("hooli", now=True)
    assert entries() == ["acme"]
    refill_spares()
    with override_settings(APPSCHEMA_SPARES=0):
        refill_spares()
    assert entries() == ["acme"]
    # So that customers can follow the template.
    site.add("shop", "0002_next", migration(create("Sale"), depends=[("shop", "0001_first")]))
    printed = site.migrate()
    assert "Migrating appschema_template:" in printed
    assert "acme: 1 migration, replayed," in printed

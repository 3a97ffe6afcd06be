"""``diffschemas`` tells object by object in what schemas differ from the template."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from appschema.exceptions import MigrationError, UnknownSchema
from tests.integration.fleet.conftest import Site, create, migration

TEMPLATE = "appschema_template"
GLOBEX = "'globex'"


@pytest.fixture
def shop(site: Site) -> Site:
    """Three schemas that are like the template."""
    site.app(
        "shop",
        migration(create("Item", '("number", models.IntegerField(default=0, db_index=True))')),
    )
    site.place(APPSCHEMA_TEMPLATE=TEMPLATE)
    site.migrate()
    for name in ("acme", "globex", "hooli"):
        site.new(name)
    return site


def diff(*words: str) -> tuple[int, list[str], str]:
    out = StringIO()
    try:
        call_command("diffschemas", *words, stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue().splitlines(), str(error)
    return 0, out.getvalue().splitlines(), ""


def in_json(*words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    _, lines, _ = diff("--json", *words)
    *each, last = map(json.loads, lines)
    return {one["schema"]: one for one in each}, last


def test_schemas_that_are_alike_are_only_counted(shop: Site):
    assert diff() == (
        *(0, [f"Compared 3 schemas with {TEMPLATE}: 3 alike, 0 differs, 0 failed."], ""),
    )


def test_each_object_that_differs_is_told_and_the_exit_code_is_1(shop: Site):
    shop.rows("CREATE TABLE globex.extra (id int)")
    shop.rows("ALTER TABLE globex.shop_item ALTER number TYPE bigint")
    shop.rows("CREATE INDEX handmade ON hooli.shop_item (title)")
    code, lines, error = diff()
    assert code == 1
    assert error == f"Compared 3 schemas with {TEMPLATE}: 1 alike, 2 differs, 0 failed."
    assert lines == [
        f"globex: 2 differences from {TEMPLATE}",
        f"  Column 'number' of 'shop_item': type is 'integer' in schema '{TEMPLATE}' and 'bigint' in {GLOBEX}.",
        f"  Table 'extra' is in schema {GLOBEX} and not in '{TEMPLATE}'.",
        f"hooli: 1 difference from {TEMPLATE}",
        f"  Index 'handmade' is in schema 'hooli' and not in '{TEMPLATE}'.",
    ]


def test_machines_are_told_in_one_object_a_line(shop: Site):
    shop.rows("CREATE TABLE globex.extra (id int)")
    found, last = in_json()
    assert last == {"summary": {"alike": 2, "differs": 1, "failed": 0}, "with": TEMPLATE}
    assert found["acme"] == {
        "schema": "acme",
        "status": "alike",
        "lags": False,
        "accepted": False,
        "differences": [],
        "error": None,
    }
    assert found["globex"]["status"] == "differs"
    (difference,) = found["globex"]["differences"]
    assert difference["object"] == ["table", "extra"]
    assert difference["text"].startswith("Table 'extra' is in schema 'globex'")


def test_some_schemas_or_another_to_compare_with(shop: Site):
    shop.rows("CREATE TABLE globex.extra (id int)")
    assert set(in_json("--schema", "acme", "--schema", "hooli")[0]) == {"acme", "hooli"}
    assert set(in_json("--exclude", "globex")[0]) == {"acme", "hooli"}
    found, last = in_json("--with", "globex")
    assert last["with"] == "globex"
    assert {name: each["status"] for name, each in found.items()} == {
        "acme": "differs",
        "hooli": "differs",
    }
    with pytest.raises(UnknownSchema):
        call_command("diffschemas", "--schema", "nobody")
    with pytest.raises(UnknownSchema):
        call_command("diffschemas", "--with", "nobody")


def test_without_a_template_the_first_schema_is_compared_with(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.migrate()
    with pytest.raises(MigrationError, match=r"^There are no schemas\. Run 'manage\.py createsch"):
        call_command("diffschemas")
    for name in ("globex", "acme", "hooli"):
        site.new(name)
    site.rows("ALTER TABLE hooli.shop_item DROP title")
    found, last = in_json()
    assert last["with"] == "acme"
    assert {name: each["status"] for name, each in found.items()} == {
        "globex": "alike",
        "hooli": "differs",
    }


def test_a_schema_that_lags_is_told_from_one_that_drifts(shop: Site):
    shop.add(
        "shop",
        "0002_more",
        migration(
            'migrations.AddField("item", "more", models.TextField(null=True))',
            depends=[("shop", "0001_first")],
        ),
    )
    shop.migrate("--exclude", "hooli")
    code, lines, _ = diff()
    assert code == 1
    assert lines == [
        f"hooli: 1 difference from {TEMPLATE}, and other migrations are applied in it",
        f"  Column 'more' of 'shop_item' is in schema '{TEMPLATE}' and not in 'hooli'.",
    ]


def test_drift_that_was_accepted_is_told_as_such(shop: Site):
    shop.rows("CREATE INDEX handmade ON hooli.shop_item (title)")
    shop.add(
        "shop",
        "0002_more",
        migration(
            'migrations.AddField("item", "more", models.TextField(null=True))',
            depends=[("shop", "0001_first")],
        ),
    )
    shop.migrate("--accept-drift")
    found, _ = in_json()
    assert found["hooli"]["accepted"]
    assert found["hooli"]["status"] == "differs"
    assert not found["hooli"]["lags"]


def test_a_schema_that_is_gone_fails_alone(shop: Site):
    shop.rows("DROP SCHEMA globex CASCADE")
    found, last = in_json()
    assert last["summary"] == {"alike": 2, "differs": 0, "failed": 1}
    assert "globex" in found["globex"]["error"]
    assert diff()[0] == 1


def test_several_workers_find_the_same(shop: Site):
    shop.rows("CREATE TABLE globex.extra (id int)")
    assert in_json("--jobs", "3") == in_json()


def test_nothing_is_changed(shop: Site):
    before = shop.snapshot()
    diff("--jobs", "2")
    assert shop.snapshot() == before

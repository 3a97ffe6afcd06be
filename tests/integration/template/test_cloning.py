"""A clone is like another customer's schema, with its rows or without."""

import asyncio
import io
import time

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction

from appschema import schema_context
from appschema.catalog import compare, read_rows, read_schema
from appschema.exceptions import (
    SchemaBusy,
    SchemaExists,
    SchemaMissing,
    UnknownSchema,
    WrongState,
)
from appschema.models import Schema
from appschema.provisioning import aclone_schema, clone_schema, drop_schema
from tests.integration.fleet.conftest import Site, create, migration, model
from tests.integration.lifecycle.conftest import Told, add_item, beside, holding, items, told  # noqa: F401
from tests.integration.template.conftest import TEMPLATE, open_shop


@pytest.fixture
def acme(shop: Site) -> Site:
    """A customer with two items, and a function that names its schema."""
    shop.new("acme")
    for title in ("one", "two"):
        add_item("acme", title)
    shop.rows(
        "CREATE FUNCTION acme.how_many() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM acme.shop_item';"
        "ALTER TABLE acme.shop_item ADD length int GENERATED ALWAYS AS (length(title)) STORED"
    )
    return shop


def clone(source: str = "acme", name: str = "copy", **more: object) -> Schema:
    return clone_schema(source, name, f"{name}.example.com", **more)  # type: ignore[arg-type]


def is_like(one: str, other: str, *, rows: bool) -> bool:
    with transaction.atomic(), schema_context("public"), connection.cursor() as cursor:
        snapshots = [read_schema(cursor, name) for name in (one, other)]
        values = [sorted(read_rows(cursor, each)) for each in snapshots]
    return compare(*snapshots) == () and (not rows or values[0] == values[1])


def test_with_data_it_has_all_rows_and_goes_on_counting(acme: Site):
    clone(with_data=True)
    assert is_like("copy", "acme", rows=True)
    add_item("copy", "three")
    assert items("copy") == ["one", "two", "three"]
    assert items("acme") == ["one", "two"]
    assert acme.rows("SELECT copy.how_many(), acme.how_many()") == [(3, 2)]


def test_without_data_it_is_empty(acme: Site):
    clone()
    assert is_like("copy", "acme", rows=False)
    assert items("copy") == []
    assert acme.records("copy") == acme.records("acme")
    add_item("copy", "first")
    assert acme.rows("SELECT id FROM copy.shop_item") == [(1,)]


def test_without_data_it_has_content_types_and_permissions(site: Site):
    also = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites"]
    site.app("shop", migration(create("Item")))
    site.place(also=also, APPSCHEMA_TEMPLATE=TEMPLATE)
    site.migrate()
    site.new("acme")
    site.rows("INSERT INTO acme.auth_group (name) VALUES ('staff')")
    clone()
    for table, column in (("django_content_type", "model"), ("auth_permission", "codename")):
        sql = f"SELECT id, {column} FROM {{}}.{table} ORDER BY id"
        assert site.rows(sql.format("copy")) == site.rows(sql.format("acme")) != []
    assert site.rows("SELECT count(*) FROM copy.auth_group") == [(0,)]
    # What is inserted next gets an id that is free.
    site.rows("INSERT INTO copy.django_content_type (app_label, model) VALUES ('a', 'b')")


def test_a_row_in_the_registry_and_the_signal(acme: Site, told: Told):  # noqa: F811
    row = clone(is_active=False)
    assert (row.name, row.public_name, row.is_active) == ("copy", "copy.example.com", False)
    assert told == [("schema_created", {"schema_name": "copy"})]


def test_it_is_undone_with_the_callers_transaction(acme: Site):
    before = acme.snapshot()
    with transaction.atomic():
        clone(with_data=True)
        assert items("copy") == ["one", "two"]
        transaction.set_rollback(True)
    assert acme.snapshot() == before


def test_what_there_is_not_is_not_cloned(acme: Site):
    before = acme.snapshot()
    with pytest.raises(UnknownSchema):
        clone("nobody")
    with pytest.raises(UnknownSchema):
        clone(TEMPLATE)
    with pytest.raises(SchemaExists):
        clone(name="acme")
    assert acme.snapshot() == before
    drop_schema("acme")
    with pytest.raises(WrongState):
        clone()
    Schema.objects.create(name="lost")
    with pytest.raises(SchemaMissing):
        clone("lost")


def test_a_writer_is_waited_for_and_then_it_is_told_of(site: Site):
    shop = open_shop(site, APPSCHEMA_LOCK_TIMEOUT=0.2)
    shop.new("acme")
    before = shop.snapshot()
    with holding(shop.url, "INSERT INTO acme.shop_item (title) VALUES ('open')"):
        with pytest.raises(SchemaBusy, match="Schema 'copy' was not created"):
            clone(with_data=True)
        assert shop.snapshot() == before
        # Without rows nobody is waited for.
        clone()


def test_sessions_of_the_source_are_worthless_in_it(acme: Site):
    """Everything that is signed is bound to the name: see isolation.signing."""
    from django.core import signing

    with schema_context("acme"):
        token = signing.dumps({"user": 1})
    clone(with_data=True)
    with schema_context("copy"), pytest.raises(signing.BadSignature):
        signing.loads(token)


def test_the_command(acme: Site):
    out = io.StringIO()
    call_command(
        "cloneschema", "acme", "copy", "copy.example.com", "--data", stdout=out, no_color=True
    )
    assert out.getvalue() == (
        "Created schema copy like acme, with all its rows, reached by copy.example.com. Its files, if it"
        " has any, were not copied.\n"
    )
    assert items("copy") == ["one", "two"]


def test_the_twin_for_coroutines(acme: Site):
    async def run() -> Schema:
        return await aclone_schema("acme", "copy", "copy.example.com", with_data=True)

    assert asyncio.run(run()).name == "copy"
    connection.close()
    assert items("copy") == ["one", "two"]


def test_rows_refer_to_the_same_shared_rows(acme: Site):
    with schema_context("public"):
        plan = model("plans.Plan").objects.create(title="gold")
    add_item("acme", "three", plan=plan)
    clone(with_data=True)
    assert acme.rows("SELECT plan_id FROM copy.shop_item WHERE title = 'three'") == [(plan.pk,)]


def test_a_migration_that_is_under_way_is_waited_for(acme: Site):
    """Else the clone could have the record of a migration, and not the column that it made."""
    with psycopg.connect(acme.url) as migrating:
        migrating.execute("ALTER TABLE acme.shop_item ADD price int")
        migrating.execute(
            "INSERT INTO acme.django_migrations (app, name, applied) VALUES ('shop', '0002_price', now())"
        )
        with beside(clone) as cloning:
            wait_for(acme, "SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted")
            migrating.commit()
            cloning.result(timeout=30)
    assert is_like("copy", "acme", rows=False)
    assert acme.records("copy") == ["shop.0001_first", "shop.0002_price"]


def wait_for(shop: Site, statement: str) -> None:
    deadline = time.monotonic() + 30
    while not shop.rows(statement):
        assert time.monotonic() < deadline

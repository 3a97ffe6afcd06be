"""A dropped schema can be had back; a purged one is gone, whatever happens meanwhile."""

from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.db.transaction import TransactionManagementError
from django.test import override_settings
from django.utils import timezone

from appschema import patience, schema_context
from appschema.exceptions import (
    NoSchemaError,
    SchemaBusy,
    SchemaExists,
    SchemaMissing,
    UnknownSchema,
    WrongState,
)
from appschema.fleet.selection import select_schemas, select_undropped
from appschema.models import RetiredName, Schema
from appschema.provisioning import (
    activate_schema,
    add_public_name,
    deactivate_schema,
    drop_schema,
    due_schemas,
    new_schema,
    parts,
    purge,
    purge_due_schemas,
    purge_schema,
    rename_schema,
    undrop_schema,
)
from appschema.resolver import resolve
from tests.integration.fleet.conftest import Site, create, migration, model
from tests.integration.lifecycle.conftest import (
    Told,
    add_item,
    beside,
    holding,
    items,
    pass_while_others_wait,
)


def age(name: str, **since: int) -> None:
    """Let a schema have been dropped so long ago."""
    with transaction.atomic():
        Schema.objects.filter(name=name).update(dropped=timezone.now() - timedelta(**since))


def test_a_dropped_schema_is_served_no_more_and_nothing_in_it_changes(shop: Site, told: Told):
    shop.new("acme")
    add_item("acme")
    before = shop.snapshot()
    told.clear()
    row = drop_schema("acme")
    assert (row.is_active, row.was_active, row.purging) == (False, True, False)
    assert row.dropped is not None
    with pytest.raises(NoSchemaError):
        resolve("acme.example.com")
    assert shop.snapshot() == before
    assert items("acme") == ["x"]
    assert told == [("schema_dropped", {"schema_name": "acme"})]


def test_its_name_and_its_public_names_stay_its_own(shop: Site):
    shop.new("acme")
    drop_schema("acme")
    for names in (("acme", "new.example.com"), ("new", "acme.example.com")):
        with pytest.raises(SchemaExists):
            new_schema(*names)


@pytest.mark.parametrize("is_active", [True, False])
def test_undropping_brings_it_back_as_it_was(shop: Site, told: Told, is_active: bool):
    new_schema("acme", "acme.example.com", is_active=is_active)
    add_item("acme")
    drop_schema("acme")
    first = drop_schema("acme").dropped
    assert drop_schema("acme").dropped == first, "dropped twice, it is dropped since the first time"
    told.clear()
    assert undrop_schema("acme").is_active is is_active
    assert Schema.objects.get().dropped is None
    assert items("acme") == ["x"]
    assert told == [("schema_undropped", {"schema_name": "acme"})]
    if is_active:
        assert resolve("acme.example.com").name == "acme"


def test_what_is_not_dropped_is_neither_had_back_nor_purged(shop: Site):
    shop.new("acme")
    before = shop.snapshot()
    for act in (undrop_schema, purge_schema):
        with pytest.raises(WrongState, match="'acme' is not dropped"):
            act("acme")
        with pytest.raises(UnknownSchema):
            act("nobody")
    assert shop.snapshot() == before


def test_nothing_else_is_done_to_a_dropped_schema(shop: Site):
    shop.new("acme")
    drop_schema("acme")
    for act in (
        lambda: activate_schema("acme"),
        lambda: deactivate_schema("acme", "later"),
        lambda: rename_schema("acme", "other"),
        lambda: add_public_name("acme", "two.example.com"),
    ):
        with pytest.raises(WrongState, match=r"Run 'manage\.py undropschema acme' first"):
            act()


def test_the_database_itself_keeps_a_dropped_schema_inactive(shop: Site):
    row = shop.new("acme")
    drop_schema("acme")
    with pytest.raises(IntegrityError, match="appschema_schema_dropped_is_inactive"):
        Schema.objects.update(is_active=True)
    with pytest.raises(IntegrityError, match="appschema_schema_purging_is_dropped"):
        Schema.objects.update(dropped=None, purging=True)
    row.refresh_from_db()
    row.is_active = True
    with pytest.raises(ValidationError, match="Have it back first"):
        row.full_clean()


def test_it_is_purged_when_its_time_is_over_and_not_before(shop: Site, told: Told):
    shop.new("acme")
    drop_schema("acme")
    age("acme", days=6, hours=23)
    assert due_schemas() == []
    with pytest.raises(
        WrongState, match=r"can be had back until .* when APPSCHEMA_DROP_GRACE \(7 d"
    ):
        purge_schema("acme")
    with override_settings(APPSCHEMA_DROP_GRACE=timedelta(days=6)):
        assert due_schemas() == ["acme"]
    age("acme", days=7, minutes=1)
    assert due_schemas() == ["acme"]
    told.clear()
    purge_schema("acme")
    assert told == [("schema_purged", {"schema_name": "acme"})]
    assert not Schema.objects.exists()
    assert RetiredName.objects.get().name == "acme"
    assert shop.rows("SELECT FROM pg_namespace WHERE nspname = 'acme'") == []


def test_no_grace_means_at_once(shop: Site):
    shop.new("acme")
    drop_schema("acme")
    with override_settings(APPSCHEMA_DROP_GRACE=timedelta()):
        purge_schema("acme")
    assert not Schema.objects.exists()


def test_all_that_are_due_are_purged_and_one_that_fails_stops_no_other(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    for name in ("acme", "busy", "globex", "young"):
        shop.new(name)
        drop_schema(name)
        age(name, days=0 if name == "young" else 8)
    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    with holding(shop.url, "SELECT * FROM busy.django_migrations"):
        results = {each.schema_name: each.error for each in purge_due_schemas()}
    assert (results["acme"], results["globex"]) == (None, None)
    assert isinstance(results["busy"], SchemaBusy)
    assert list(Schema.objects.values_list("name", flat=True)) == ["busy", "young"]


def test_fleets_go_on_with_dropped_schemas_but_commands_for_all_leave_them_out(shop: Site):
    for name in ("acme", "globex"):
        shop.new(name)
    drop_schema("acme")
    shop.add(
        "shop",
        "0002_next",
        migration(create("Other"), depends=[("shop", "0001_first")]),
    )
    shop.migrate()
    assert "shop_other" in shop.tables("acme")
    assert select_undropped("default") == ["globex"]


@pytest.fixture
def half_purged(shop: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The schema acme, whose purge was interrupted after its first table."""
    shop.new("acme")
    shop.rows("CREATE VIEW acme.of_items AS SELECT * FROM acme.shop_item; CREATE TABLE acme.b ()")
    drop_schema("acme")

    def stop(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(purge, "_drop_parts", stop)
        with pytest.raises(KeyboardInterrupt):
            purge_schema("acme", now=True)
    return shop


def test_nobody_enters_a_schema_that_is_being_purged(half_purged: Site):
    with schema_context("acme"), pytest.raises(SchemaMissing):
        model("shop.Item").objects.count()
    keys = "SELECT conname FROM pg_constraint WHERE confrelid = 'plans_plan'::regclass"
    assert half_purged.rows(keys) == []


def test_one_that_is_half_purged_is_not_had_back_nor_given_away(half_purged: Site):
    assert Schema.objects.get().purging
    with pytest.raises(WrongState, match=r"is being purged.*Run 'manage\.py purgeschemas acme'"):
        undrop_schema("acme")
    with pytest.raises(SchemaExists):
        half_purged.new("acme")
    assert select_schemas("default") == []
    with pytest.raises(WrongState, match="is being purged"):
        select_schemas("default", ["acme"])
    half_purged.migrate()


def test_the_next_purge_finishes_it_whatever_its_grace(half_purged: Site):
    assert due_schemas() == ["acme"]
    purge_schema("acme")
    assert not Schema.objects.exists()
    assert half_purged.tables("acme") == set()


def test_two_purges_at_once_do_not_hinder_each_other(half_purged: Site):
    errors: list[BaseException | None] = [None]
    with beside(lambda: purge_schema("acme")) as other:
        try:
            purge_schema("acme")
        except UnknownSchema as error:  # the other one was the last
            errors = [error]
        errors.append(other.exception())
    assert None in errors
    assert all(isinstance(each, UnknownSchema | None) for each in errors), errors
    assert not Schema.objects.exists()


def test_it_is_not_purged_while_rows_of_others_protect_it(site: Site):
    site.app(
        "billing",
        migration(
            create("Bill", '("of", models.ForeignKey("appschema.Schema", models.PROTECT))'),
            depends=[("appschema", "0001_initial")],
        ),
        models="class Bill(models.Model):\n"
        "    title = models.TextField(default='')\n"
        "    of = models.ForeignKey('appschema.Schema', models.PROTECT)\n",
    )
    site.app(
        "diary",
        migration(
            create("Page", '("of", models.ForeignKey("appschema.Schema", models.PROTECT))'),
            depends=[("appschema", "0001_initial")],
        ),
        models="class Page(models.Model):\n"
        "    title = models.TextField(default='')\n"
        "    of = models.ForeignKey('appschema.Schema', models.PROTECT)\n",
    )
    site.place(shared=["billing"])
    site.migrate()
    row = site.new("acme")
    site.new("globex")
    with schema_context("acme"):
        model("diary.Page").objects.create(of=row)  # it goes with the schema
    drop_schema("acme")
    bill = model("billing.Bill").objects.create(of=row)
    before = site.snapshot()
    with pytest.raises(ProtectedError):
        purge_schema("acme", now=True)
    for words in (["purgeschemas", "acme"], ["dropschema", "acme"]):
        with pytest.raises(CommandError, match=r"^Cannot delete some instances of model 'Schema'"):
            call_command(*words, "--now", "--no-input", stderr=StringIO())
    bill.delete()
    with schema_context("globex"):
        page = model("diary.Page").objects.create(of=row)
    with pytest.raises(ProtectedError, match="the schema 'globex'"):
        purge_schema("acme", now=True)
    assert site.snapshot() == before
    assert not Schema.objects.get(name="acme").purging
    with schema_context("globex"):
        page.delete()
    purge_schema("acme", now=True)
    assert [each.name for each in Schema.objects.all()] == ["globex"]


def test_a_purge_waits_for_readers_of_shared_tables_and_holds_up_none(shop: Site):
    shop.new("acme")
    drop_schema("acme")

    def purging() -> None:
        purge_schema("acme", now=True)

    with holding(shop.url, "SELECT * FROM plans_plan") as reader:
        with beside(purging) as other:
            try:
                pass_while_others_wait(shop.url, "plans_plan", "SELECT count(*) FROM plans_plan")
                assert not other.done()
            finally:
                reader.rollback()
            assert other.result(30) is None
    assert not Schema.objects.exists()


def test_a_purge_that_others_hold_up_too_long_says_so_and_goes_on_later(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    shop.new("acme")
    drop_schema("acme")
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    with holding(shop.url, "SELECT * FROM plans_plan"):
        with pytest.raises(
            SchemaBusy, match=r"Dropping the foreign key .* to plans_plan could not"
        ):
            purge_schema("acme", now=True)
    assert Schema.objects.get().purging
    purge_schema("acme")
    assert not Schema.objects.exists()


def test_waiting_shortly_ends_with_the_purge(shop: Site):
    shop.new("acme")
    with transaction.atomic(), connection.cursor() as cursor:
        drop_schema("acme")
        purge_schema("acme", now=True)
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_in_one_transaction_with_rows_that_were_just_written(shop: Site):
    shop.new("acme")
    plan = model("plans.Plan").objects.create()
    before = shop.snapshot()
    with transaction.atomic():
        add_item("acme", plan=plan)
        drop_schema("acme")
        purge_schema("acme", now=True)
        transaction.set_rollback(True)
    assert shop.snapshot() == before
    with transaction.atomic():
        add_item("acme", plan=plan)
        drop_schema("acme")
        purge_schema("acme", now=True)
    assert not Schema.objects.exists()


def test_others_may_refer_to_the_row_meanwhile(site: Site):
    site.app(
        "billing",
        migration(
            create("Bill", '("of", models.ForeignKey("appschema.Schema", models.CASCADE))'),
            depends=[("appschema", "0001_initial")],
        ),
    )
    site.place(shared=["billing"])
    site.migrate()
    row = site.new("acme")
    with transaction.atomic():
        deactivate_schema("acme")
        insert = "INSERT INTO billing_bill (id, title, of_id) VALUES (1, '', {})"
        site.rows(f"SET statement_timeout = '5s'; {insert.format(row.pk)}")


ALL_KINDS = """
    CREATE TABLE acme.plain (id serial PRIMARY KEY, t text, u int UNIQUE, p bigint REFERENCES plans_plan);
    CREATE TABLE acme.parts (id int, n int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (id);
    CREATE TABLE acme.part_1 PARTITION OF acme.parts FOR VALUES IN (1) PARTITION BY LIST (n);
    CREATE TABLE acme.part_1_1 PARTITION OF acme.part_1 FOR VALUES IN (1);
    CREATE TABLE acme.heir () INHERITS (acme.plain);
    CREATE VIEW acme.seen AS SELECT * FROM acme.plain;
    CREATE MATERIALIZED VIEW acme.kept AS SELECT * FROM acme.seen;
    CREATE SEQUENCE acme.numbers;
    CREATE TABLE acme."odd ""name; --" (n int DEFAULT nextval('acme.numbers'));
    CREATE TYPE acme.mood AS ENUM ('good');
    CREATE TYPE acme.pair AS (a int, b acme.mood);
    CREATE DOMAIN acme.small AS int CHECK (VALUE < 10);
    CREATE TABLE acme.typed (m acme.mood, p acme.pair, s acme.small);
    CREATE FUNCTION acme.one(acme.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE acme.total (int) (SFUNC = int4pl, STYPE = int);
    CREATE PROCEDURE acme.act() LANGUAGE sql AS '';
    CREATE FUNCTION acme.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER fires BEFORE INSERT ON acme.plain FOR EACH ROW EXECUTE FUNCTION acme.fire();
    CREATE RULE quiet AS ON DELETE TO acme.typed DO INSTEAD NOTHING;
    CREATE STATISTICS acme.known ON id, u FROM acme.plain;
    CREATE COLLATION acme.plainly FROM "C";
    CREATE TABLE public.of_others (id int);
    CREATE VIEW public.on_it AS SELECT id FROM acme.plain;
"""


@pytest.mark.parametrize("budget", [1, 50, 10_000])
def test_every_kind_of_object_goes_in_chunks_of_any_size(
    shop: Site, monkeypatch: pytest.MonkeyPatch, budget: int
):
    before = shop.snapshot()
    shop.new("acme")
    shop.rows(ALL_KINDS)
    drop_schema("acme")
    monkeypatch.setattr(purge, "lock_room", lambda cursor: budget * purge.SHARE_OF_LOCKS)
    purge_schema("acme", now=True)
    shop.rows("DROP TABLE public.of_others")
    assert shop.snapshot() == before


def test_the_estimate_is_near_the_locks_that_are_taken(shop: Site):
    shop.new("acme")
    shop.rows(ALL_KINDS)
    with connection.cursor() as cursor:
        estimate = parts.count_locks(parts.parts_of(cursor, "acme"))
    with psycopg.connect(shop.url) as plain:
        plain.execute("DROP SCHEMA acme CASCADE")
        (taken,) = plain.execute(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
        ).fetchone() or (0,)
        plain.rollback()
    assert taken / 2 < estimate < taken * 2


def test_in_a_transaction_what_needs_all_locks_of_the_server_is_refused(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    shop.new("acme")
    drop_schema("acme")
    monkeypatch.setattr(purge, "lock_room", lambda cursor: 10)
    with transaction.atomic():
        with pytest.raises(TransactionManagementError, match="not inside a transaction of yours"):
            purge_schema("acme", now=True)
    assert not Schema.objects.get().purging
    purge_schema("acme", now=True)

"""A schema gets another name, with its row and role, or keeps the one it has."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.db.models.signals import pre_save
from django.test import override_settings

from appschema import patience, schema_context
from appschema.exceptions import (
    InvalidSchemaName,
    NameRetired,
    SchemaBusy,
    SchemaExists,
    SchemaMissing,
    UnknownSchema,
)
from appschema.isolation.storage import SchemaStorage, directory_of
from appschema.models import RetiredName, Schema
from appschema.provisioning import new_schema, rename_schema
from appschema.resolver import resolve
from tests.integration.fleet.conftest import Site, model
from tests.integration.lifecycle.conftest import (
    Told,
    add_item,
    beside,
    holding,
    items,
    pass_while_others_wait,
)


def test_schema_and_row_have_the_new_name_and_everything_is_there(shop: Site, told: Told):
    shop.new("acme")
    add_item("acme")
    told.clear()
    row = rename_schema("acme", "Acme-2")
    assert row == Schema.objects.get()
    assert row.name == resolve("acme.example.com").name == "Acme-2"
    assert items("Acme-2") == ["x"]
    with schema_context("acme"), pytest.raises(SchemaMissing):
        model("shop.Item").objects.count()
    assert told == [("schema_renamed", {"old_name": "acme", "new_name": "Acme-2"})]
    shop.migrate()
    assert shop.tables("Acme-2") == {"shop_item"}


def test_the_old_name_is_retired_and_can_be_had_back_if_asked_for(shop: Site):
    shop.new("acme")
    rename_schema("acme", "globex")
    with pytest.raises(NameRetired):
        new_schema("acme", "new.example.com")
    with pytest.raises(NameRetired):
        rename_schema("globex", "acme")
    rename_schema("globex", "acme", reuse_name=True)
    assert [each.name for each in RetiredName.objects.all()] == ["globex"]


@pytest.mark.parametrize(
    ("name", "new_name", "error"),
    [
        ("nobody", "new", UnknownSchema),
        ("acme", "globex", SchemaExists),
        ("acme", "acme", SchemaExists),
        ("acme", "stranger", SchemaExists),
        ("acme", "a;b", InvalidSchemaName),
        ("acme", "public", InvalidSchemaName),
        ("gone", "new", SchemaMissing),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changed(
    shop: Site, name: str, new_name: str, error: type[Exception], told: Told
):
    for each in ("acme", "globex", "gone"):
        shop.new(each)
    shop.rows("DROP SCHEMA gone CASCADE; CREATE SCHEMA stranger")
    before = shop.snapshot()
    told.clear()
    with transaction.atomic(), pytest.raises(error):
        rename_schema(name, new_name)
    assert shop.snapshot() == before
    assert told == []
    assert not RetiredName.objects.exists()


def test_the_callers_rollback_undoes_it(shop: Site, told: Told):
    shop.new("acme")
    before = shop.snapshot()
    told.clear()
    with transaction.atomic():
        rename_schema("acme", "other")
        transaction.set_rollback(True)
    assert shop.snapshot() == before
    assert told == []
    assert resolve("acme.example.com").name == "acme"


def test_a_name_in_the_path_of_all_schemas_or_of_the_login_is_refused(shop: Site):
    shop.new("acme")
    ((role,),) = shop.rows("SELECT current_user::text")
    with pytest.raises(InvalidSchemaName, match="database role in use"):
        rename_schema("acme", role)
    with override_settings(APPSCHEMA_DEFAULT_PATH=["extensions", "public"]):
        with pytest.raises(InvalidSchemaName, match="APPSCHEMA_DEFAULT_PATH"):
            rename_schema("acme", "extensions")


def test_it_waits_for_a_transaction_that_uses_the_schema_and_holds_up_none(shop: Site):
    shop.new("acme")
    enters = "LOCK TABLE ONLY acme.django_migrations IN ACCESS SHARE MODE"
    with holding(shop.url, enters) as user:
        with beside(lambda: rename_schema("acme", "other")) as renaming:
            try:
                enter = f"BEGIN; {enters}; COMMIT"
                pass_while_others_wait(shop.url, "acme.django_migrations", enter)
                assert not renaming.done()
            finally:
                user.rollback()
            assert renaming.result(30).name == "other"


def test_a_name_that_is_given_up_while_it_is_taken_is_retired(shop: Site):
    """Between the question for the name and its row another has borne it and given it up."""

    def bear_and_give_up() -> None:
        shop.new("acme")
        rename_schema("acme", "globex")

    def receive(sender: Any, instance: Schema, **told: Any) -> None:
        pre_save.disconnect(receive, sender=Schema)
        with beside(bear_and_give_up) as other:
            other.result(timeout=30)

    pre_save.connect(receive, sender=Schema)
    with pytest.raises(NameRetired):
        new_schema("acme", "another.example.com")
    assert [each.name for each in Schema.objects.all()] == ["globex"]


def test_after_a_minute_it_is_given_up(shop: Site, monkeypatch: pytest.MonkeyPatch):
    shop.new("acme")
    before = shop.snapshot()
    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    with holding(shop.url, "SELECT * FROM acme.django_migrations"):
        with pytest.raises(SchemaBusy, match=r"^Renaming schema 'acme' could not be done: for 0 s"):
            rename_schema("acme", "other")
    assert shop.snapshot() == before


def test_of_many_who_want_one_name_one_gets_it(shop: Site):
    for number in range(3):
        shop.new(f"acme{number}")
    barrier = Barrier(4)

    def want(number: int) -> Any:
        barrier.wait(10)
        try:
            if number == 3:
                return new_schema("wanted", "wanted.example.com")
            return rename_schema(f"acme{number}", "wanted")
        except SchemaExists as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(want, range(4)))
    assert sum(isinstance(each, Schema) for each in outcomes) == 1, outcomes
    namespaces = shop.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(acme|wanted)'")
    assert {name for (name,) in namespaces} == {each.name for each in Schema.objects.all()}


def test_while_visitors_use_it_it_is_renamed_and_nobody_sees_anything_else(shop: Site):
    for name in ("acme", "globex"):
        shop.new(name)
        add_item(name, f"of {name}")
    rename = Barrier(3)

    def visit() -> set[str]:
        seen: set[str] = set()
        rename.wait(10)
        while "SchemaMissing" not in seen:
            try:
                seen.update(items("acme"))
            except SchemaMissing:
                seen.add("SchemaMissing")
        return seen

    with beside(visit) as one, beside(visit) as two:
        rename.wait(10)
        rename_schema("acme", "other")
        for visitor in (one, two):
            assert visitor.result(30) <= {"of acme", "SchemaMissing"}
    assert items("other") == ["of acme"]


TEXTS = """
    CREATE FUNCTION acme.by_name() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM acme.shop_item';
    CREATE FUNCTION acme.in_quotes() RETURNS bigint LANGUAGE plpgsql
        AS 'BEGIN RETURN (SELECT count(*) FROM "acme".shop_item); END';
    CREATE FUNCTION acme.by_path() RETURNS bigint LANGUAGE sql SET search_path = acme
        AS 'SELECT count(*) FROM shop_item';
    CREATE SEQUENCE acme.numbers;
    CREATE TABLE acme.numbered (n int DEFAULT nextval('acme.numbers'::text));
    CREATE FUNCTION acme.fire() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.title := NEW.title || acme.by_name(); RETURN NEW; END';
    CREATE TRIGGER fires BEFORE INSERT ON acme.shop_item FOR EACH ROW EXECUTE FUNCTION acme.fire();
"""


def test_functions_whose_text_names_the_schema_name_it_anew(shop: Site):
    shop.new("acme")
    shop.rows(f"SET check_function_bodies = off; {TEXTS}")
    add_item("acme")
    rename_schema("acme", "Other-1")
    add_item("Other-1")
    assert items("Other-1") == ["x0", "x1"]
    with schema_context("Other-1"), connection.cursor() as cursor:
        for name in ("by_name", "in_quotes", "by_path"):
            cursor.execute(f"SELECT {name}()")
            assert cursor.fetchone() == (2,), name
        cursor.execute("INSERT INTO numbered DEFAULT VALUES RETURNING n")
        assert cursor.fetchone() == (1,)


def test_what_may_name_the_schema_and_cannot_be_told_is_logged(
    shop: Site, caplog: pytest.LogCaptureFixture
):
    shop.new("acme")
    shop.rows(
        "CREATE FUNCTION acme.f(t text) RETURNS void LANGUAGE plpgsql"
        " AS $$BEGIN EXECUTE format('SELECT FROM %I.%I', 'acme', t); END$$"
    )
    rename_schema("acme", "other")
    assert "Schema 'acme' is renamed; " in caplog.text
    assert "function f(t text) may name it, and is left as it is" in caplog.text


def test_functions_that_name_no_schema_go_on_working(shop: Site):
    shop.new("acme")
    add_item("acme")
    shop.rows(
        "SET check_function_bodies = off;"
        "CREATE FUNCTION acme.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM shop_item';"
        "CREATE FUNCTION acme.g() RETURNS int LANGUAGE sql AS 'SELECT 1 AS acmeism'"
    )
    rename_schema("acme", "other")
    with schema_context("other"), connection.cursor() as cursor:
        cursor.execute("SELECT f()")
        assert cursor.fetchone() == (1,)


def test_files_stay_in_the_directory_of_the_old_name(shop: Site):
    shop.new("acme")
    storage = SchemaStorage("django.core.files.storage.InMemoryStorage")
    with schema_context("acme"):
        storage.save("logo.txt", ContentFile(b"acme's"))
    rename_schema("acme", "other")
    with schema_context("other"):
        assert not storage.exists("logo.txt")
    old, new = (f"{directory_of(name)}/logo.txt" for name in ("acme", "other"))
    storage.wrapped.save(new, storage.wrapped.open(old))
    with schema_context("other"):
        assert storage.open("logo.txt").read() == b"acme's"

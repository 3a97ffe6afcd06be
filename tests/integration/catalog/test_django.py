"""The schemas of the sample site, through Django's connections."""

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from appschema import schema_context
from appschema.catalog import Script, read_rows, read_schema, write_schema
from appschema.names import PUBLIC
from appschema.provisioning import drop_schema, new_schema

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme():
    new_schema("acme", "acme.example.com")
    yield
    with schema_context(PUBLIC), connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS globex CASCADE")
    drop_schema("acme")


def copy(source: str, name: str) -> Script:
    with transaction.atomic(), schema_context(PUBLIC), connection.cursor() as cursor:
        snapshot = read_schema(cursor, source)
        script = write_schema(snapshot, read_rows(cursor, snapshot))
        cursor.execute(script.render(name))
    return script


def test_a_copy_answers_the_orm_with_its_own_rows(acme):
    notes = apps.get_model("notes.Note").objects
    with schema_context("acme"):
        notes.create(title="the source's")
    copy("acme", "globex")
    with schema_context("globex"):
        assert notes.filter(title="the source's").exists()
        assert notes.create(title="the copy's").pk > notes.get(title="the source's").pk
    with schema_context("acme"):
        assert not notes.filter(title="the copy's").exists()


def test_statements_after_the_script_run_under_the_current_path(acme):
    with transaction.atomic(), schema_context(PUBLIC), connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        before = cursor.fetchone()
        snapshot = read_schema(cursor, "acme")
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == before
        cursor.execute(write_schema(snapshot).render("globex"))
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == before
        with schema_context("globex"):
            assert not apps.get_model("notes.Note").objects.exists()


def test_reading_outside_a_transaction_is_refused(acme):
    with schema_context(PUBLIC), connection.cursor() as cursor:
        with pytest.raises(TransactionManagementError, match=r"Call it in transaction\.atomic"):
            read_schema(cursor, "acme")


def test_a_script_makes_a_schema_outside_a_transaction_too(acme):
    with transaction.atomic(), schema_context(PUBLIC), connection.cursor() as cursor:
        snapshot = read_schema(cursor, "acme")
    with schema_context(PUBLIC), connection.cursor() as cursor:
        cursor.execute(write_schema(snapshot).render("globex"))
        cursor.execute("SHOW check_function_bodies")
        assert cursor.fetchone() == ("on",)
    with schema_context("globex"):
        assert not apps.get_model("notes.Note").objects.exists()

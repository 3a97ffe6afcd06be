"""The registry: one spelling of each public name, and rules that PostgreSQL keeps itself."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.utils import DataError
from django.test import override_settings

from appschema.exceptions import InvalidPublicName, InvalidSchemaName
from appschema.models import PublicName, Schema

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Schema:
    return Schema.objects.create(name="registry_acme")


def add(schema: Schema, public_name: str, *, is_primary: bool = False) -> PublicName:
    return PublicName.objects.create(schema=schema, public_name=public_name, is_primary=is_primary)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ACME.Registry.Test", "acme.registry.test"),
        ("acme.registry.test.", "acme.registry.test"),
        ("acme.registry.test:8000", "acme.registry.test"),
        ("bücher.registry.test", "xn--bcher-kva.registry.test"),
        ("[2001:DB8::7]:443", "[2001:db8::7]"),
    ],
)
def test_a_public_name_is_stored_and_found_in_its_one_spelling(
    acme: Schema, given: str, stored: str
):
    row = add(acme, given)
    assert row.public_name == stored
    row.refresh_from_db()
    assert row.public_name == stored
    assert PublicName.objects.get(public_name=given) == row
    assert PublicName.objects.get(public_name__in=[given]) == row


def test_bulk_writes_and_updates_are_normalised_too(acme: Schema):
    PublicName.objects.bulk_create([PublicName(schema=acme, public_name="One.Registry.Test")])
    assert PublicName.objects.filter(public_name="one.registry.test").update(
        public_name="Two.Registry.Test."
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT public_name FROM public.appschema_publicname")
        assert ("two.registry.test",) in cursor.fetchall()


def test_what_no_host_could_have_is_not_stored(acme: Schema):
    with pytest.raises(InvalidPublicName), transaction.atomic():
        add(acme, "acme registry test")
    with pytest.raises(ValidationError) as raised:
        PublicName(schema=acme, public_name="acme registry test").full_clean()
    assert "not a valid host name" in raised.value.message_dict["public_name"][0]


def test_a_form_refuses_what_is_served_from_public(acme: Schema):
    with (
        override_settings(APPSCHEMA_PUBLIC_NAMES=["www.example.com"]),
        pytest.raises(ValidationError) as raised,
    ):
        PublicName(schema=acme, public_name="WWW.example.com").full_clean()
    assert "is served from public" in raised.value.message_dict["public_name"][0]


def test_two_spellings_of_a_name_are_one_name(acme: Schema):
    add(acme, "acme.registry.test")
    with pytest.raises(IntegrityError, match="unique"), transaction.atomic():
        add(Schema.objects.create(name="registry_other"), "ACME.registry.test.:80")


def test_a_schema_has_one_primary_name_and_any_number_of_others(acme: Schema):
    add(acme, "one.registry.test", is_primary=True)
    add(acme, "two.registry.test")
    add(acme, "three.registry.test")
    with pytest.raises(IntegrityError, match="one_primary"), transaction.atomic():
        add(acme, "four.registry.test", is_primary=True)
    with pytest.raises(IntegrityError, match="one_primary"), transaction.atomic():
        PublicName.objects.filter(schema=acme).update(is_primary=True)
    assert acme.public_name == "one.registry.test"


def test_each_schema_has_its_own_primary_name(acme: Schema):
    other = Schema.objects.create(name="registry_other")
    add(acme, "one.registry.test", is_primary=True)
    add(other, "two.registry.test", is_primary=True)
    assert (acme.public_name, other.public_name) == ("one.registry.test", "two.registry.test")


def test_a_schema_without_a_primary_name_has_none(acme: Schema):
    add(acme, "one.registry.test")
    assert acme.public_name is None


def test_prefetched_names_give_the_primary_one_without_a_query(
    acme: Schema, django_assert_num_queries
):
    add(acme, "one.registry.test", is_primary=True)
    with django_assert_num_queries(2):
        (row,) = Schema.objects.filter(pk=acme.pk).prefetch_related("public_names")
        assert row.public_name == "one.registry.test"


def test_schema_names_are_unique(acme: Schema):
    with pytest.raises(IntegrityError, match="unique"), transaction.atomic():
        Schema.objects.create(name="registry_acme")


def test_names_that_differ_in_case_are_two(acme: Schema):
    Schema.objects.create(name="Registry_Acme").full_clean()


@pytest.mark.parametrize(
    "name", ["", "public", "information_schema", "pg_catalog", "PG_temp", "pg_toast_1", "ü" * 32]
)
def test_the_database_itself_refuses_a_name_that_postgresql_could_misread(acme: Schema, name: str):
    with pytest.raises(IntegrityError, match="appschema_schema_name"), transaction.atomic():
        Schema.objects.filter(pk=acme.pk).update(name=name)


@pytest.mark.parametrize("name", ["", "public", 'a"b', "a b", "pg_x", "-a", "e\u0301", "a" * 64])
def test_a_bad_name_is_not_saved(name: str):
    with pytest.raises(InvalidSchemaName):
        Schema.objects.create(name=name)
    with pytest.raises(InvalidSchemaName):
        Schema.objects.bulk_create([Schema(name=name)])


def test_the_database_takes_a_name_of_63_bytes_and_no_longer_one(acme: Schema):
    Schema.objects.create(name="ü" * 31 + "a")
    with pytest.raises(DataError), transaction.atomic():
        Schema.objects.filter(pk=acme.pk).update(name="a" * 64)


@pytest.mark.parametrize("name", ["public", 'a"b', "a b", "pg_x", "a;b", "-a", "e\u0301"])
def test_a_form_refuses_a_bad_name_with_our_sentence(name: str):
    with pytest.raises(ValidationError) as raised:
        Schema(name=name).full_clean()
    assert raised.value.message_dict["name"][0].startswith("The schema name ")


def test_active_leaves_out_the_inactive(acme: Schema):
    idle = Schema.objects.create(name="registry_idle", is_active=False)
    assert acme in Schema.objects.active()
    assert idle not in Schema.objects.active()


def test_saving_and_deleting_rows_runs_no_ddl(acme: Schema):
    namespaces = "SELECT count(*) FROM pg_namespace"
    with connection.cursor() as cursor:
        cursor.execute(namespaces)
        before = cursor.fetchone()
        Schema.objects.create(name="registry_new").delete()
        acme.delete()
        cursor.execute(namespaces)
        assert cursor.fetchone() == before


def test_deleting_a_schemas_row_deletes_its_public_names(acme: Schema):
    add(acme, "one.registry.test", is_primary=True)
    acme.delete()
    assert not PublicName.objects.filter(public_name="one.registry.test").exists()

"""A schema that is there is taken over if, and only if, that is said."""

import pytest
from django.test import override_settings

from appschema.exceptions import InvalidSchemaName, NameRetired, SchemaExists, SchemaMissing
from appschema.models import PublicName, RetiredName, Schema
from appschema.provisioning import adopt_schema, drop_schema, purge_schema
from tests.integration.fleet.conftest import Site
from tests.integration.lifecycle.conftest import Told, add_item, items


@pytest.fixture
def lost(shop: Site) -> Site:
    """The schema acme with a row in it, unknown to the registry."""
    shop.new("acme")
    add_item("acme", "kept")
    PublicName.objects.all().delete()
    Schema.objects.all().delete()
    return shop


def test_its_rows_are_there_for_whoever_it_is_given_to(lost: Site, told: Told):
    row = adopt_schema("acme", "acme.example.com", is_active=False)
    assert (row.name, row.public_name, row.is_active) == ("acme", "acme.example.com", False)
    assert items("acme") == ["kept"]
    lost.migrate()
    assert told == []


@pytest.mark.parametrize("made", ["", "CREATE TABLE other.django_migrations (id int)"])
def test_what_is_not_there_or_was_never_ours_is_refused(lost: Site, made: str):
    if made:
        lost.rows(f"CREATE SCHEMA other; {made}")
    before = lost.snapshot()
    with pytest.raises(SchemaMissing):
        adopt_schema("other", "other.example.com")
    assert lost.snapshot() == before


def test_what_is_registered_or_in_the_path_is_refused(lost: Site):
    adopt_schema("acme", "acme.example.com")
    with pytest.raises(SchemaExists, match="is registered already"):
        adopt_schema("acme", "other.example.com")
    with override_settings(APPSCHEMA_DEFAULT_PATH=["extensions", "public"]):
        with pytest.raises(InvalidSchemaName):
            adopt_schema("extensions", "other.example.com")


def test_a_purged_schema_that_was_restored_has_its_name_back_if_that_is_said(lost: Site):
    adopt_schema("acme", "acme.example.com")
    drop_schema("acme")
    purge_schema("acme", now=True)
    lost.rows("CREATE SCHEMA acme; CREATE TABLE acme.django_migrations (app text, name text)")
    with pytest.raises(NameRetired):
        adopt_schema("acme", "acme.example.com")
    adopt_schema("acme", "acme.example.com", reuse_name=True)
    assert not RetiredName.objects.exists()

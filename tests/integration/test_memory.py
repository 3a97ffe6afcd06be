"""What Django remembers per process belongs to one schema, and goes with it."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from appschema import schema_context
from appschema.isolation.keyed import SchemaKeyedDict
from appschema.provisioning import new_schema
from appschema.testing import remove_schema
from tests.sample.notes.models import Attachment, Note


def test_an_entry_is_seen_in_its_schema_only():
    kept = SchemaKeyedDict()
    with schema_context("alpha"):
        kept["key"] = 1
    with schema_context("beta"):
        assert "key" not in kept
        assert kept.get("key") is None
        assert kept.setdefault("key", 2) == 2
    kept.forget_schema("beta")
    with schema_context("alpha"):
        assert kept["key"] == 1
    with schema_context("beta"):
        assert "key" not in kept


@pytest.mark.django_db(transaction=True)
def test_a_schema_that_takes_the_name_of_a_dropped_one_has_content_types_of_its_own():
    new_schema("memory", "memory.localhost")
    with schema_context("memory"):
        ContentType.objects.all().delete()
        before = ContentType.objects.get_for_models(Note, Attachment)
    remove_schema("memory")
    new_schema("memory", "memory.localhost")
    try:
        with schema_context("memory"):
            after = ContentType.objects.get_for_model(Note)
            assert after.pk != before[Note].pk
            with connection.cursor() as cursor:
                cursor.execute("SELECT id FROM django_content_type WHERE model = 'note'")
                assert cursor.fetchone() == (after.pk,)
    finally:
        remove_schema("memory")

"""The sample site of the tests works: its apps stand where they are placed."""

import pytest
from django.test import Client

from appschema import schema_context
from appschema.testing import ensure_schema
from tests.sample.notes.models import Note


@pytest.mark.django_db(transaction=True)
def test_a_schemas_host_shows_the_schemas_rows(client: Client) -> None:
    ensure_schema("sample", "sample.localhost")
    with schema_context("sample"):
        Note.objects.get_or_create(title="Only here")
    response = client.get("/notes/", headers={"host": "sample.localhost"})
    assert response.json() == {"titles": ["Only here", "Welcome"]}

"""What a module leaves in the database of the tests, and who removes it."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from appschema.models import Schema
from appschema.testing import remove_schema


@pytest.fixture(scope="module", autouse=True)
def _schemas_end_with_their_module(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Every test with a real transaction empties all registered schemas, those of other modules too."""
    yield
    if not connection.settings_dict["NAME"].startswith("test_"):
        return  # No test has asked for the database yet.
    with django_db_blocker.unblock():
        for name in Schema.objects.values_list("name", flat=True):
            remove_schema(name)

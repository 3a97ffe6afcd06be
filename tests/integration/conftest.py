"""What a module leaves in the database of the tests, and who removes it."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from appschema import current_schema, deactivate, schema_context
from appschema.models import Schema
from appschema.names import PUBLIC
from appschema.placement import get_placement
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


@pytest.fixture
def committing(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Real transactions, as of pytest-django's `transactional_db`, and what was written is deleted afterwards.

    That one truncates all tables and makes the content types and permissions anew, which takes a hundred times as long.
    """
    assert current_schema() is None
    with django_db_blocker.unblock():
        yield
        deactivate()
        if connection.in_atomic_block or not connection.get_autocommit():
            connection.close()
        with schema_context(PUBLIC), connection.cursor() as cursor:
            cursor.execute(
                "SELECT nspname FROM pg_namespace JOIN appschema_schema ON nspname = name"
            )
            schemas = [name for (name,) in cursor.fetchall()]
            cursor.execute("; ".join(_deletions([*schemas, PUBLIC])))
            Schema.objects.exclude(name__in=schemas).delete()


def _deletions(schemas: list[str]) -> Iterator[str]:
    """In one message no order is wrong: Django's foreign keys are looked at when it ends."""
    placement = get_placement()
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label == "appschema" or model in (ContentType, Permission):
            continue
        for name in schemas:
            if placement.holds(model._meta.app_label, public=name == PUBLIC):
                yield f'DELETE FROM "{name}"."{model._meta.db_table}"'


@pytest.fixture(scope="session")
def registry_only(django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database in which appschema's own migrations have run, and nothing else; to be copied."""
    name = f"appschema_registry_{os.getpid()}"
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        settings = {
            "INSTALLED_APPS": ["appschema"],
            "APPSCHEMA_SHARED_APPS": [],
            "APPSCHEMA_BOTH_APPS": [],
            "APPSCHEMA_TEMPLATE": None,
        }
        found = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            with django_db_blocker.unblock(), override_settings(**settings):
                call_command("migrate", verbosity=0)
        finally:
            connection.close()
            connection.settings_dict["NAME"] = found
        yield name
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def origin(request: pytest.FixtureRequest) -> str:
    """The database that a test's own is copied from; ``parametrize("origin", ["template0"])`` for an empty one."""
    return str(request.getfixturevalue("registry_only"))

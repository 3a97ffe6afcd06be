"""The tests of a project, run by pytest-django and by Django's own runner."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from appschema import schema_context
from appschema.models import Schema
from appschema.provisioning import new_schema
from appschema.testing import ensure_schema, remove_schema
from tests.sample.cases import (  # noqa: F401 - pytest collects them here
    DirtyTestCase,
    DirtyTransactionTestCase,
)
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan

ROOT = Path(__file__).parents[2]


def run_by_django(module: str, *words: str) -> str:
    """Run the cases by Django's own runner, on a database of its own; return what it printed."""
    name = f"appschema_runner_{os.getpid()}"
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    environment = {
        **os.environ,
        "APPSCHEMA_TEST_DATABASE_URL": psycopg.conninfo.make_conninfo(server, dbname=name),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-Wd", "-m", "django", "test", module, "--noinput"]
    done = subprocess.run(
        [*command, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("words", [["--shuffle=7"], ["--parallel=2"]])
def test_djangos_runner_runs_the_cases(words: list[str]):
    assert "\nOK\n" in run_by_django("tests.sample.cases", *words)


def test_serialized_rollback_restores_schemas_that_are_made_after_the_database():
    assert "\nOK\n" in run_by_django("tests.sample.restored_cases")


@pytest.fixture
def two(transactional_db: None) -> None:
    for name in ("testing_one", "testing_two"):
        ensure_schema(name, f"{name.replace('_', '-')}.localhost")


def test_a_fixture_of_pytest_gives_a_test_its_schemas(two: None):
    for name in ("testing_one", "testing_two"):
        with schema_context(name):
            assert not Note.objects.filter(title="one").exists()
            Note.objects.create(title="one")
    assert not Plan.objects.exists()
    Plan.objects.create(name="one")


def test_the_flush_between_tests_empties_every_schema_and_public(two: None):
    test_a_fixture_of_pytest_gives_a_test_its_schemas(two)


def test_a_schema_is_made_once(two: None):
    row = ensure_schema("testing_one", "testing-one.localhost")
    assert ensure_schema("testing_one", "testing-one.localhost") == row
    assert Schema.objects.filter(name="testing_one").count() == 1


@pytest.mark.django_db
def test_a_schema_that_is_made_in_a_test_is_rolled_back():
    assert not Schema.objects.filter(name="testing_new").exists()
    new_schema("testing_new", "testing-new.localhost")
    with schema_context("testing_new"):
        Note.objects.create(title="one")


@pytest.mark.django_db
def test_a_schema_that_is_made_in_a_test_is_rolled_back_again():
    test_a_schema_that_is_made_in_a_test_is_rolled_back()


@pytest.mark.django_db(transaction=True)
def test_a_row_without_a_schema_does_not_stop_the_flush():
    Schema.objects.create(name="testing_only_a_row")


@pytest.mark.django_db(transaction=True)
def test_a_row_without_a_schema_is_gone_after_the_flush():
    Schema.objects.create(name="testing_only_a_row")


@pytest.mark.django_db(transaction=True)
def test_a_serialized_database_is_restored_in_every_schema(two: None):
    with schema_context("testing_one"):
        Note.objects.create(title="kept")
    content = connection.creation.serialize_db_to_string()
    for name in ("testing_one", "testing_two"):
        with schema_context(name):
            Note.objects.all().delete()
    connection.creation.deserialize_db_from_string(content)
    with schema_context("testing_one"):
        assert Note.objects.filter(title="kept").exists()
    with schema_context("testing_two"):
        assert not Note.objects.filter(title="kept").exists()


@pytest.mark.django_db(transaction=True)
def test_a_schema_can_be_dropped_again():
    new_schema("testing_dropped", "testing-dropped.localhost")
    remove_schema("testing_dropped")
    assert not Schema.objects.filter(name="testing_dropped").exists()

"""Migrations and new schemas, through PgBouncer and over an alias that connects directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from appschema import schema_context
from appschema.exceptions import SchemaMissing
from appschema.models import Schema
from appschema.provisioning import new_schema
from appschema.testing import remove_schema
from tests.integration.leaks.witnesses import SCHEMAS
from tests.sample.notes.models import Note


@pytest.fixture(autouse=True)
def no_decoy(conninfo: str) -> Iterator[None]:
    """Take the isolated app's table out of public's way: migrate refuses to run beside it."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE public.notes_note RENAME TO decoy")
        yield
        connection.execute("ALTER TABLE public.decoy RENAME TO notes_note")


@pytest.fixture(params=["direct", "transaction", "session"])
def using(
    request: pytest.FixtureRequest,
    alias: Callable[..., str],
    through_pgbouncer: Callable[..., str],
) -> str:
    """The alias of the command; requests have another."""
    return alias("direct") if request.param == "direct" else through_pgbouncer(request.param, 2)


def indexed(conninfo: str) -> set[str]:
    """Return the schemas that the last migration of the notes was applied in."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT schemaname FROM pg_indexes WHERE indexname = 'notes_note_lower_title'"
        )
        return {name for (name,) in rows}


def test_migrate_works_over_an_alias_of_its_own(conninfo: str, using: str):
    def migrate(*words: str, **options: Any) -> None:
        # The witnesses have a trigger of their own, which the template has not.
        options["accept_drift"] = True
        call_command("migrate", *words, database=using, verbosity=0, **options)

    try:
        migrate("notes", "0002", schemas=SCHEMAS[:1])
        # Other tests have left schemas of theirs.
        assert indexed(conninfo) & set(SCHEMAS) == set(SCHEMAS[1:])
        migrate("notes", "0002")
        assert not indexed(conninfo) & set(SCHEMAS)
    finally:
        migrate("notes")
    assert indexed(conninfo) >= set(SCHEMAS)


def test_a_migration_that_writes_over_default_is_no_part_of_another_aliass_transaction(using: str):
    """It fails, and leaves nothing: the how-to gives the commands the same alias for that reason."""
    with override_settings(APPSCHEMA_TEMPLATE=None):
        with pytest.raises(SchemaMissing, match="leak_new"):
            new_schema("leak_new", "leak-new.example.com", using=using)
    with schema_context("public"):
        assert not Schema.objects.filter(name="leak_new").exists()


def test_a_new_schema_is_made_where_default_itself_goes(
    monkeypatch: pytest.MonkeyPatch, using: str
):
    monkeypatch.setitem(connections.settings, "default", connections[using].settings_dict)

    def act() -> list[str]:
        try:
            new_schema("leak_new", "leak-new.example.com")
            with schema_context("leak_new"):
                titles = list(Note.objects.values_list("title", flat=True))
            remove_schema("leak_new")
            return titles
        finally:
            connections.close_all()

    # A new thread connects as the settings say now.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(act).result() == ["Welcome"]

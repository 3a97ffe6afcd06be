"""``flush``, as the end of each ``TransactionTestCase`` calls it, empties what holds rows and touches nothing else."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from appschema import schema_context
from appschema.testing import ensure_schema, remove_schema
from tests.sample.notes.models import Attachment, Note
from tests.sample.tags.models import Tag

ONE = "flush_one"
TABLES = ["notes_attachment", "notes_note", "tags_tag"]


@pytest.fixture(autouse=True)
def schema(transactional_db: None) -> Iterator[None]:
    ensure_schema(ONE, "flush-one.localhost")
    flush()
    with schema_context(ONE):
        yield
    remove_schema(ONE)


def flush(**options: Any) -> None:
    options = {"inhibit_post_migrate": True, "reset_sequences": False, **options}
    with schema_context(None):
        call_command("flush", verbosity=0, interactive=False, **options)


def rows(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def files() -> dict[str, int]:
    found = rows(
        "SELECT relname, pg_relation_filenode(oid) FROM pg_class"
        f" WHERE relname = ANY(ARRAY{TABLES}) AND relnamespace = '{ONE}'::regnamespace"
    )
    return dict(found)


def test_a_table_without_rows_keeps_its_files():
    before = files()
    Note.objects.create(title="x")
    flush()
    changed = {table for table, file in files().items() if file != before[table]}
    assert not Note.objects.exists()
    # What refers to the notes has to be truncated with them.
    assert changed == {"notes_note", "notes_attachment"}


def test_rows_that_were_deleted_or_rolled_back_do_not_stay_in_the_files():
    Tag.objects.create(label="x").delete()
    flush()
    assert rows("SELECT pg_relation_size('tags_tag')") == [(0,)]


def test_rows_of_an_inheriting_table_go_too():
    rows("CREATE TABLE special () INHERITS (tags_tag); INSERT INTO special VALUES (1, 'x')")
    assert Tag.objects.exists()
    flush()
    assert not Tag.objects.exists()


def test_a_row_that_is_being_added_is_waited_for():
    started = Event()
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(add_and_wait_for_the_flush, started)
        assert started.wait(30)
        flush()
        adding.result()
    assert not Tag.objects.exists()


def add_and_wait_for_the_flush(started: Event) -> None:
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tags_tag'::regclass"
    deadline = time.monotonic() + 30
    with schema_context(ONE), transaction.atomic():
        Tag.objects.create(label="x")
        started.set()
        while not rows(waiting):
            assert time.monotonic() < deadline
    connection.close()


@pytest.mark.parametrize(("reset", "expected"), [(True, 1), (False, 2)])
def test_the_sequence_of_an_empty_table_restarts_if_asked_for(reset: bool, expected: int):
    rows("ALTER TABLE notes_attachment ALTER id RESTART")
    rows("SELECT nextval(pg_get_serial_sequence('notes_attachment', 'id'))")
    flush(reset_sequences=reset)
    note = Note.objects.create(title="x")
    assert Attachment.objects.create(name="x", note=note).pk == expected

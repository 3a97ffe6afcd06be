"""A schema lacks a table of an isolated app, and public has one left of the same name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from appschema import schema_context
from appschema.exceptions import SchemaMissing
from tests.sample.notes.models import Attachment, Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag

NAME = "sick"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def operator(conninfo: str) -> Iterator[Any]:
    """Plain psycopg, and a schema that lacks the notes of which public has some."""
    with psycopg.connect(conninfo, autocommit=True) as operator:
        operator.execute(
            f"CREATE SCHEMA {NAME} CREATE TABLE django_migrations (id int)"
            " CREATE TABLE tags_tag (id bigint, label text)"
        )
        try:
            yield operator
        finally:
            connection.close()
            operator.execute(f"DROP SCHEMA {NAME} CASCADE")


def in_public(operator: Any) -> list[Any]:
    return [
        operator.execute(sql).fetchall()
        for sql in (
            "SELECT title, body FROM public.notes_note",
            "SELECT is_called FROM public.notes_note_id_seq",
        )
    ]


def ask(sql: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall()


def execute_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO notes_note (title) VALUES (%s)", [["lost"], ["too"]])


def copy_out() -> Any:
    with connection.cursor() as cursor, cursor.copy("COPY notes_note TO STDOUT") as copy:
        return list(copy.rows())


def stream() -> Any:
    with connection.cursor() as cursor:
        return list(cursor.stream("SELECT title FROM notes_note"))


def ask_in_pipeline() -> Any:
    connection.ensure_connection()
    with connection.connection.pipeline():
        return connection.connection.execute("SELECT title FROM notes_note").fetchall()


WAYS: dict[str, Callable[[], Any]] = {
    "list": lambda: list(Note.objects.all()),
    "count": Note.objects.count,
    "iterator": lambda: list(Note.objects.iterator()),
    "raw": lambda: list(Note.objects.raw("SELECT * FROM notes_note")),
    "join": lambda: list(Tag.objects.filter(note__title="decoy")),
    "subquery": lambda: list(Plan.objects.filter(pk__in=Note.objects.values("pk"))),
    "create": lambda: Note.objects.create(title="lost"),
    "update": lambda: Note.objects.update(title="lost"),
    "delete": lambda: Note.objects.all()._raw_delete("default"),
    "a view": lambda: list(Attachment.objects.all()),
    "SQL": lambda: ask("SELECT title FROM notes_note"),
    "SQL with parameters": lambda: ask('SELECT title FROM "notes_note" WHERE title <> %s', "x"),
    "SQL that writes": lambda: ask("DELETE FROM Notes_Note RETURNING title"),
    "a sequence": lambda: ask("SELECT nextval('notes_note_id_seq')"),
    "executemany": execute_many,
    "COPY": copy_out,
    "stream": stream,
    "a pipeline": ask_in_pipeline,
}


def run(way: str, atomic: bool) -> None:
    with transaction.atomic() if atomic else nullcontext():
        WAYS[way]()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("atomic", [False, True])
def test_what_is_left_in_public_is_never_used(way: str, atomic: bool, operator: Any):
    before = in_public(operator)
    with schema_context(NAME):
        with pytest.raises((DatabaseError, psycopg.Error), match=f'"{NAME}.notes_'):
            run(way, atomic)
    assert in_public(operator) == before == [[("decoy", "public")], [(False,)]]


def test_a_table_that_is_named_only_when_it_runs_is_not_seen(operator: Any):
    """What docs/explanation/what-falls-outside.md leaves to roles."""
    operator.execute(
        f"CREATE FUNCTION {NAME}.late() RETURNS text LANGUAGE plpgsql AS $$ DECLARE found text;"
        " BEGIN EXECUTE 'SELECT title FROM notes' || '_note' INTO found; RETURN found; END $$"
    )
    with schema_context(NAME):
        assert ask("SELECT late()") == [("decoy",)]


@pytest.mark.xfail(
    raises=pytest.fail.Exception,
    reason="ALTER SCHEMA ... RENAME waits for nobody, and LOCK does not look again for what it has locked",
)
def test_a_schema_that_is_renamed_by_hand_in_mid_transaction_is_missed(operator: Any):
    """docs/explanation/what-falls-outside.md tells how to rename, and how to let every rename wait."""
    with schema_context(NAME), transaction.atomic():
        assert list(Tag.objects.all()) == []
        operator.execute(f"ALTER SCHEMA {NAME} RENAME TO sick_away")
        try:
            with pytest.raises(SchemaMissing), transaction.atomic():
                list(Tag.objects.all())
        finally:
            operator.execute(f"ALTER SCHEMA sick_away RENAME TO {NAME}")


def test_a_schema_that_is_renamed_by_hand_is_missed_by_the_second_statement_at_the_latest(
    operator: Any,
):
    with schema_context(NAME), transaction.atomic():
        list(Tag.objects.all())
        operator.execute(f"ALTER SCHEMA {NAME} RENAME TO sick_away")
        try:
            list(Tag.objects.all())
            with pytest.raises(SchemaMissing), transaction.atomic():
                list(Tag.objects.all())
        finally:
            operator.execute(f"ALTER SCHEMA sick_away RENAME TO {NAME}")


@pytest.fixture
def renames_wait(operator: Any) -> Iterator[None]:
    """The event trigger of the page."""
    page = (ROOT / "docs/explanation/what-falls-outside.md").read_text()
    (made,) = re.findall(r"-- renames_wait\.sql\n(.*?)```", page, re.DOTALL)
    operator.execute(made)
    yield
    operator.execute("DROP EVENT TRIGGER appschema_renames_wait")
    operator.execute("DROP FUNCTION public.appschema_renames_wait")


@pytest.mark.parametrize("away", ["sick_away", "Sick"])
def test_with_the_trigger_of_the_page_a_rename_by_hand_waits_for_who_uses_the_schema(
    away: str, renames_wait: None, operator: Any
):
    rename = f'ALTER SCHEMA {NAME} RENAME TO "{away}"'
    operator.execute("SET lock_timeout = 1")
    with schema_context(NAME), transaction.atomic():
        assert list(Tag.objects.all()) == []
        with pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute(rename)
        Tag.objects.create(pk=1, label=NAME)
    assert operator.execute(f"SELECT label FROM {NAME}.tags_tag").fetchall() == [(NAME,)]
    operator.execute(rename)
    with schema_context(NAME), pytest.raises(SchemaMissing):
        list(Tag.objects.all())
    operator.execute(f'ALTER SCHEMA "{away}" RENAME TO {NAME}')


def test_with_the_trigger_of_the_page_who_begins_during_a_rename_waits_and_is_refused(
    renames_wait: None, operator: Any, conninfo: str
):
    outcome: list[Any] = []

    def read() -> None:
        try:
            with schema_context(NAME):
                outcome.append(list(Tag.objects.values_list("label", flat=True)))
        except SchemaMissing as error:
            outcome.append(error)
        finally:
            connection.close()

    with psycopg.connect(conninfo, autocommit=True) as renamer:
        with renamer.transaction():
            renamer.execute(f"ALTER SCHEMA {NAME} RENAME TO sick_away")
            reader = Thread(target=read)
            reader.start()
            wait_for_lock(operator)
        reader.join()
        renamer.execute(f"ALTER SCHEMA sick_away RENAME TO {NAME}")
    assert isinstance(outcome[0], SchemaMissing), outcome


def wait_for_lock(operator: Any) -> None:
    """Until some session waits for the marker."""
    sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = %s::regclass)"
    deadline = time.monotonic() + 30
    while not operator.execute(sql, [f"{NAME}.django_migrations"]).fetchone()[0]:
        assert time.monotonic() < deadline

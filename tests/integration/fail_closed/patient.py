"""A schema that is maimed behind our back, and what is asked of it meanwhile.

One ``Patient`` is one thread with a schema of its own. It knows what it has done to the schema,
so it knows of each operation whether it must succeed, with exactly these rows, or end with an
error that names what is missing. In public stands a namesake of everything that it takes away.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import psycopg
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import DatabaseError, connection, transaction

from appschema import schema_context
from appschema.exceptions import NoActiveSchema, SchemaMissing
from appschema.names import PUBLIC
from tests.integration.leaks.oracle import LeakError
from tests.integration.leaks.witnesses import SCHEMAS
from tests.sample.notes.models import Attachment, Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag

NOTES, TAGS, ATTACHMENTS = "notes_note", "tags_tag", "notes_attachment"
TABLES = (NOTES, TAGS, ATTACHMENTS)
MARKER = "django_migrations"
MODEL = SCHEMAS[0]
INSERT = "INSERT INTO notes_note (title, body) VALUES (%s, %s)"


@dataclass(eq=False)
class Patient:
    name: str
    seed: str
    conninfo: str
    is_there: bool = False
    has_marker: bool = False
    tables: set[str] = field(default_factory=set)
    """Those that it has, whether or not the schema is there."""

    titles: set[str] = field(default_factory=set)
    trail: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    refused: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}:{self.name}")
        self.made = 0
        self.operator = psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=None)
        self.operator.execute("SET client_min_messages = error")
        self.cure()

    def run(self, steps: int) -> None:
        """Raise ``LeakError`` if anything but the own rows was read, written or answered."""
        try:
            for _ in range(steps):
                chance = self.random.random()
                if chance < 0.25:
                    self.harm()
                elif chance < 0.35:
                    act = self.random.choice(WITHOUT_SCHEMA)
                    self.trail.append(act.__name__)
                    act(self)
                else:
                    self.operate()
        except BaseException as error:
            trail = "\n".join(f"    {line}" for line in self.trail)
            error.add_note(
                f"Patient {self.name} of seed {self.seed!r}. To run it again set"
                f" APPSCHEMA_LEAK_SEED={self.seed}. What it did last:\n{trail}"
            )
            raise
        finally:
            connection.close()

    def end(self) -> None:
        self.sql(f"DROP SCHEMA IF EXISTS {self.name}, {self.away} CASCADE")
        self.operator.close()

    # -- what is done behind our back -----------------------------------------------------------

    @property
    def away(self) -> str:
        return f"{self.name}_away"

    def sql(self, text: str) -> None:
        self.operator.execute(text)

    def harm(self) -> None:
        # The more is missing, the sooner it is mended.
        is_ill = not (self.is_there and self.has_marker) or len(self.tables) < 2
        if is_ill and self.random.random() < 0.6:
            self.cure()
            return
        chosen = self.random.choice(HARMS)
        self.trail.append(f"harm: {chosen.__name__}")
        chosen(self)

    def cure(self) -> None:
        """Make the schema anew, whole."""
        self.trail.append("cure")
        self.sql(
            f"BEGIN; DROP SCHEMA IF EXISTS {self.name}, {self.away} CASCADE; CREATE SCHEMA {self.name};"
            f" CREATE TABLE {self.name}.{MARKER} (LIKE {MODEL}.{MARKER} INCLUDING ALL); COMMIT"
        )
        self.is_there = self.has_marker = True
        self.tables, self.titles = set(), set()
        for table in TABLES:
            self.add_table(table)

    def add_table(self, table: str) -> None:
        self.sql(f"CREATE TABLE {self.name}.{table} (LIKE {MODEL}.{table} INCLUDING ALL)")
        if table == TAGS:
            self.sql(f"INSERT INTO {self.name}.{TAGS} (label) VALUES ('{self.name}')")
        self.tables.add(table)

    # -- what is asked --------------------------------------------------------------------------

    def operate(self) -> None:
        chosen = self.random.choice(OPERATIONS)
        self.trail.append(
            f"{chosen.act.__name__}, there: {self.is_there and self.has_marker, self.tables}"
        )
        before = set(self.titles)
        with schema_context(self.name):
            if self.random.random() < 0.7:
                self.attempt(chosen.act, chosen.tables)
            else:
                with transaction.atomic():
                    self.attempt(chosen.act, chosen.tables)
                    if self.random.random() < 0.3:
                        transaction.set_rollback(True)
                        self.titles = before
        if self.is_there and NOTES in self.tables:
            rows = self.operator.execute(f"SELECT title, body FROM {self.name}.{NOTES}").fetchall()
            self.expect(set(rows), self.rows, "The table holds")

    def attempt(self, act: Callable[[Patient], None], tables: tuple[str, ...]) -> None:
        """Let *act* succeed exactly if all is there that it needs."""
        missing = set(tables) - self.tables
        if self.is_there and self.has_marker and not missing:
            act(self)
            self.answered += 1
            return
        before = set(self.titles)
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                act(self)
        except (DatabaseError, psycopg.Error) as error:
            self.titles = before
            whole = self.is_there and self.has_marker
            causes = missing if whole else {self.name}
            if not any(cause in str(error) for cause in causes):
                raise LeakError(f"The error does not name one of {causes}: {error}") from error
            self.refused += 1
            return
        raise LeakError(
            f"{act.__name__} was answered; there: {self.is_there}, marker: {self.has_marker},"
            f" missing: {missing}"
        )

    @property
    def rows(self) -> set[tuple[str, str]]:
        return {(title, self.name) for title in self.titles}

    def expect(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            raise LeakError(f"{what} {found!r} instead of {expected!r}")

    def title(self) -> str:
        self.made += 1
        return f"{self.name}:{self.made}"

    def ask(self, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()  # type: ignore[no-any-return]


# -- harms --------------------------------------------------------------------------------------


def drop(patient: Patient) -> None:
    patient.sql(f"DROP SCHEMA IF EXISTS {patient.name} CASCADE")
    patient.is_there = patient.has_marker = False
    patient.tables, patient.titles = set(), set()


def make_anew_by_hand(patient: Patient) -> None:
    """As psql does, without our marker, but with a table that has rows."""
    drop(patient)
    patient.sql(
        f"CREATE SCHEMA {patient.name} CREATE TABLE {NOTES} (id bigint, title text, body text,"
        " tag_id bigint, plan_id bigint, author_id int)"
    )
    patient.is_there, patient.tables = True, {NOTES}


def rename(patient: Patient) -> None:
    if patient.is_there:
        patient.sql(f"ALTER SCHEMA {patient.name} RENAME TO {patient.away}")
        patient.is_there = patient.has_marker = False
        patient.sql(f"DROP SCHEMA {patient.away} CASCADE")
        patient.tables, patient.titles = set(), set()


def drop_marker(patient: Patient) -> None:
    if patient.is_there:
        patient.sql(f"DROP TABLE IF EXISTS {patient.name}.{MARKER}")
        patient.has_marker = False


def drop_table(patient: Patient) -> None:
    table = patient.random.choice(TABLES)
    if patient.is_there and table in patient.tables:
        patient.sql(f"DROP TABLE {patient.name}.{table}")
        patient.tables.remove(table)
        if table == NOTES:
            patient.titles = set()


def restore_table(patient: Patient) -> None:
    if patient.is_there and (lost := sorted(set(TABLES) - patient.tables)):
        patient.add_table(patient.random.choice(lost))


def shadow(patient: Patient) -> None:
    """A view of the same name in public, made anew: nobody waits for it."""
    patient.sql(
        "CREATE OR REPLACE VIEW public.notes_attachment AS SELECT 1::bigint AS id,"
        " 'decoy'::text AS name, 1::bigint AS note_id"
    )


HARMS = (
    drop,
    make_anew_by_hand,
    rename,
    drop_marker,
    drop_table,
    drop_table,
    restore_table,
    shadow,
)


# -- operations ---------------------------------------------------------------------------------


def read_by_orm(patient: Patient) -> None:
    patient.expect(set(Note.objects.values_list("title", "body")), patient.rows, "The ORM read")


def read_by_other_queries(patient: Patient) -> None:
    notes, count = Note.objects.all(), len(patient.titles)
    patient.expect((notes.count(), notes.exists()), (count, bool(count)), "Counted")
    patient.expect({note.title for note in notes.iterator(2)}, patient.titles, "iterator() read")
    patient.expect(notes.filter(title="decoy").first(), None, "Found")


def read_raw(patient: Patient) -> None:
    found = {note.title for note in Note.objects.raw("SELECT * FROM notes_note")}
    patient.expect(found, patient.titles, "raw() read")


def read_by_sql(patient: Patient) -> None:
    sql = patient.random.choice(
        (
            "SELECT title, body FROM notes_note",
            'SELECT title, body FROM "notes_note" WHERE title <> %s',
            "WITH n AS (SELECT * FROM NOTES_NOTE) SELECT title, body FROM n",
            "SELECT 1; SELECT title, body FROM notes_note",
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, ["x"] if "%s" in sql else None)
        if sql.startswith("SELECT 1"):
            cursor.nextset()
        patient.expect(set(cursor.fetchall()), patient.rows, "SQL read")


def read_by_copy(patient: Patient) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY notes_note (title, body) TO STDOUT") as copy:
            patient.expect(set(copy.rows()), patient.rows, "COPY read")


def read_by_stream(patient: Patient) -> None:
    with connection.cursor() as cursor:
        found = set(cursor.stream("SELECT title, body FROM notes_note"))
    patient.expect(found, patient.rows, "stream() read")


def read_by_named_cursor(patient: Patient) -> None:
    with connection.chunked_cursor() as cursor:
        cursor.execute("SELECT title, body FROM notes_note")
        patient.expect(set(cursor.fetchall()), patient.rows, "A named cursor read")


def read_in_pipeline(patient: Patient) -> None:
    connection.ensure_connection()
    with connection.connection.pipeline():
        cursor = connection.connection.execute("SELECT title, body FROM notes_note")
        patient.expect(set(cursor.fetchall()), patient.rows, "A pipeline read")


def read_in_coroutine(patient: Patient) -> None:
    if connection.in_atomic_block:  # Django's coroutines have another connection
        read_by_orm(patient)
        return

    async def read() -> set[tuple[str, str]]:
        async with ThreadSensitiveContext():
            try:
                notes = Note.objects.aiterator(chunk_size=2)
                return {(note.title, note.body) async for note in notes}
            finally:
                await sync_to_async(_close)()

    patient.expect(asyncio.run(read()), patient.rows, "async for read")


def _close() -> None:
    """Close the connection of the thread that calls."""
    connection.close()


def read_tags(patient: Patient) -> None:
    patient.expect([tag.label for tag in Tag.objects.all()], [patient.name], "The tags are of")


def read_tags_by_sql(patient: Patient) -> None:
    patient.expect(patient.ask("SELECT label FROM tags_tag"), [(patient.name,)], "The tags are of")


def read_attachments(patient: Patient) -> None:
    """In public a view bears the name."""
    patient.expect(list(Attachment.objects.values_list("name")), [], "The attachments are")
    patient.expect(patient.ask("SELECT name FROM notes_attachment"), [], "The attachments are")


def join(patient: Patient) -> None:
    found = list(Note.objects.filter(tag__label__in=["public", "leak_decoy"]))
    patient.expect(found, [], "A join read")
    joined = Attachment.objects.filter(note__title="decoy").values_list("note__title")
    patient.expect(list(joined), [], "A join read")


def ask_shared_by_isolated(patient: Patient) -> None:
    with_plan = Note.objects.filter(plan__isnull=False).values("plan")
    found = Plan.objects.exclude(pk__in=with_plan).values_list("name", flat=True)
    patient.expect(list(found), ["shared"], "A subquery read")


def read_shared(patient: Patient) -> None:
    patient.expect(list(Plan.objects.values_list("name", flat=True)), ["shared"], "The plans are")


def take_number(patient: Patient) -> None:
    patient.ask("SELECT nextval('notes_note_id_seq')")


def create(patient: Patient) -> None:
    title = patient.title()
    patient.random.choice(
        (
            lambda: Note.objects.create(title=title, body=patient.name),
            lambda: Note.objects.bulk_create([Note(title=title, body=patient.name)]),
            lambda: Note.objects.get_or_create(title=title, defaults={"body": patient.name}),
            lambda: Note(title=title, body=patient.name).save(force_insert=True),
        )
    )()
    patient.titles.add(title)


def insert(patient: Patient) -> None:
    pairs = [(patient.title(), patient.name), (patient.title(), patient.name)]
    patient.random.choice((_execute, _executemany, _copy_in))(pairs)
    patient.titles |= {title for title, _ in pairs}


def _execute(pairs: list[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{INSERT}; {INSERT}", [*pairs[0], *pairs[1]])


def _executemany(pairs: list[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, pairs)


def _copy_in(pairs: list[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY notes_note (title, body) FROM STDIN") as copy:
            for pair in pairs:
                copy.write_row(pair)


def update(patient: Patient) -> None:
    """Without a filter: what is changed in public shows itself at the end."""
    if patient.random.random() < 0.5:
        changed = Note.objects.update(body=patient.name)
    else:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notes_note SET body = %s", [patient.name])
            changed = cursor.rowcount
    patient.expect(changed, len(patient.titles), "Rows changed:")


def delete(patient: Patient) -> None:
    """All of them, and what refers to them."""
    patient.expect(Attachment.objects.count(), 0, "Attachments:")  # the ORM asks if there are notes
    Note.objects.all().delete()
    patient.titles = set()


def delete_by_sql(patient: Patient) -> None:
    found = {title for (title,) in patient.ask("DELETE FROM notes_note RETURNING title")}
    patient.expect(found, patient.titles, "Deleted were")
    patient.titles = set()


def savepoints(patient: Patient) -> None:
    kept, lost = patient.title(), patient.title()
    with transaction.atomic():
        Note.objects.create(title=kept, body=patient.name)
        with transaction.atomic():
            Note.objects.create(title=lost, body=patient.name)
            transaction.set_rollback(True)
        patient.expect(Note.objects.filter(title=lost).exists(), False, "Rolled back:")
        read = patient.ask("SELECT count(*) FROM notes_note WHERE title = %s", [kept])
        patient.expect(read, [(1,)], "In the transaction there are")
    patient.titles.add(kept)


# -- with no schema, a wrong one, and one that goes away meanwhile ------------------------------


def refuses(patient: Patient, error: type[Exception], *acts: Callable[[], object]) -> None:
    for act in acts:
        try:
            found = act()
        except error:
            patient.refused += 1
        else:
            raise LeakError(f"This should have raised {error.__name__}, and answered {found!r}")


def ask_unset(patient: Patient) -> None:
    with schema_context(None):
        refuses(
            patient,
            NoActiveSchema,
            lambda: list(Note.objects.all()),
            lambda: list(Tag.objects.all()),
            lambda: list(Note.objects.raw("SELECT * FROM notes_note")),
            lambda: Note.objects.create(title=patient.title(), body="unset"),
            lambda: Note.objects.update(body="unset"),
            lambda: Tag.objects.all().delete(),
        )
        read_shared(patient)


def ask_in_public(patient: Patient) -> None:
    with schema_context(PUBLIC):
        refuses(
            patient,
            NoActiveSchema,
            lambda: list(Note.objects.iterator()),
            lambda: Note.objects.bulk_create([Note(title=patient.title(), body="public")]),
            lambda: Note.objects.filter(tag__label="public").update(body="public"),
        )
        patient.expect([tag.label for tag in Tag.objects.all()], [PUBLIC], "The tags are of")


def misspell(patient: Patient) -> None:
    for name in (patient.name.upper(), f"{patient.name}_", f"{patient.name}-x"):
        with schema_context(name):
            refuses(
                patient,
                SchemaMissing,
                lambda: list(Note.objects.all()),
                lambda: patient.ask("SELECT title FROM notes_note"),
                lambda: patient.ask("SELECT 1"),
                lambda: list(Plan.objects.all()),
                lambda: Tag.objects.create(label="misspelt"),
            )


def change_in_transaction(patient: Patient) -> None:
    """DROP, and RENAME as docs/explanation/what-falls-outside.md has it, wait for a transaction."""
    if not (patient.is_there and patient.has_marker):
        return
    with schema_context(patient.name), transaction.atomic():
        read_shared(patient)
        patient.sql("SET lock_timeout = 1")
        try:
            refuses(
                patient,
                psycopg.errors.LockNotAvailable,
                lambda: patient.sql(f"DROP SCHEMA {patient.name} CASCADE"),
                lambda: patient.sql(
                    f"BEGIN; LOCK TABLE {patient.name}.{MARKER} IN ACCESS EXCLUSIVE MODE;"
                    f" ALTER SCHEMA {patient.name} RENAME TO {patient.away}; COMMIT"
                ),
            )
        finally:
            patient.sql("ROLLBACK; SET lock_timeout = 0")
        read_shared(patient)


def iterate_meanwhile(patient: Patient) -> None:
    """An iterator reads what was there when it began, or says what has gone."""
    if not (patient.is_there and patient.has_marker and NOTES in patient.tables):
        return
    while len(patient.titles) < 5:
        with schema_context(patient.name):
            create(patient)
    with schema_context(patient.name):
        rows = Note.objects.values_list("title", "body").iterator(chunk_size=2)
        begun, expected = {next(rows)}, patient.rows
    patient.harm()
    try:
        begun |= set(rows)
    except (DatabaseError, psycopg.Error) as error:
        if patient.name not in str(error):
            raise LeakError(f"The error does not name {patient.name}: {error}") from error
        patient.expect(begun <= expected, True, "An iterator read")
        patient.refused += 1
    else:
        patient.expect(begun, expected, "An iterator read")


WITHOUT_SCHEMA = (
    ask_unset,
    ask_in_public,
    misspell,
    change_in_transaction,
    iterate_meanwhile,
)


@dataclass(frozen=True)
class Operation:
    act: Callable[[Patient], None]
    tables: tuple[str, ...]
    """What it cannot do without."""


OPERATIONS = (
    Operation(read_by_orm, (NOTES,)),
    Operation(read_by_other_queries, (NOTES,)),
    Operation(read_raw, (NOTES,)),
    Operation(read_by_sql, (NOTES,)),
    Operation(read_by_copy, (NOTES,)),
    Operation(read_by_stream, (NOTES,)),
    Operation(read_by_named_cursor, (NOTES,)),
    Operation(read_in_pipeline, (NOTES,)),
    Operation(read_in_coroutine, (NOTES,)),
    Operation(read_tags, (TAGS,)),
    Operation(read_tags_by_sql, (TAGS,)),
    Operation(read_attachments, (ATTACHMENTS,)),
    Operation(join, TABLES),
    Operation(ask_shared_by_isolated, (NOTES,)),
    Operation(read_shared, ()),
    Operation(take_number, (NOTES,)),
    Operation(create, (NOTES,)),
    Operation(insert, (NOTES,)),
    Operation(update, (NOTES,)),
    Operation(delete, (NOTES, ATTACHMENTS)),
    Operation(delete_by_sql, (NOTES,)),
    Operation(savepoints, (NOTES,)),
)

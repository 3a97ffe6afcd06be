"""What a worker does at random, and what it must see.

One ``Worker`` is one line of execution. Its choices depend on its seed and name only, never on
what other workers do, so a failing worker does the same again. It touches rows of its own only,
so what it must find in each schema is known exactly, whatever the others do meanwhile.

Operations whose name starts with ``block_`` run others inside themselves.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, connections, transaction
from psycopg import sql
from psycopg.pq import TransactionStatus

from appschema import activate, current_schema, deactivate, schema_context
from appschema.exceptions import NoActiveSchema, SchemaMissing, UnsafeStatement
from appschema.names import PUBLIC, quote_identifier
from tests.integration.leaks.oracle import LeakError, Rows, Scopes
from tests.integration.leaks.witnesses import DECOY, GHOST, HALF, SCHEMAS
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag

HERE = "SELECT current_schema()::text"
INSERT = "INSERT INTO notes_note (title, body) VALUES (%s, %s)"
REFUSED = object()


class PlannedError(Exception):
    """Raised by a worker on purpose, to leave blocks by an exception."""

    def __init__(self, *, to_savepoint: bool = False) -> None:
        self.to_savepoint = to_savepoint
        """It has passed an atomic block without a savepoint: one with a savepoint must end it."""


class StoppedError(Exception):
    """Another worker has failed, or this one has done all its operations."""


@dataclass(eq=False)
class Held:
    """A cursor or generator that is left open while other operations go on."""

    step: Callable[[], str | None]
    """Return the schema in which the next step ran; None at the end."""

    close: Callable[[], None]
    runs_in: Callable[[], str | None]
    of_connection: bool = True
    level: int = 0


@dataclass(frozen=True)
class Setting:
    """How a run reaches the database, and which operations that cannot do."""

    alias: str = "default"
    without: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    """Operations that keep something on the connection: here only inside a transaction."""

    is_direct: bool = True
    """Between here and PostgreSQL nothing stands that loses startup options."""


@dataclass
class Worker:
    name: str
    seed: str
    left: int
    setting: Setting
    is_stopped: Callable[[], bool]
    without: frozenset[str] = frozenset()
    scopes: Scopes = field(default_factory=Scopes)
    rows: Rows = field(default_factory=Rows)
    trail: deque[str] = field(default_factory=lambda: deque(maxlen=100))

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}:{self.name}")
        self.held: list[Held] = []
        self.entered: list[schema_context] = []
        self.cursors: list[Any] = []
        self.depth = self.level = self.made = 0
        self.in_driver_block = False
        self.abroad = False  # on another thread, so with another connection, than its cursors

    # -- choosing -------------------------------------------------------------------------------

    def step(self) -> None:
        """Do one operation, with all that it holds."""
        if self.left <= 0 or self.is_stopped():
            raise StoppedError
        self.left -= 1
        operations = [each for each in OPERATIONS if self._can(each)]
        weights = [each.weight for each in operations]
        (chosen,) = self.random.choices(operations, weights)
        self.note(chosen.name)
        try:
            chosen.act(self)
        except ObjectDoesNotExist as error:
            # A worker asks for rows that it has written itself.
            raise LeakError(f"A row is not where it was written: {error}") from error
        self.check_context()

    def _can(self, operation: Operation) -> bool:
        name, atomic = operation.name, self.level > 0
        if name in self.setting.without or name in self.without:
            return False
        if name in self.setting.inside and not atomic:
            return False
        if self.abroad and operation.keeps:
            return False
        if operation.outside and (atomic or self.in_driver_block):
            return False
        if operation.inside and not atomic:
            return False
        if self.in_driver_block and operation.needs_atomic:
            return False
        return not (name.startswith("block_") and self.depth >= 5)

    def note(self, text: str) -> None:
        where = self.scopes.current
        self.trail.append(f"{'  ' * self.depth}{text} [{'unset' if where is None else where}]")

    def steps(self) -> None:
        self.depth += 1
        try:
            for _ in range(self.random.randint(1, 5)):
                self.step()
            if self.random.random() < 0.3:
                self.note("raise")
                raise PlannedError
        finally:
            self.depth -= 1

    def catches(self, error: PlannedError) -> bool:
        return not error.to_savepoint and (self.depth == 0 or self.random.random() < 0.6)

    def pick(self) -> str | None:
        return self.random.choices(
            (*SCHEMAS, PUBLIC, None, GHOST, HALF), (*[80 / len(SCHEMAS)] * len(SCHEMAS), 6, 6, 4, 8)
        )[0]

    def pick_sound(self, *other_than: str) -> str:
        return self.random.choice([name for name in SCHEMAS if name not in other_than])

    def title(self) -> str:
        self.made += 1
        return f"{self.name}:{self.made}"

    # -- expecting ------------------------------------------------------------------------------

    @property
    def alias(self) -> str:
        return self.setting.alias

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    @property
    def is_sound(self) -> bool:
        return self.scopes.current in SCHEMAS

    def check_context(self) -> None:
        if current_schema() != self.scopes.current:
            raise LeakError(
                f"current_schema() is {current_schema()!r}, not {self.scopes.current!r}"
            )

    def expect(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            raise LeakError(f"{what}: {found!r} instead of {expected!r}")

    def refusal(self, kind: str) -> type[Exception] | None:
        """Return the error with which a use of tables of this kind must end, if any."""
        where = self.scopes.current
        if where == GHOST:
            return SchemaMissing
        if kind == "isolated" and where in (None, PUBLIC):
            return NoActiveSchema
        if kind == "both" and where is None:
            return NoActiveSchema
        if kind in ("both", "both in SQL") and where == HALF:
            return DatabaseError
        return None

    def attempt(self, kind: str, act: Callable[[], Any]) -> Any:
        """Return what *act* returns, or ``REFUSED`` if it must be refused, and is."""
        refusal = self.refusal(kind)
        if refusal is None:
            return act()
        try:
            with self.savepoint():
                found = act()
        except refusal:
            return REFUSED
        raise LeakError(f"This should have raised {refusal.__name__}, and answered {found!r}")

    def savepoint(self) -> AbstractContextManager[Any]:
        """Return a scope after whose failure the open transaction, if any, goes on."""
        if self.in_driver_block:
            return self.connection.connection.transaction()  # type: ignore[no-any-return]
        return transaction.atomic(using=self.alias) if self.level else nullcontext()

    def ask(self, query: Any, params: Any = None, cursor: Any = None) -> list[tuple[Any, ...]]:
        if cursor is not None:
            cursor.execute(query, params)
            return cursor.fetchall()  # type: ignore[no-any-return]
        with self.connection.cursor() as fresh:
            fresh.execute(query, params)
            return fresh.fetchall()  # type: ignore[no-any-return]

    def where(self) -> str:
        return self.ask(HERE)[0][0]  # type: ignore[no-any-return]

    @property
    def place(self) -> str:
        """Where a statement without tables of models runs."""
        return self.scopes.current or PUBLIC

    def notes(self) -> Any:
        return Note.objects.using(self.alias)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo the rows with the transaction, and close what dies with it."""
        before = self.rows.copy()
        self.level += 1
        try:
            yield
        except BaseException:
            self.rows.restore(before)
            raise
        finally:
            self.level -= 1

    def close_held(self, level: int = 0) -> None:
        """Close what was opened in transactions deeper than *level*, and what is ended."""
        for each in [each for each in self.held if each.of_connection and each.level >= level]:
            self.held.remove(each)
            each.close()

    def abandon(self) -> None:
        """Close what is open after a failure, as far as it can be."""
        for each in self.held:
            with suppress(Exception):
                each.close()

    def leave_all(self) -> None:
        """Leave everything in any order, as the end of a request does."""
        self.close_held()
        for each in self.held:
            each.close()
        self.held.clear()
        self.random.shuffle(self.entered)
        for context in self.entered:
            context.__exit__(None, None, None)
            self.scopes.leave(context)
        self.entered.clear()
        self.check_context()
        if self.scopes.entries:
            deactivate()
            self.scopes.activate(None)
        self.check_context()


# -- scopes -------------------------------------------------------------------------------------


def block_schema(worker: Worker) -> None:
    name = worker.pick()
    try:
        with schema_context(name), worker.scopes.scope(name):
            worker.steps()
    except PlannedError as error:
        if not worker.catches(error):
            raise


def block_decorated(worker: Worker) -> None:
    name = worker.pick_sound()

    @schema_context(name)
    def decorated() -> None:
        with worker.scopes.scope(name):
            worker.steps()

    try:
        decorated()
    except PlannedError as error:
        if not worker.catches(error):
            raise


def enter(worker: Worker) -> None:
    if len(worker.entered) < 3:
        context = schema_context(worker.pick())
        context.__enter__()
        worker.entered.append(context)
        worker.scopes.enter(context, context.schema_name)


def leave(worker: Worker) -> None:
    if worker.entered:
        context = worker.entered.pop(worker.random.randrange(len(worker.entered)))
        context.__exit__(None, None, None)
        worker.scopes.leave(context)


def switch(worker: Worker) -> None:
    name = worker.pick()
    if name is None:
        deactivate()
    else:
        activate(name)
    worker.scopes.activate(name)


def lend(worker: Worker) -> None:
    """Leave a generator open that holds a scope across its yields."""
    if sum(not each.of_connection for each in worker.held) >= 2:
        return
    name, token = worker.pick_sound(), object()

    def lending() -> Iterator[str]:
        with schema_context(name):
            worker.scopes.enter(token, name)
            try:
                for _ in range(3):
                    yield worker.where()
            finally:
                worker.scopes.leave(token)

    _hold_generator(worker, lending(), lambda: worker.place)


def keep_decorated(worker: Worker) -> None:
    """Leave a decorated generator open, whose steps run in its schema wherever it is advanced."""
    if sum(not each.of_connection for each in worker.held) >= 2:
        return
    name = worker.pick_sound()

    @schema_context(name)
    def generate() -> Iterator[str]:
        try:
            for _ in range(3):
                yield worker.where()
        finally:
            worker.expect(current_schema(), name, "A decorated generator is closed in")

    _hold_generator(worker, generate(), lambda: name)


def _hold_generator(worker: Worker, generator: Any, runs_in: Callable[[], str | None]) -> None:
    worker.held.append(
        Held(lambda: next(generator, None), generator.close, runs_in, of_connection=False)
    )
    advance(worker, worker.held[-1])


def advance(worker: Worker, held: Held | None = None) -> None:
    if held is None:
        if not worker.held:
            return
        held = worker.random.choice(worker.held)
        if held.runs_in() == GHOST:
            return
        worker.note(f"advance what was opened in {held.runs_in()}")
    found = held.step()
    if found is None:
        worker.held.remove(held)
        held.close()
    else:
        worker.expect(found, held.runs_in(), "A step ran in")


def close_late(worker: Worker) -> None:
    if worker.held:
        worker.held.pop(worker.random.randrange(len(worker.held))).close()


# -- reading ------------------------------------------------------------------------------------


def ask_where(worker: Worker) -> None:
    query: Any = worker.random.choice(
        (
            HERE,
            "SELECT leak_here()",
            "-- a comment; with a semicolon\n" + HERE,
            "/* SET search_path */ " + HERE,
            sql.SQL("SELECT {}()").format(sql.Identifier("current_schema")),
        )
    )
    found = worker.attempt("SQL", lambda: worker.ask(query)[0][0])
    if found is not REFUSED:
        worker.expect(found, worker.place, f"{query} ran in")


def ask_where_in_block(worker: Worker) -> None:
    text = "DO $$BEGIN IF current_schema() <> '{}' THEN RAISE EXCEPTION 'leak: %', current_schema(); END IF; END$$"

    def act() -> None:
        with worker.connection.cursor() as cursor:
            cursor.execute(text.format(worker.place))

    worker.attempt("SQL", act)


def call_procedure(worker: Worker) -> None:
    def act() -> str:
        with worker.connection.cursor() as cursor:
            cursor.callproc("leak_here")
            return cursor.fetchone()[0]  # type: ignore[no-any-return]

    found = worker.attempt("SQL", act)
    if found is not REFUSED:
        worker.expect(found, worker.place, "callproc() ran in")


def read_notes(worker: Worker) -> None:
    def act() -> list[tuple[str, str]]:
        return list(worker.notes().values_list("title", "body"))

    found = worker.attempt("isolated", act)
    if found is not REFUSED:
        check_notes(worker, found)


def check_notes(worker: Worker, found: list[tuple[str, str]]) -> None:
    """Compare rows of the table of notes: all say the schema, the worker's own are known."""
    where = worker.place
    allowed = {where, PUBLIC} if where == HALF else {where}
    if strange := [row for row in found if row[1] not in allowed]:
        raise LeakError(f"Rows of other schemas in {where!r}: {strange}")
    own = {title for title, _ in found if title.startswith(f"{worker.name}:")}
    worker.expect(own, set(worker.rows.of(where)), f"The worker's rows in {where}")


def read_notes_in_sql(worker: Worker) -> None:
    """Several statements in one text; each runs in the schema."""

    def act() -> tuple[Any, ...]:
        with worker.connection.cursor() as cursor:
            cursor.execute(f"{HERE}; SELECT title, body FROM notes_note; {HERE}")
            first = cursor.fetchone()[0]
            cursor.nextset()
            rows = cursor.fetchall()
            cursor.nextset()
            last = cursor.fetchone()[0]
            return first, rows, last, cursor.nextset()

    found = worker.attempt("SQL", act)
    if found is not REFUSED:
        first, rows, last, more = found
        worker.expect((first, last, more), (worker.place, worker.place, None), "Statements ran in")
        check_notes(worker, rows)


def read_tags(worker: Worker) -> None:
    """A table that public has too."""
    found = worker.attempt(
        "both", lambda: list(Tag.objects.using(worker.alias).values_list("label", flat=True))
    )
    if found is not REFUSED:
        worker.expect(found, [worker.place], "The tags are of")


def read_tags_in_sql(worker: Worker) -> None:
    found = worker.attempt("both in SQL", lambda: worker.ask("SELECT label FROM tags_tag"))
    if found is not REFUSED:
        worker.expect(found, [(worker.place,)], "The tags are of")


def read_plans(worker: Worker) -> None:
    """A shared table, which every schema sees."""
    found = worker.attempt(
        "shared", lambda: list(Plan.objects.using(worker.alias).values_list("name", flat=True))
    )
    if found is not REFUSED:
        worker.expect(found, ["shared"], "The plans are")


def ask_by_kept_cursor(worker: Worker) -> None:
    """A cursor that was made under one schema is used under another."""
    if len(worker.cursors) < 3:
        worker.cursors.append(worker.connection.cursor())
    cursor = worker.random.choice(worker.cursors)
    found = worker.attempt("SQL", lambda: worker.ask(HERE, cursor=cursor)[0][0])
    if found is not REFUSED:
        worker.expect(found, worker.place, "A cursor that was kept ran in")


def copy_out(worker: Worker) -> None:
    def act() -> list[Any]:
        with worker.connection.cursor() as cursor:
            with cursor.copy("COPY (SELECT title, body FROM notes_note) TO STDOUT") as copy:
                return list(copy.rows())

    found = worker.attempt("SQL", act)
    if found is not REFUSED:
        check_notes(worker, found)


def stream(worker: Worker) -> None:
    def act() -> list[Any]:
        with worker.connection.cursor() as cursor:
            return list(cursor.stream("SELECT title, body FROM notes_note"))

    found = worker.attempt("SQL", act)
    if found is not REFUSED:
        check_notes(worker, found)


def pipeline(worker: Worker) -> None:
    """Two statements under two schemas, in one pipeline."""
    first, second = worker.pick_sound(), worker.pick_sound()
    worker.connection.ensure_connection()
    with worker.connection.connection.pipeline():
        with schema_context(first):
            one = worker.connection.connection.execute(HERE)
        with schema_context(second):
            two = worker.connection.connection.execute(HERE)
        found = (one.fetchone()[0], two.fetchone()[0])
    worker.expect(found, (first, second), "In a pipeline statements ran in")


def open_cursor(worker: Worker) -> None:
    """A named cursor, whose query calls a function at each FETCH."""
    if not worker.is_sound or len(worker.held) > 4:
        return
    name = worker.scopes.current
    cursor = worker.connection.chunked_cursor()
    cursor.execute("SELECT public.leak_here() FROM generate_series(1, 6)")

    def step() -> str | None:
        rows = cursor.fetchmany(2)
        return rows[0][0] if rows else None

    worker.held.append(Held(step, cursor.close, lambda: name, level=worker.level))


def block_fetch(worker: Worker) -> None:
    """A named cursor, fetched from under one schema after the other."""
    before = len(worker.held)
    open_cursor(worker)
    if len(worker.held) == before:
        return
    held = worker.held[-1]
    try:
        for _ in range(3):
            name = worker.pick_sound()
            with schema_context(name), worker.scopes.scope(name):
                worker.depth += 1
                try:
                    worker.step()
                finally:
                    worker.depth -= 1
                if held not in worker.held:
                    return
                worker.note("fetch")
                advance(worker, held)
    except PlannedError as error:
        if not worker.catches(error):
            raise
    finally:
        if held in worker.held:
            worker.held.remove(held)
            held.close()


def open_iterator(worker: Worker) -> None:
    """A queryset that is iterated over in chunks, while other things happen."""
    if not worker.is_sound or len(worker.held) > 4:
        return
    name = worker.scopes.current
    # All rows that the table has: at least one, however many the other workers have.
    iterator = worker.notes().values_list("body", flat=True).iterator(chunk_size=2)
    first = next(iterator)
    worker.expect(first, name, "A queryset is iterated over in")
    worker.held.append(
        Held(lambda: next(iterator, None), iterator.close, lambda: name, level=worker.level)
    )


# -- writing ------------------------------------------------------------------------------------


def create(worker: Worker) -> None:
    title, where = worker.title(), worker.scopes.current
    act = worker.random.choice(
        (
            lambda: worker.notes().create(title=title, body=where or ""),
            lambda: worker.notes().get_or_create(title=title, defaults={"body": where or ""}),
            lambda: worker.notes().bulk_create([Note(title=title, body=where or "")]),
        )
    )
    if where == HALF:
        return
    if worker.attempt("isolated", act) is not REFUSED:
        _has_inserted(worker, title)


def _has_inserted(worker: Worker, *titles: str) -> None:
    where = worker.place
    worker.note(f"  wrote {titles}")
    worker.rows.add(where, *titles)
    while len(own := sorted(worker.rows.of(where))) > 6:
        title = worker.random.choice(own)
        with worker.connection.cursor() as cursor:
            cursor.execute("DELETE FROM notes_note WHERE title = %s", [title])
            worker.expect(cursor.rowcount, 1, f"Rows deleted in {where}")
        worker.rows.remove(where, title)


def write_in_sql(worker: Worker) -> None:
    """Inserts of all kinds but the ORM's."""
    if not worker.is_sound:
        return
    where, titles = worker.place, [worker.title(), worker.title()]
    pairs = [(title, where) for title in titles]
    kinds = (_execute, _executemany, _copy_in, _execute_two)
    able = [each for each in kinds if each.__name__ not in worker.setting.without]
    worker.random.choice(able)(worker, pairs)
    _has_inserted(worker, *titles)


def _execute(worker: Worker, pairs: list[tuple[str, str]]) -> None:
    for pair in pairs:
        with worker.connection.cursor() as cursor:
            cursor.execute(INSERT, pair)


def _executemany(worker: Worker, pairs: list[tuple[str, str]]) -> None:
    with worker.connection.cursor() as cursor:
        cursor.executemany(INSERT, pairs)


def _copy_in(worker: Worker, pairs: list[tuple[str, str]]) -> None:
    with worker.connection.cursor() as cursor:
        with cursor.copy("COPY notes_note (title, body) FROM STDIN") as copy:
            for pair in pairs:
                copy.write_row(pair)


def _execute_two(worker: Worker, pairs: list[tuple[str, str]]) -> None:
    with worker.connection.cursor() as cursor:
        cursor.execute(f"{INSERT}; {INSERT}", [*pairs[0], *pairs[1]])


def update(worker: Worker) -> None:
    own = sorted(worker.rows.of(worker.place))
    if worker.is_sound and own:
        old, new = worker.random.choice(own), worker.title()
        if worker.random.random() < 0.5:
            changed = worker.notes().filter(title=old).update(title=new)
            worker.expect(changed, 1, "Rows updated")
        else:
            row = worker.notes().get(title=old)
            row.title = new
            row.save()
        worker.note(f"  renamed {old} to {new}")
        worker.rows.rename(worker.place, old, new)


def delete(worker: Worker) -> None:
    own = sorted(worker.rows.of(worker.place))
    if worker.is_sound and own:
        title = worker.random.choice(own)
        found, _ = worker.notes().filter(title=title).delete()
        worker.expect(found, 1, "Rows deleted")
        worker.rows.remove(worker.place, title)


def delete_of_others(worker: Worker) -> None:
    """What the worker has in other schemas is not reached from this one."""
    others = [title for name in SCHEMAS if name != worker.place for title in worker.rows.of(name)]
    if worker.is_sound and others:
        found, _ = worker.notes().filter(title__in=others).delete()
        worker.expect(found, 0, "Rows of other schemas deleted")


# -- transactions -------------------------------------------------------------------------------


def block_atomic(worker: Worker) -> None:
    savepoint = not worker.level or worker.random.random() < 0.8
    try:
        with transaction.atomic(using=worker.alias, savepoint=savepoint), worker.transaction():
            before = worker.rows.copy()
            try:
                worker.steps()
            finally:
                worker.close_held(worker.level)
            if savepoint and worker.random.random() < 0.2:
                worker.note("set_rollback")
                transaction.set_rollback(True, using=worker.alias)
                worker.rows.restore(before)
    except PlannedError as error:
        error.to_savepoint = not savepoint
        if not worker.catches(error):
            raise


def block_driver(worker: Worker) -> None:
    """psycopg's own transaction block, which Django knows nothing of."""
    worker.connection.ensure_connection()
    connection = worker.connection.connection
    if worker.level and connection.info.transaction_status == TransactionStatus.IDLE:
        return  # To psycopg its block would be the whole transaction, and commit it.
    found, worker.in_driver_block = (
        worker.in_driver_block,
        worker.in_driver_block or not worker.level,
    )
    try:
        with connection.transaction(), worker.transaction():
            try:
                worker.steps()
            finally:
                worker.close_held(worker.level)
    except PlannedError as error:
        if not worker.catches(error):
            raise
    finally:
        worker.in_driver_block = found


def block_savepoint(worker: Worker) -> None:
    """A savepoint by Django's methods, or in SQL, that is rolled back to or kept."""
    before, name = worker.rows.copy(), f"leak_{worker.title().replace(':', '_').replace('.', '_')}"
    by_django = worker.random.random() < 0.5
    worker.level += 1
    if by_django:
        name = worker.connection.savepoint()
    else:
        _run(worker, f"SAVEPOINT {name}")
    try:
        try:
            worker.steps()
        finally:
            worker.close_held(worker.level)
            worker.level -= 1
    except PlannedError as error:
        # Django refuses all queries until its savepoint of an atomic block is rolled back to.
        if error.to_savepoint or not worker.catches(error):
            raise
    rolls_back = worker.random.random() < 0.5
    if rolls_back:
        worker.note("rollback to savepoint")
        worker.rows.restore(before)
    if by_django:
        connection = worker.connection
        (connection.savepoint_rollback if rolls_back else connection.savepoint_commit)(name)
    else:
        _run(worker, f"{'ROLLBACK TO' if rolls_back else 'RELEASE'} SAVEPOINT {name}")


def _run(worker: Worker, text: str) -> None:
    with worker.connection.cursor() as cursor:
        cursor.execute(text)


def fail(worker: Worker) -> None:
    """A statement that fails after it has done something."""
    text = worker.random.choice(
        (
            "SELECT 1 / 0",
            f"INSERT INTO notes_note (title, body) VALUES ('{worker.name}:failed', 'failed'); SELECT 1 / 0",
            f"SET LOCAL search_path TO {DECOY}; SELECT 1 / 0",
            f"SET search_path TO {DECOY}; SELECT 1 / 0",
            "SELECT FROM no_such_table",
            "SELECT (",
        )
    )
    try:
        with worker.savepoint():
            _run(worker, text)
    except DatabaseError:
        return
    raise LeakError(f"{text} did not fail")


def set_path(worker: Worker) -> None:
    """SQL of the user's sets a path of its own: it stands until a switch or a rollback."""
    if not worker.is_sound:
        return
    own, other = worker.place, worker.pick_sound(worker.place)
    with transaction.atomic(using=worker.alias):
        if worker.random.random() < 0.5:
            _run(worker, f"SET LOCAL search_path TO {quote_identifier(other)}, public")
        else:
            worker.ask("SELECT set_config('search_path', %s, true)", [quote_identifier(other)])
        worker.expect(worker.where(), other, "After the user's own SET LOCAL a statement ran in")
        if worker.random.random() < 0.5:
            third = worker.pick_sound(own, other)
            with schema_context(third):
                worker.expect(worker.where(), third, "After the user's own path a switch led to")
        else:
            worker.note("and roll back to a savepoint")
            _roll_back_with_path(worker, other)
        worker.expect(worker.where(), own, "After the user's own path a statement ran in")
    worker.expect(worker.where(), own, "After the transaction a statement ran in")


def _roll_back_with_path(worker: Worker, other: str) -> None:
    with transaction.atomic(using=worker.alias):
        worker.expect(worker.where(), other, "In a savepoint a statement ran in")
        transaction.set_rollback(True, using=worker.alias)


def spoil_session(worker: Worker) -> None:
    """Set the session to a schema that is never current: what has no envelope shows itself."""
    if worker.refusal("SQL") is None:
        _run(worker, f"SET search_path TO {DECOY}, public")


def leave_temporary_table(worker: Worker) -> None:
    """A temporary table that bears the name of a model's, left behind on the connection."""
    if worker.refusal("SQL") is None:
        _run(
            worker,
            "SELECT set_config('client_min_messages', 'error', false);"
            " CREATE TEMP TABLE IF NOT EXISTS plans_plan AS SELECT 0::bigint AS id,"
            " 'temporary'::text AS name, 0 AS price;"
            " CREATE TEMP TABLE IF NOT EXISTS notes_note AS SELECT id, 'temporary'::text AS title,"
            " 'temporary'::text AS body, tag_id, plan_id, author_id FROM public.notes_note"
            " WHERE title = 'decoy'; ALTER TABLE pg_temp.notes_note ALTER id SET DEFAULT 0",
        )


def close_connection(worker: Worker) -> None:
    worker.close_held()
    worker.cursors.clear()
    worker.connection.close()
    if "spoil_session" not in worker.setting.without | worker.without:
        with schema_context(None):
            _run(worker, f"SET search_path TO {DECOY}, public")


# -- schemas that come and go -------------------------------------------------------------------


def lose_schema(worker: Worker) -> None:
    """A schema is dropped while it is current; what public has must not be read instead."""
    name = f"doomed_{worker.name.replace('.', '_')}"
    with schema_context(PUBLIC):
        _run(
            worker,
            f"CREATE SCHEMA {name} CREATE TABLE django_migrations (id int)"
            " CREATE TABLE tags_tag (id int, label text)",
        )
    with schema_context(name), worker.scopes.scope(name):
        with worker.connection.cursor() as cursor:
            cursor.execute("INSERT INTO tags_tag VALUES (1, %s)", [name])
        worker.expect(worker.ask("SELECT label FROM tags_tag"), [(name,)], "The tags are of")
        with schema_context(worker.random.choice([PUBLIC, name])):
            _run(worker, f"DROP SCHEMA {name} CASCADE")
        try:
            found = list(Tag.objects.using(worker.alias).values_list("label", flat=True))
        except SchemaMissing:
            return
        raise LeakError(f"{name!r} was dropped, and {found!r} was read")


def vacuum(worker: Worker) -> None:
    """PostgreSQL refuses it in a transaction; the table is one that only this schema has."""
    if not worker.is_sound:
        return
    text = f"VACUUM (SKIP_LOCKED) {quote_identifier(f'only_{worker.place}')}"
    if worker.setting.is_direct:
        _run(worker, text)
        return
    try:
        _run(worker, text)
    except UnsafeStatement:
        return
    raise LeakError(f"{text} relied on the session of a pooler")


@dataclass(frozen=True)
class Operation:
    act: Callable[[Worker], None]
    weight: float
    keeps: bool = False  # it uses what an earlier operation left open on the connection
    outside: bool = False  # only outside a transaction
    inside: bool = False  # only in Django's transaction
    needs_atomic: bool = False  # it opens Django's transaction

    @property
    def name(self) -> str:
        return self.act.__name__


OPERATIONS = (
    Operation(block_schema, 14),
    Operation(block_decorated, 4),
    Operation(enter, 4),
    Operation(leave, 4),
    Operation(switch, 6),
    Operation(lend, 2, keeps=True),
    Operation(keep_decorated, 2, keeps=True),
    Operation(advance, 8, keeps=True),
    Operation(close_late, 2, keeps=True),
    Operation(ask_where, 6),
    Operation(ask_where_in_block, 2),
    Operation(call_procedure, 2),
    Operation(read_notes, 6),
    Operation(read_notes_in_sql, 4),
    Operation(read_tags, 5),
    Operation(read_tags_in_sql, 3),
    Operation(read_plans, 2),
    Operation(ask_by_kept_cursor, 5, keeps=True),
    Operation(copy_out, 3),
    Operation(stream, 2),
    Operation(pipeline, 2),
    Operation(open_cursor, 5, keeps=True),
    Operation(block_fetch, 4, keeps=True),
    Operation(open_iterator, 4, keeps=True),
    Operation(create, 7, needs_atomic=True),
    Operation(write_in_sql, 7),
    Operation(update, 4, needs_atomic=True),
    Operation(delete, 3, needs_atomic=True),
    Operation(delete_of_others, 2, needs_atomic=True),
    Operation(block_atomic, 14, needs_atomic=True),
    Operation(block_driver, 4),
    Operation(block_savepoint, 6, inside=True, needs_atomic=True),
    Operation(fail, 3),
    Operation(set_path, 2, outside=True),
    Operation(spoil_session, 2, outside=True),
    Operation(leave_temporary_table, 1, outside=True),
    Operation(close_connection, 1, keeps=True, outside=True),
    Operation(lose_schema, 0.7, outside=True),
    Operation(vacuum, 0.5, outside=True),
)

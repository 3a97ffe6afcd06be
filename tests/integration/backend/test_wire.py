"""How many messages are sent to the server: what docs/ say of the envelope's price.

The ids of the first two tests are the rows of the table in the documentation.
"""

from collections import Counter
from typing import Any

import pytest
from django.db import connection, transaction

from appschema import schema_context
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan


def execute(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place")


def execute_with_parameters(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])


def three_statements_in_one_text(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT name FROM place; SELECT 2")


def executemany_of_three(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO box VALUES (%s, %s)", [["a", "b"]] * 3)


def copy_out(db: Any) -> None:
    with db.cursor() as cursor, cursor.copy("COPY place TO STDOUT") as copy:
        list(copy)


def copy_in(db: Any) -> None:
    with db.cursor() as cursor, cursor.copy("COPY box FROM STDIN") as copy:
        copy.write_row(["a", "b"])


def stream(db: Any) -> None:
    with db.cursor() as cursor:
        list(cursor.stream("SELECT name FROM place"))


def named_cursor_with_two_fetches(db: Any) -> None:
    with db.chunked_cursor() as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 3)")
        cursor.fetchmany(2)
        cursor.fetchmany(2)


def two_selects_in_a_pipeline(db: Any) -> None:
    with db.connection.pipeline():
        db.connection.execute("SELECT name FROM place")
        db.connection.execute("SELECT name FROM place")


# One call, alone or as the second of a transaction: what the stock backend sends, and ours.
# "bound" is a statement of the extended protocol: Parse, Bind, Describe and Execute.
COUNTS = {
    "execute-autocommit": ("1 Query", "1 Query"),
    "execute-atomic": ("1 Query", "1 Query"),
    "execute_with_parameters-autocommit": ("1 Query", "1 Query"),
    "execute_with_parameters-atomic": ("1 Query", "1 Query"),
    "three_statements_in_one_text-autocommit": ("1 Query", "1 Query"),
    "three_statements_in_one_text-atomic": ("1 Query", "1 Query"),
    "executemany_of_three-autocommit": ("3 bound, 1 Sync", "5 bound, 1 Sync"),
    "executemany_of_three-atomic": ("3 bound, 1 Sync", "5 bound, 1 Sync"),
    "copy_out-autocommit": ("1 Query", "1 Query"),
    "copy_out-atomic": ("1 Query", "1 Query"),
    "copy_in-autocommit": ("1 CopyDone, 1 Query", "1 CopyDone, 1 Query"),
    "copy_in-atomic": ("1 CopyDone, 1 Query", "1 CopyDone, 1 Query"),
    "stream-autocommit": ("1 bound, 1 Sync", "1 Query"),
    "stream-atomic": ("1 bound, 1 Sync", "1 Query"),
    # DECLARE, two FETCH and CLOSE.
    "named_cursor_with_two_fetches-autocommit": (
        "1 bound, 1 Describe, 3 Query, 2 Sync",
        "1 Describe, 4 Query, 1 Sync",
    ),
    "named_cursor_with_two_fetches-atomic": (
        "1 bound, 1 Describe, 3 Query, 2 Sync",
        "1 Describe, 4 Query, 1 Sync",
    ),
    "two_selects_in_a_pipeline-autocommit": (
        "2 bound, 1 Sync",
        "6 bound, 1 Sync",
    ),
    "two_selects_in_a_pipeline-atomic": ("2 bound, 1 Sync", "6 bound, 1 Sync"),
}
SERVER_SIDE_COUNTS = {
    **COUNTS,
    # Outside a transaction a pipeline keeps the path and the statement together.
    "execute_with_parameters-autocommit": ("1 bound, 1 Sync", "3 bound, 1 Sync"),
    "execute_with_parameters-atomic": ("1 bound, 1 Sync", "1 bound, 1 Query, 1 Sync"),
    "named_cursor_with_two_fetches-atomic": (
        "1 bound, 1 Describe, 3 Query, 2 Sync",
        "1 bound, 1 Describe, 4 Query, 2 Sync",
    ),
}


def summary(sent: list[str]) -> str:
    # Flush only asks for answers early, whenever psycopg has waited for a moment; CopyData is the
    # user's own, and is traced without its name by older releases of libpq.
    counts = Counter(message for message in sent if message not in ("Flush", "CopyData"))
    bound = counts["Bind"]
    counts.subtract(dict.fromkeys(("Parse", "Bind", "Describe", "Execute"), bound))
    parts = [f"{bound} bound"] if bound else []
    return ", ".join([*parts, *(f"{n} {name}" for name, n in sorted(counts.items()) if n)])


def send(db: Any, name: str, wire: Any) -> str:
    way, mode = name.split("-")
    db.ensure_connection()
    if mode == "autocommit":
        with wire(db) as sent:
            globals()[way](db)
        return summary(sent)
    with transaction.atomic(using=db.alias):
        execute(db)
        with wire(db) as sent:
            globals()[way](db)
    return summary(sent)


@pytest.mark.parametrize("name", COUNTS)
def test_messages_of_a_call(name, wire, make_alias):
    stock = make_alias("stock", engine="django.db.backends.postgresql")
    with schema_context("alpha"):
        assert (send(stock, name, wire), send(connection, name, wire)) == COUNTS[name]


@pytest.mark.parametrize("name", SERVER_SIDE_COUNTS)
def test_messages_of_a_call_with_server_side_binding(name, wire, make_alias):
    engine = "django.db.backends.postgresql"
    stock = make_alias("stock", engine=engine, server_side_binding=True)
    ours = make_alias("ours", server_side_binding=True)
    with schema_context("alpha"):
        found = send(stock, name, wire), send(ours, name, wire)
    assert found == SERVER_SIDE_COUNTS[name]


def request(using: str) -> None:
    """What a view might do."""
    notes = Note.objects.using(using)
    plan = Plan.objects.using(using).create(name=f"plan of {using}")
    with transaction.atomic(using=using):
        note = notes.create(title="a", plan=plan)
        with transaction.atomic(using=using):
            notes.filter(pk=note.pk).update(title="b")
        notes.bulk_create([Note(title="c"), Note(title="d")])
    list(notes.select_related("plan").prefetch_related("attachment_set").order_by("title"))
    assert notes.filter(title="b").exists()
    notes.all().delete()


def test_queries_of_the_orm_send_as_many_messages_as_by_the_stock_backend(wire, make_alias):
    stock = make_alias(
        "stock", engine="django.db.backends.postgresql", options="-csearch_path=alpha,public"
    )
    found = []
    for db in (stock, connection):
        with schema_context("alpha"), wire(db) as sent:
            request(db.alias)
        found.append(list(sent))
    assert found[0] == found[1]
    assert set(found[0]) == {"Query"}


def test_deleting_a_shared_row_asks_the_other_schemas_and_that_is_all(wire, make_alias):
    stock = make_alias(
        "stock", engine="django.db.backends.postgresql", options="-csearch_path=alpha,public"
    )
    counts = []
    for db in (stock, connection):
        with schema_context("alpha"):
            plan = Plan.objects.using(db.alias).create(name=f"plan of {db.alias}")
            with wire(db) as sent:
                plan.delete()
        counts.append(len(sent))
    # Which tables refer to it, and whether they hold it: the latter in a savepoint, for its locks.
    assert counts[1] - counts[0] == 4


def test_switches_cost_no_message(wire):
    with wire() as sent, transaction.atomic():
        for name in ("alpha", "beta", "public", "alpha"):
            with schema_context(name):
                execute(connection)
    assert sent == ["Query"] * 6


def test_context_alone_sends_nothing(wire):
    with wire() as sent, schema_context("alpha"), schema_context("nowhere"):
        pass
    assert sent == []


@pytest.mark.parametrize("sql", ["", ";", "-- nothing"])
def test_empty_sql_and_transaction_control_go_without_an_envelope(sql, wire):
    with schema_context("alpha"), connection.cursor() as cursor, wire() as sent:
        cursor.execute(sql)
        cursor.execute("BEGIN")
        cursor.execute("ROLLBACK")
    assert sent == ["Query"] * 3
    assert "search_path" not in sent.sql


def test_checks_of_the_connection_go_without_an_envelope(wire):
    with schema_context("nowhere"), wire() as sent:
        assert connection.is_usable()
        connection.ensure_timezone()
    assert "search_path" not in sent.sql

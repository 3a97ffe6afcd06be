"""Nothing of the envelope is visible: results, errors, logs, counts of queries."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from appschema import schema_context
from tests.sample.notes.models import Note

pytestmark = pytest.mark.usefixtures("alpha")


@pytest.fixture(params=["autocommit", "atomic", "behind_a_switch"])
def opened(request: pytest.FixtureRequest) -> Any:
    """No transaction, one, and one in which the next envelope fires triggers."""
    if request.param == "autocommit":
        yield
        return
    with transaction.atomic():
        if request.param == "behind_a_switch":
            with schema_context("beta"), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        yield


@pytest.fixture
def cursor(opened: None) -> Any:
    connection.ensure_connection()
    with connection.cursor() as cursor:
        yield cursor


def test_only_the_results_of_the_users_statements_are_there(cursor):
    cursor.execute("SELECT 1 AS one; UPDATE box SET item = 'x'; SELECT 2, 3")
    assert cursor.fetchall() == [(1,)]
    assert [column.name for column in cursor.description] == ["one"]
    assert cursor.nextset()
    assert cursor.statusmessage == "UPDATE 0"
    assert cursor.description is None
    assert cursor.nextset()
    assert cursor.fetchall() == [(2, 3)]
    assert not cursor.nextset()


def test_one_statement_has_one_result(cursor):
    cursor.execute("SELECT name FROM place")
    assert cursor.rowcount == 1
    assert cursor.statusmessage == "SELECT 1"
    assert cursor.fetchall() == [("alpha",)]
    assert not cursor.nextset()
    assert cursor.pgresult.ntuples == 1


def test_results_and_set_result_count_the_users_results_only(cursor):
    raw = cursor.cursor
    raw.execute("SELECT 1; SELECT 2")
    if hasattr(raw, "results"):  # psycopg 3.3
        assert [each.fetchone() for each in raw.results()] == [(1,), (2,)]
        raw.set_result(0)
        assert raw.fetchone() == (1,)
        raw.set_result(-1)
        assert raw.fetchone() == (2,)
        with pytest.raises(IndexError):
            raw.set_result(2)
    else:
        assert raw.fetchone() == (1,)
        assert raw.nextset()
        assert raw.fetchone() == (2,)
        assert not raw.nextset()


@pytest.mark.parametrize(
    ("sql", "rowcount", "status"),
    [
        ("INSERT INTO box SELECT 'a', n FROM generate_series(1, 3) AS n", 3, "INSERT 0 3"),
        ("UPDATE place SET name = name", 1, "UPDATE 1"),
        ("DELETE FROM box", 0, "DELETE 0"),
        ("CREATE TEMPORARY TABLE x ()", -1, "CREATE TABLE"),
        ("SET LOCAL work_mem TO '1MB'", -1, "SET"),
    ],
)
def test_rowcount_and_status_are_those_of_the_users_statement(cursor, sql, rowcount, status):
    cursor.execute(sql)
    assert (cursor.rowcount, cursor.statusmessage) == (rowcount, status)
    cursor.execute("DROP TABLE IF EXISTS pg_temp.x")


def test_executemany_counts_the_rows_of_all(cursor):
    cursor.executemany("INSERT INTO box VALUES (%s, %s)", [["a", "b"], ["c", "d"]])
    assert cursor.rowcount == 2
    assert not cursor.nextset()


def test_no_notice_or_warning_is_sent(cursor):
    notices: list[Any] = []
    connection.connection.add_notice_handler(notices.append)
    try:
        cursor.execute("SELECT name FROM place")
        cursor.executemany("INSERT INTO box VALUES (%s, %s)", [["a", "b"]])
    finally:
        connection.connection.remove_notice_handler(notices.append)
    assert notices == []


# Errors --------------------------------------------------------------------------------------

Failing = Callable[[Any], Any]
FAILING: dict[str, tuple[str, list[Any] | None]] = {
    "unknown column": ("SELECT name,\n  nope\nFROM place", None),
    "with parameters": ("SELECT %s,\n  nope\nFROM place", ["é"]),
    "syntax": ("SELEC 1", None),
    "first character": ("nope", None),
    "second statement": ("SELECT 1;\nSELECT nope", None),
    "behind a comment": ("/* é\n*/ SELECT nope", None),
    "at the end": ("SELECT 1 +", None),
    "long line": (
        "SELECT " + ", ".join("abcdefgh") + ", nope FROM place " + "WHERE true " * 30,
        None,
    ),
    "no position": ("SELECT 1/0", None),
    "inside a function": ("SELECT whereami(),\n nope()", None),
}


@pytest.mark.parametrize("name", FAILING)
def test_error_points_into_the_users_sql_as_by_the_stock_backend(name, make_alias):
    stock = make_alias("stock", engine="django.db.backends.postgresql")
    found = []
    for db in (connection, stock):
        with pytest.raises(DatabaseError) as caught, db.cursor() as cursor:
            cursor.execute(*FAILING[name])
        error = caught.value.__cause__
        found.append((str(caught.value), str(error), error.diag.statement_position, error.sqlstate))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FAILING)
def test_error_points_into_the_users_sql_inside_a_transaction(name, make_alias):
    stock = make_alias("stock", engine="django.db.backends.postgresql")
    found = []
    for db in (connection, stock):
        with transaction.atomic(using=db.alias), db.cursor() as cursor:
            with schema_context("beta"):
                cursor.execute("SELECT 1")
            with pytest.raises(DatabaseError) as caught:
                cursor.execute(*FAILING[name])
            transaction.set_rollback(True, using=db.alias)
        error = caught.value.__cause__
        found.append((str(error), error.diag.statement_position))
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["copy", "stream", "named", "executemany"])
def test_error_of_other_ways_points_as_by_the_stock_backend(method, make_alias):
    stock = make_alias("stock", engine="django.db.backends.postgresql")
    found = []
    for db in (connection, stock):
        with pytest.raises((DatabaseError, psycopg.Error)) as caught:
            _fail(db, method)
        error: Any = caught.value.__cause__ or caught.value
        found.append((str(error), error.diag.statement_position))
    assert found[0] == found[1]


def _fail(db: Any, method: str) -> None:
    db.ensure_connection()
    with db.connection.cursor("held" if method == "named" else "") as cursor:
        if method == "copy":
            with cursor.copy("COPY (SELECT\nnope FROM place) TO STDOUT") as copy:
                list(copy)
        elif method == "stream":
            list(cursor.stream("SELECT\nnope FROM place"))
        elif method == "executemany":
            cursor.executemany("SELECT %s,\nnope FROM place", [[1], [2]])
        else:
            with db.wrap_database_errors, transaction.atomic(using=db.alias):
                cursor.execute("SELECT\nnope FROM place")


def _diagnostic(error: DatabaseError) -> psycopg.errors.Diagnostic:
    assert isinstance(error.__cause__, psycopg.Error)
    return error.__cause__.diag


def test_error_keeps_its_other_fields():
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes_note (title) VALUES (%s)", ["x" * 200])
    diag = _diagnostic(caught.value)
    assert diag.sqlstate == "22001"
    assert diag.severity == "ERROR"
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes_note (title, body) VALUES (nope, 'x')")
    diag = _diagnostic(caught.value)
    assert diag.message_primary == 'column "nope" does not exist'
    assert diag.sqlstate == "42703"


# What is logged ------------------------------------------------------------------------------


def test_connection_queries_show_the_users_sql_only(opened):
    with CaptureQueriesContext(connection) as queries:
        assert Note.objects.filter(title="a").count() == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM place")
            cursor.executemany("INSERT INTO box VALUES (%s, %s)", [["a", "b"], ["c", "d"]])
        list(Note.objects.iterator())
    assert len(queries) == 4
    texts = " ".join(query["sql"] for query in queries)
    for word in ("search_path", "LOCK", "django_migrations", "CONSTRAINTS"):
        assert word not in texts


def test_number_of_queries_is_that_of_the_stock_backend(django_assert_num_queries):
    with django_assert_num_queries(3), transaction.atomic():
        Note.objects.create(title="a")


def test_last_executed_query_is_the_users(cursor):
    cursor.execute("SELECT name FROM place WHERE name = %s", ["é'"])
    text = connection.ops.last_executed_query(cursor, "SELECT %s", ["é'"])
    assert text == "SELECT name FROM place WHERE name = 'é'''"


def test_explain_shows_the_plan_of_the_users_statement(opened):
    assert Note.objects.all().explain().startswith("Seq Scan on notes_note")
    assert "search_path" not in Note.objects.all().explain(analyze=True, verbose=True)


def test_mogrify_shows_the_users_statement():
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        assert cursor.mogrify("SELECT %s", ["x"]) == "SELECT 'x'"

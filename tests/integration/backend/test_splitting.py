"""PostgreSQL is asked whether our reading of quotes and comments is its own."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg import pq

from appschema.backends.statement import read_statement, split_statements

# Fragments of which most texts make no sense, so that those which do are surprising.
FRAGMENT = st.sampled_from(
    [
        *("'", "'", "''", '"', '"', '""', "\\", "E'", "e'", "U&'", "$$", "$a$", "$b$", "$1", "a$b"),
        *("--", "/*", "*/", "*/", ";", ";", "\n", "\r", "\t", " ", " ", ",", "||", "+", "1"),
        *(
            "SELECT ",
            "SELECT 1",
            "COMMIT",
            "END",
            "abort",
            " AS ",
            "x",
            "é",
            "/",
            "*",
            "-",
            "(",
            ")",
        ),
    ]
)
# Texts that are whole until something in a quoted place breaks out of it.
PLACE = st.sampled_from(
    [
        *("'{}'", "E'{}'", "E'a'\n'{}'", "E'a' --\r '{}'", '1 AS "{}x"', "$${}$$", "$a${}$a$"),
        *("1 /*{}*/", "1 --{}\n", "1 --{}\r", "1 AS a${}", "'a'/*{}*/\n'b'", "U&'{}'", "2*/*{}*/3"),
    ]
)
FILLED = st.builds(
    lambda place, parts: "SELECT " + place.replace("{}", "".join(parts)),
    PLACE,
    st.lists(FRAGMENT, max_size=5),
)
TEXT = st.lists(st.one_of(FILLED, FILLED, st.just("COMMIT"), FRAGMENT), max_size=4).map(";".join)


@pytest.fixture(scope="module")
def pgconn(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    with django_db_blocker.unblock():
        params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(
        **{name: params[name] for name in names if name in params}, autocommit=True
    ) as conn:
        conn.execute("SET client_min_messages TO error")
        yield conn.pgconn


def ask(pgconn: Any, text: bytes) -> list[bytes]:
    """Return the tags of the statements that PostgreSQL found, or [] for nonsense."""
    pgconn.send_query(text)
    tags = []
    while result := pgconn.get_result():
        if result.status == pq.ExecStatus.FATAL_ERROR:
            tags.append(b"error")
        elif result.status != pq.ExecStatus.EMPTY_QUERY:
            tags.append(result.command_status)
    return tags


@given(text=TEXT)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck), deadline=None)
def test_statements_and_ends_of_transactions_are_those_that_postgresql_sees(pgconn, text):
    message = text.encode()
    tags = ask(pgconn, message)
    assume(b"error" not in tags)
    assert len(split_statements(message)) == len(tags)
    statement = read_statement(message)
    ends = [tag in (b"COMMIT", b"ROLLBACK") for tag in tags]
    assert statement.ends_transaction is any(ends)
    after = ends[ends.index(True) :] if any(ends) else []
    assert statement.continues is (False in after)
    assert statement.blank is (not tags)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 -- a\r; COMMIT; SELECT 2",
        "-- a\rCOMMIT; SELECT 1",
        "SELECT E'a'\n'\\''; COMMIT; SELECT '1'",
        "SELECT 'begin atomic'; END; SELECT 1",
        "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int BEGIN ATOMIC SELECT 1; END; END; SELECT 1",
        "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 1",
    ],
)
def test_known_traps_are_read_as_by_postgresql(pgconn, text):
    message = text.encode()
    tags = ask(pgconn, message)
    assert b"error" not in tags
    assert len(split_statements(message)) == len(tags)
    assert read_statement(message).ends_transaction is (b"COMMIT" in tags)

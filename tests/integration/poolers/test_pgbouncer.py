"""What works behind PgBouncer, and how what does not work fails: docs/how-to/poolers.md tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from appschema import schema_context
from tests.sample.notes.models import Note


def bodies(rows: Any) -> set[str]:
    return {row.body for row in rows}


def test_named_cursors_of_two_clients_never_meet(
    start_pgbouncer: Callable[..., dict[str, Any]], alias: Callable[..., str]
):
    """Left on outside of transactions, they stay on sessions that others get."""
    settings = start_pgbouncer("transaction", 2, server_round_robin="0")
    settings |= {"DISABLE_SERVER_SIDE_CURSORS": False}
    # To Django's own names two processes are alike, as these two wrappers of one thread are.
    one, two, third = (connections[alias("pooled", **settings)] for _ in range(3))
    with schema_context("leak_a"), closing(one.chunked_cursor()) as cursor_of_one:
        cursor_of_one.execute("SELECT body FROM notes_note")
        with transaction.atomic(third.alias):
            ask(third, "SELECT 1")  # on the session of that cursor
            with schema_context("leak_b"), closing(two.chunked_cursor()) as cursor_of_two:
                cursor_of_two.execute("SELECT body FROM notes_note")
                assert fetch(cursor_of_one) is None
                assert fetch(cursor_of_two) == [("leak_b",)]


def ask(wrapper: Any, sql: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


def fetch(cursor: Any) -> list[Any] | None:
    """Return the rows; None if the session has no such cursor."""
    try:
        return cursor.fetchall()  # type: ignore[no-any-return]
    except DatabaseError as error:
        if re.search(r'cursor "_django_curs_\w+" does not exist', str(error)):
            return None
        raise


def test_statement_mode_refuses_transactions_and_runs_the_rest(
    through_pgbouncer: Callable[..., str],
):
    wrapper = connections[through_pgbouncer("statement", 2)]
    notes = Note.objects.using(wrapper.alias)
    with schema_context("leak_a"):
        with pytest.raises(DatabaseError, match="transaction blocks not allowed in statement"):
            with transaction.atomic(wrapper.alias):
                notes.create(title="w", body="leak_a")
    wrapper.close()  # as Django does at the end of a request in which it has met an error
    for name in ("leak_a", "leak_b"):
        with schema_context(name):
            assert list(notes.values_list("title", "body")) == [("own", name)]

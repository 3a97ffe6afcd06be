"""What the benchmark of fleet migrations does with psycopg alone: the same DDL, and looking at all schemas."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg

from appschema.names import quote_identifier

HOLDS = """
SELECT (SELECT count(*) FILTER (WHERE relkind = 'r') || ', ' || count(*) FILTER (WHERE relkind = 'i')
          FROM pg_class WHERE relnamespace = %(name)s::regnamespace)
    || ', ' || (SELECT count(*) FROM pg_constraint
                 WHERE connamespace = %(name)s::regnamespace AND contype = 'f')
    || ', ' || (SELECT count(*) FROM {schema}.django_migrations)
    || ', ' || (SELECT count(*) FROM {schema}.auth_permission)
"""
STATE = """
SELECT (SELECT array_agg(name::text ORDER BY id) FROM {schema}.django_migrations WHERE app = 'releases'),
       (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = '{schema}.releases_article'::regclass AND attnum > 3 AND NOT attisdropped),
       (SELECT count(*) FROM pg_index
         WHERE indrelid = '{schema}.releases_article'::regclass AND indisvalid),
       (SELECT array_agg(DISTINCT score) FROM {schema}.releases_article)
"""

Send = Callable[[psycopg.Connection[Any], str], None]


def send_to_each(url: str, schemas: Sequence[str], statements: Sequence[str], width: int) -> float:
    """Send *statements* to each schema as one message and one transaction; return the seconds.

    There are *width* connections, each with a thread. They are made before time starts.
    """
    text = ";".join(statements)

    def send(connection: psycopg.Connection[Any], schema_name: str) -> None:
        path = f"SET LOCAL search_path TO {quote_identifier(schema_name)}, public"
        connection.execute(f"BEGIN;{path};{text};COMMIT".encode())

    return _in_threads(url, schemas, send, width)


def make_each(url: str, schemas: Sequence[str], render: Callable[[str], str], width: int) -> None:
    """Make each schema of the text that *render* returns for its name."""

    def send(connection: psycopg.Connection[Any], schema_name: str) -> None:
        connection.execute(f"BEGIN;{render(schema_name)};COMMIT".encode())

    _in_threads(url, schemas, send, width)


def _in_threads(url: str, schemas: Sequence[str], send: Send, width: int) -> float:
    left, lock = iter(schemas), threading.Lock()

    def run(connection: psycopg.Connection[Any]) -> None:
        while True:
            with lock:
                name = next(left, None)
            if name is None:
                return
            send(connection, name)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(width))
        connections = [
            stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None))
            for _ in range(width)
        ]
        begun = time.perf_counter()
        list(pool.map(run, connections))
        return time.perf_counter() - begun


def states(url: str, schemas: Sequence[str]) -> list[list[Any]]:
    """Return what is in the app of the releases, each different answer once.

    Its records, the fields that were added, how many valid indexes there are, and the scores.
    """
    found: list[list[Any]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for name in schemas:
            sql = STATE.format(schema=quote_identifier(name))
            state = list(connection.execute(sql.encode()).fetchone() or ())
            if state not in found:
                found.append(state)
    return found


def holds(url: str, schema_name: str) -> str:
    """Return how many tables, indexes, foreign keys, records and permissions a schema has."""
    sql = HOLDS.format(schema=quote_identifier(schema_name))
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.encode(), {"name": schema_name}).fetchone()
    return str(row[0]) if row else ""

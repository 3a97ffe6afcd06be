"""A database of a test's own, and what is asked of it."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import ClientCursor
from psycopg.conninfo import make_conninfo

from appschema.catalog import SchemaSnapshot, Script, read_rows, read_schema, write_schema
from appschema.catalog.canonical import canonical
from appschema.names import quote_identifier
from tests.server import URL
from tools.postgres import find_binaries

NUMBERS = count()
COPY, WRITTEN = "The-Copy", "Written-To"
_NOISE = re.compile(r"(?m)^(\\(un)?restrict .*|SET transaction_timeout.*|-- Dumped .*|)\n")


class Database:
    """What the tests ask of the database, over a connection that knows nothing of schemas."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, cursor_factory=ClientCursor)

    @property
    def version(self) -> int:
        return self.connection.info.server_version // 10_000

    def run(self, statements: str) -> None:
        """Send SQL, and commit."""
        self.connection.execute(statements)
        self.connection.commit()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        found = self.connection.execute(query, parameters or None).fetchall()
        self.connection.rollback()
        return found

    def value(self, query: str, *parameters: object) -> Any:
        return self.rows(query, *parameters)[0][0]

    def read(self, name: str) -> SchemaSnapshot:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            return read_schema(cursor, name)

    def script(self, name: str) -> Script:
        """Return what makes a copy with rows."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            snapshot = read_schema(cursor, name)
            return write_schema(snapshot, read_rows(cursor, snapshot))

    def data(self, name: str) -> tuple[str, ...]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            return read_rows(cursor, read_schema(cursor, name))

    def make(self, script: Script, name: str) -> None:
        self.run(script.render(name))

    def dump(self, name: str) -> str:
        """Return what pg_dump says of a schema, which is called ``source`` in what is returned."""
        program = find_binaries().bin / "pg_dump"
        command = [str(program), "--schema-only", "-n", quote_identifier(name), self.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        text = canonical(_NOISE.sub("", done.stdout))
        return text.replace(quote_identifier(name), "source").replace(name, "source")

    def drop(self, name: str) -> None:
        self.run(f"DROP SCHEMA IF EXISTS {quote_identifier(name)} CASCADE")


def difference(one: str, other: str) -> str:
    """Return in which lines two dumps differ, for a person; empty if they do not."""
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=1)
    return "\n".join(lines)


@contextmanager
def new_database() -> Iterator[Database]:
    server = os.environ[URL]
    name = f"appschema_catalog_{os.getpid()}_{next(NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    database = Database(make_conninfo(server, dbname=name))
    try:
        yield database
    finally:
        database.connection.close()
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

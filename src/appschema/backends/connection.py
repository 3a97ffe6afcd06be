"""The psycopg connection whose cursors send every statement in its envelope.

Its ``cursor_factory`` stays what was configured, since others read it; the envelope is put on
where a cursor is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq

from appschema.conf import get_config

from .bindings import in_envelope
from .envelope import Envelope
from .named_cursors import ServerSideCursor
from .transaction import TransactionPath

if TYPE_CHECKING:
    _Connection = psycopg.Connection[Any]
else:
    _Connection = object

Opener = Callable[[Envelope], AbstractContextManager[psycopg.Connection[Any]]]


class EnvelopeConnectionMixin(_Connection):
    """Makes cursors that send the envelope, and watches psycopg's own transaction commands."""

    is_bare = False
    """Make plain cursors, for what Django does to a connection as such."""

    transaction_path: TransactionPath
    """What is known of the path inside the open transaction; use it with the lock held."""

    keeps_ledger = False
    """Whether the database is known to have the table in which ``fleet.know.entries`` keeps what is applied."""

    database_name = ""
    """The database's name as PostgreSQL knows it; a pooler may know it by another."""

    owner_role = "none"
    """The role that owns the tables, if it is another than the one that logs in."""

    touched_schemas: set[str | None]
    """The schemas under which statements were sent: PostgreSQL keeps what it learns of each."""

    touched_in_part = 0.0
    """How many schemas those come to of which it has learnt a few tables only."""

    budget: float
    """After how many of them it is to be renewed."""

    open_alone: WeakMethod[Opener]
    """Opens a connection for one statement that PostgreSQL refuses beside an envelope."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server_cursor_factory = ServerSideCursor
        self.transaction_path = TransactionPath()
        self.touched_schemas = set()
        self.budget = _draw_budget()

    @property
    def is_spent(self) -> bool:
        """Tell whether it has touched as many schemas as APPSCHEMA_CONNECTION_SCHEMAS allows."""
        return len(self.touched_schemas) + self.touched_in_part > self.budget

    def cursor(
        self, name: str = "", *, binary: bool = False, row_factory: Any = None, **kwargs: Any
    ) -> Any:
        if name or self.is_bare:
            return super().cursor(name, binary=binary, row_factory=row_factory, **kwargs)
        self._check_connection_ok()
        factory: Any = self.cursor_factory
        cursor = in_envelope(factory)(self, row_factory=row_factory or self.row_factory)
        if binary:
            cursor.format = pq.Format.BINARY
        return cursor

    def _exec_command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        # COMMIT, ROLLBACK, SAVEPOINT and so on of psycopg itself: our cursors do not see them.
        result = yield from super()._exec_command(command, *args, **kwargs)
        if self.pgconn.transaction_status == pq.TransactionStatus.IDLE or _begins(command):
            self.transaction_path.begin()
        else:
            self.transaction_path.forget()
        return result


def _draw_budget() -> float:
    budget = get_config().connection_schemas
    # Connections that were opened together must not all be renewed together.
    return math.inf if budget is None else round(budget * random.uniform(0.75, 1.25))  # noqa: S311 - no secret


def _begins(command: Any) -> bool:
    return isinstance(command, bytes) and command.startswith(b"BEGIN")


class Connection(EnvelopeConnectionMixin, psycopg.Connection[Any]):
    """psycopg's connection, in the envelope."""


@cache
def connection_in_envelope(kind: Any) -> Any:
    """Return the connection class *kind* with the envelope, for a pool.

    Its connections are bare until somebody takes one: the pool's check, older ones' "SELECT 1", runs in
    the thread, and so in the schema, of whoever waits for a connection.
    """
    if issubclass(kind, EnvelopeConnectionMixin):
        return kind
    namespace = {"__module__": kind.__module__, "__doc__": kind.__doc__, "is_bare": True}
    return type(kind.__name__, (EnvelopeConnectionMixin, kind), namespace)


@contextmanager
def without_envelope(connection: Any) -> Iterator[None]:
    """Let *connection* make plain cursors, for its set-up and its checks.

    Only for statements that resolve no name in a schema.
    """
    found = connection.is_bare
    connection.is_bare = True
    try:
        yield
    finally:
        connection.is_bare = found


def end_users_path(connection: BaseDatabaseWrapper) -> None:
    """Let a path that the user's SQL has set end here, and not with the transaction.

    A migration may set one for its own statements; its record belongs in the schema all the same, and
    the next migration may share its transaction.
    """
    if connection.connection is not None:
        connection.connection.transaction_path.forget()


def send_bare(connection: BaseDatabaseWrapper, text: str) -> None:
    """Send statements in one message as they are; they name their schema, or set the path themselves.

    Nobody reads their megabytes to tell what they are. Inside a transaction they run as the role of
    the statement before, outside as the one that connects. What a session has learnt of a schema
    by them is not counted, unless the caller adds it to ``touched_schemas`` or ``touched_in_part``.
    """
    connection.ensure_connection()
    psycopg_connection: Any = connection.connection
    with (
        connection.wrap_database_errors,
        without_envelope(psycopg_connection),
        psycopg_connection.cursor() as cursor,
    ):
        cursor.execute(text, prepare=False)

"""Named cursors, which PostgreSQL holds, in the envelope of their DECLARE."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from django.db.backends.postgresql.base import CursorMixin
from psycopg import pq, sql
from psycopg.client_cursor import ClientCursorMixin
from psycopg.generators import execute

from appschema.context import current_schema

from .bindings import ClientBindingMixin
from .cursors import EnvelopeMixin
from .envelope import Envelope, make_envelope
from .errors import schema_error

if TYPE_CHECKING:
    _NamedCursor = psycopg.ServerCursor[Any]
else:
    _NamedCursor = object


class NamedCursorMixin(EnvelopeMixin, _NamedCursor):
    """For cursors that PostgreSQL holds, and that are fetched from in pages."""

    _declared: Envelope | None = None

    def _compose(self, query: Any) -> Envelope | None:
        envelope = super()._compose(query)
        self._declared = make_envelope(current_schema(), query.query, self._conn)  # type: ignore[arg-type]
        return envelope

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        try:
            # Not EnvelopeMixin's: a DECLARE is never refused beside its envelope.
            return super(EnvelopeMixin, self).execute(query, params, **kwargs)
        except psycopg.Error as error:
            raise schema_error(error) from error.__cause__

    def _describe_gen(self) -> Any:
        self._hidden = 0  # _declare_gen() has looked at the last result only, the DECLARE's
        yield from super()._describe_gen()

    def _fetch_gen(self, num: int | None) -> Any:
        if self.closed or not self._described or not self._runs_code():
            return (yield from super()._fetch_gen(num))
        count = sql.SQL("ALL") if num is None else sql.Literal(num)
        result = yield from self._command_gen(
            sql.SQL("FETCH FORWARD {} FROM {}").format(count, sql.Identifier(self._name))
        )
        self.pgresult = result
        self._tx.set_pgresult(result, set_loaders=False)
        return self._tx.load_rows(0, result.ntuples, self._make_row)

    def _scroll_gen(self, value: int, mode: str) -> Any:
        if mode not in ("relative", "absolute") or not self._runs_code():
            yield from super()._scroll_gen(value, mode)
            return
        absolute = sql.SQL("ABSOLUTE " if mode == "absolute" else "")
        yield from self._command_gen(
            sql.SQL("MOVE {}{} FROM {}").format(
                absolute, sql.Literal(value), sql.Identifier(self._name)
            )
        )

    def _runs_code(self) -> bool:
        """Tell whether fetching evaluates the query: one that is held is evaluated already."""
        return bool(self._pgconn.transaction_status == pq.TransactionStatus.INTRANS)

    def _command_gen(self, command: sql.Composed) -> Any:
        """Send a command on this cursor under the path of its DECLARE."""
        # A cursor that somebody else declared is fetched under the current schema.
        declared = self._declared or make_envelope(current_schema(), sender=self._conn)  # type: ignore[arg-type]
        envelope = self._compose_inside(declared)
        prefix = envelope.sql if envelope else b""
        self._pgconn.send_query(prefix + command.as_bytes(self))
        results = yield from execute(self._pgconn)
        self._check_envelope(results)
        return results[-1]


class ServerSideCursor(
    CursorMixin,
    NamedCursorMixin,
    ClientBindingMixin,
    ClientCursorMixin[Any, Any],
    psycopg.ServerCursor[Any],
):
    """The named cursor of ``QuerySet.iterator()``: DECLARE travels with its path."""


class BoundServerSideCursor(CursorMixin, NamedCursorMixin, psycopg.ServerCursor[Any]):
    """The same for ``server_side_binding``, inside a transaction.

    The parameters of its DECLARE are bound by the server, so that the path goes ahead in a
    message of its own.
    """

    def _start_query(self, query: Any = None) -> Any:
        yield from super()._start_query(query)
        if query is None:
            return
        # psycopg has composed it already: "DECLARE ... FOR" and the user's query.
        composed = SimpleNamespace(query=query.as_bytes(self))
        if envelope := self._compose(composed):
            self._pgconn.send_query(envelope.sql)
            self._check_envelope((yield from execute(self._pgconn)))

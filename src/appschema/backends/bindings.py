"""Cursors by who puts the parameters into the text: psycopg (Django's default), or the server."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg import pq, sql
from psycopg.client_cursor import ClientCursorMixin
from psycopg.generators import execute

from appschema.exceptions import UnsafeStatement

from .cursors import EnvelopeMixin

_TEXT = pq.Format.TEXT


class ClientBindingMixin(EnvelopeMixin):
    """For cursors that merge the parameters into the text (Django's default)."""

    def _execute_send(
        self, query: Any, *, force_extended: bool = False, binary: bool | None = None
    ) -> None:
        if self._conn._pipeline:
            self._queue(query)
        elif binary is False or (binary is None and self.format == _TEXT):
            self._send_in_envelope(query)
            return
        super()._execute_send(query, force_extended=force_extended, binary=binary)


class ServerBindingMixin(EnvelopeMixin):
    """For cursors whose parameters are bound by the server, one statement a message."""

    _ahead = False  # the envelope of this statement has been sent or queued

    def _execute_carried(
        self,
        query: Any,
        params: Any,
        *,
        prepare: bool | None,
        binary: bool | None,
    ) -> Any:
        wants_binary = binary or (binary is None and self.format == pq.Format.BINARY)
        simple = not (params or prepare or wants_binary) and isinstance(
            query, str | bytes | sql.Composable
        )
        if simple or not self._is_outside():
            return super()._execute_carried(query, params, prepare=prepare, binary=binary)
        # Outside a transaction a pipeline is what keeps the path and the statement together.
        with self._conn.pipeline():
            super()._execute_carried(query, params, prepare=prepare, binary=binary)
        return self

    def _maybe_prepare_gen(
        self, pgq: Any, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Any:
        self._ahead = True
        self._hidden, self._prefix = 0, b""
        if self._conn._pipeline:
            self._queue(pgq)
        elif pgq.params or prepare or binary or self.format == pq.Format.BINARY:
            yield from self._send_ahead_gen(pgq)
        else:
            # In front of the text, which a prepared statement would not allow.
            self._ahead, prepare = False, False
        try:
            yield from super()._maybe_prepare_gen(pgq, prepare=prepare, binary=binary)
        finally:
            self._ahead = False

    def _send_ahead_gen(self, pgq: Any) -> Any:
        """Send the envelope as a message of its own into the open transaction."""
        envelope = self._compose(pgq)
        if envelope is None:
            return
        if self._pgconn.transaction_status == pq.TransactionStatus.IDLE:
            raise UnsafeStatement(
                "With OPTIONS['server_side_binding'] this statement cannot carry its schema outside"
                " a transaction. Put it into transaction.atomic()."
            )
        self._pgconn.send_query(envelope.sql)
        self._check_envelope((yield from execute(self._pgconn)))

    def _execute_send(
        self, query: Any, *, force_extended: bool = False, binary: bool | None = None
    ) -> None:
        extended = query.params or binary or self.format == pq.Format.BINARY
        if self._ahead or self._conn._pipeline or extended:
            super()._execute_send(query, force_extended=force_extended, binary=binary)
        else:
            self._send_in_envelope(query)

    def _stream_send_gen(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        if params or kwargs.get("binary") or self.format == pq.Format.BINARY:
            raise UnsafeStatement(
                "With OPTIONS['server_side_binding'], stream() cannot carry its schema with"
                " parameters. Use a named cursor, or .iterator() of a queryset."
            )
        yield from super()._stream_send_gen(query, params, **kwargs)


@cache
def in_envelope(factory: Any) -> Any:
    """Return the cursor class *factory* with the envelope."""
    if issubclass(factory, EnvelopeMixin):
        return factory
    client = issubclass(factory, ClientCursorMixin)
    mixin = ClientBindingMixin if client else ServerBindingMixin
    namespace: dict[str, Any] = {"__module__": factory.__module__, "__doc__": factory.__doc__}
    if client:
        # What the mixin's own would call: one call less with every statement.
        namespace["_execute_carried"] = factory.execute
    return type(factory.__name__, (mixin, factory), namespace)

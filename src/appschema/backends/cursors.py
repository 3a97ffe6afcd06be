"""psycopg cursors that send every statement in its envelope.

They build on the generators that psycopg's own cursors are made of; the names with a leading
underscore are psycopg's. They are the same from psycopg 3.2 to 3.3, and the suite runs on both.

How each kind of statement carries the schema:

* simple query protocol (Django's default, and named cursors): in front, in the same message;
* ``executemany`` and ``connection.pipeline()``: as commands of their own, ahead in the pipeline;
* parameters bound by the server: ahead in a pipeline, or in a message of its own when a
  transaction is open;
* FETCH and MOVE: in front, with the schema under which the cursor was declared;
* what PostgreSQL refuses beside other statements: alone, on a connection that is opened for it.

The current schema is read when a statement is sent, never when the cursor is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer
from psycopg.client_cursor import ClientCursorMixin
from psycopg.generators import execute, fetch

from appschema.context import current_schema, get_current
from appschema.exceptions import UnsafeStatement
from appschema.names import PUBLIC

from .envelope import (
    Envelope,
    Reading,
    envelope_of,
    make_envelope,
    plain_envelope,
    read_template,
)
from .errors import hide_prefix, schema_error
from .statement import LONGEST_REMEMBERED, configures_null, is_one, read_statement
from .transaction import TransactionPath

if TYPE_CHECKING:
    _Cursor = psycopg.Cursor[Any]
else:  # The mixins come before psycopg's classes, and must not bring a second copy of them.
    _Cursor = object

_IDLE = pq.TransactionStatus.IDLE
_INTRANS = pq.TransactionStatus.INTRANS
_INERROR = pq.TransactionStatus.INERROR
_FATAL = pq.ExecStatus.FATAL_ERROR


class EnvelopeMixin(_Cursor):
    """What all cursors share: composing the envelope, and hiding it from the caller."""

    own_schema_only = False
    """Leave the default path out (introspection)."""

    _hidden = 0  # results of the envelope that stand before those of the statement
    _prefix = b""  # what was sent in front of the statement
    _opened = False  # this executemany() has sent its envelope
    _bare = False  # this statement goes without one

    @property
    def _transaction_path(self) -> TransactionPath:
        path: TransactionPath = self._conn.transaction_path  # type: ignore[attr-defined]
        return path

    def _compose(self, query: Any) -> Envelope | None:
        """Return the envelope that *query* is to be sent in, if any."""
        if self._bare:
            return None
        template = getattr(query, "template", None) or query.query
        schema_name = get_current()
        self._conn.touched_schemas.add(schema_name)  # type: ignore[attr-defined]
        status = self._pgconn.transaction_status
        # The short way of nearly all statements, for speed: outside a transaction nothing is known
        # of the path and nothing is to be remembered, and inside nothing may have changed.
        if not self.own_schema_only and self._conn._pipeline is None:
            envelope = plain_envelope(template, schema_name, self._conn)  # type: ignore[arg-type]
            if envelope is not None and (
                status == _IDLE
                or (
                    status == _INTRANS
                    and self._transaction_path.stands(envelope.holder, envelope.path)
                )
            ):
                return envelope
        return self._compose_with_care(query, read_template(template), schema_name, status)

    def _compose_with_care(
        self, query: Any, reading: Reading, schema_name: str | None, status: int
    ) -> Envelope | None:
        statement = reading.statement
        known = self._transaction_path
        if status == _IDLE:
            known.begin()
        if statement.continues:
            _refuse_continued(schema_name, outside=status == _IDLE)
        if statement.ends_transaction:
            known.forget()
        # A failed transaction accepts only what ends it, and that runs under the path which its
        # pending triggers belong to.
        if statement.blank or statement.controls or status == _INERROR:
            return None
        envelope = envelope_of(
            schema_name,
            reading.tables,
            self._conn,  # type: ignore[arg-type]
            default_path=not self.own_schema_only,
            creates_extension=statement.creates_extension,
        )
        configures_path = statement.sets_config and _names_path(query)
        if statement.resets_path or (configures_path and _gives_null(query)):
            if statement.calls or not is_one(query.query):
                _refuse_reset(schema_name)
            # What is pending fires now: at COMMIT it would run under the session's path.
            known.forget()
            known.carry((None, envelope.role), envelope.path)
            return envelope.firing()
        sent = self._compose_inside(envelope, sets_path=statement.sets_path or configures_path)
        if statement.ends_transaction:
            # Once more: the end takes back what this envelope sets, and a path that the text names.
            known.forget()
        return sent

    def _compose_inside(self, envelope: Envelope, *, sets_path: bool = False) -> Envelope | None:
        """Return the envelope inside a transaction, where a path may stand already.

        A text may begin one itself, so this is asked outside as well.
        """
        known = self._transaction_path
        if known.is_users(envelope.path):
            # The path stays the user's, but a both app's table that is missing is refused still, and
            # a role that the user has set stays only for one statement.
            is_needed = envelope.locked[1:] or envelope.read or envelope.role is not None
            return envelope.without_path() if is_needed else None
        firing = known.may_hold_triggers_of_another(envelope.holder)
        known.carry(envelope.holder, envelope.path)
        # In a pipeline the transaction may end unseen, at the next Sync.
        if sets_path and self._conn._pipeline is None:
            known.yield_to_user()
        return envelope.firing() if firing else envelope

    def _queue(self, query: Any) -> None:
        """Put the envelope of *query* into the open pipeline, once for an executemany()."""
        if self._execmany_returning is not None and self._opened:
            return
        self._opened = True
        self._hidden, self._prefix = 0, b""
        envelope = self._compose(query)
        if envelope is None:
            return
        if read_statement(query.query).calls and self._conn.autocommit:
            raise UnsafeStatement(
                "CALL and DO may commit, after which the rest of the procedure would not run in the"
                f" schema {current_schema()!r} that this pipeline carries. Send it with"
                " cursor.execute(), or inside transaction.atomic()."
            )
        pipeline = self._conn._pipeline
        assert pipeline is not None
        for each in envelope.queued_statements:
            pipeline.command_queue.append(partial(self._pgconn.send_query_params, each, None))
            pipeline.result_queue.append(None)

    def _send_in_envelope(self, query: Any) -> None:
        """Send *query* and its envelope as one message of the simple query protocol."""
        self._query = query
        # A cursor may still hold what it had for a statement that was interrupted.
        self._hidden, self._prefix = 0, b""
        text = query.query
        if envelope := self._compose(query):
            self._hidden, self._prefix = len(envelope.statements), envelope.sql
            text = envelope.sql + text
        self._pgconn.send_query(text)

    def _check_results(self, results: list[Any]) -> None:
        if hidden := self._hidden:
            self._hidden = 0
            # PostgreSQL stops at the first error: if a result of the statement itself is there,
            # those of the envelope before it are good.
            if len(results) <= hidden:
                self._check_envelope(results)
            del results[:hidden]
        super()._check_results(results)

    def _check_envelope(self, results: Iterable[Any]) -> None:
        for result in results:
            if result.status == _FATAL:
                error = errors.error_from_result(result, encoding=self._encoding)
                # A syntax error of the user's is the one result of the whole message.
                hide_prefix(error, self._prefix.decode())
                raise error

    def _raise_for_result(self, result: Any) -> Any:
        try:
            super()._raise_for_result(result)
        except psycopg.Error as error:
            if self._prefix:
                hide_prefix(error, self._prefix.decode())
            raise

    def execute(
        self,
        query: Any,
        params: Any = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Any:
        if _may_go_alone(query) and self._is_outside():
            of_the_server = read_statement(_text_of(query, self)).of_the_server
            return self._execute_alone(query, params, of_the_server=of_the_server)
        try:
            return self._execute_carried(query, params, prepare=prepare, binary=binary)
        except (errors.ActiveSqlTransaction, errors.InvalidTransactionTermination):
            # It has done nothing yet: with the envelope it was one transaction, unless it ended it.
            if not self._is_outside() or read_statement(_text_of(query, self)).ends_transaction:
                raise
            return self._execute_alone(query, params)
        except psycopg.Error as error:
            raise schema_error(error) from error.__cause__

    def _execute_carried(
        self, query: Any, params: Any, *, prepare: bool | None, binary: bool | None
    ) -> Any:
        return super().execute(query, params, prepare=prepare, binary=binary)

    def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> Any:
        self._opened = False
        try:
            return super().executemany(query, params_seq, **kwargs)
        except psycopg.Error as error:
            raise schema_error(error) from error.__cause__

    def _is_outside(self) -> bool:
        """Tell whether the next statement would be a transaction of its own."""
        conn = self._conn
        return (
            conn.autocommit and self._pgconn.transaction_status == _IDLE and conn._pipeline is None
        )

    def _execute_alone(self, query: Any, params: Any, *, of_the_server: bool = False) -> Any:
        """Send what PostgreSQL refuses beside an envelope.

        It goes over a connection that is opened for it with the path among its startup options, so
        that no session that others use is ever changed, or relied on.
        """
        if of_the_server:
            self._bare = True
            try:
                return super().execute(query, params)
            finally:
                self._bare = False
        envelope = make_envelope(current_schema(), _text_of(query, self), self._conn)  # type: ignore[arg-type]
        try:
            with self._conn.open_alone()(envelope) as connection:  # type: ignore[attr-defined]
                cursor = connection.execute(query, params)
                self._reset()
                self._tx = Transformer(self)
                self._results[:] = cursor._results
                self._select_current_result(0)
        except psycopg.Error as error:
            raise schema_error(error) from error.__cause__
        return self

    def _start_copy_gen(self, statement: Any, params: Any = None) -> Any:
        # As psycopg's, which accepts no result before that of the COPY.
        if self._conn._pipeline:
            raise psycopg.NotSupportedError("COPY cannot be used in pipeline mode")
        yield from self._start_query()
        client = ClientCursorMixin._query_cls(self._tx)
        client.convert(statement, params or None)
        envelope = self._compose(client)
        prefix = envelope.sql if envelope else b""
        self._query, self._prefix, self._hidden = client, prefix, 0
        self._pgconn.send_query(prefix + client.query)
        results = yield from execute(self._pgconn)
        if envelope:
            try:
                self._check_envelope(results[: len(envelope.statements)])
            except psycopg.Error as error:
                raise schema_error(error) from None
            del results[: len(envelope.statements)]
        if len(results) != 1:
            raise psycopg.ProgrammingError("COPY cannot be mixed with other operations")
        if results[0].status == _FATAL:
            self._raise_for_result(results[0])
        self._check_copy_result(results[0])
        self._set_results(results)

    def _stream_send_gen(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        yield from super()._stream_send_gen(query, params, **kwargs)
        hidden, self._hidden = self._hidden, 0
        for _ in range(hidden):
            result = yield from fetch(self._pgconn)
            if result is not None and result.status == _FATAL:
                while (yield from fetch(self._pgconn)) is not None:
                    pass
                try:
                    self._check_envelope([result])
                except psycopg.Error as error:
                    raise schema_error(error) from None


def _may_go_alone(query: Any) -> bool:
    """Tell whether *query* is to be sent without the envelope's text, outside a transaction."""
    if type(query) is str and len(query) <= LONGEST_REMEMBERED:
        return _goes_alone_cached(query)
    return isinstance(query, str | bytes) and _goes_alone(query)


def _goes_alone(query: str | bytes) -> bool:
    statement = read_statement(query.encode() if isinstance(query, str) else query)
    return statement.goes_alone or statement.of_the_server


# By the text as it is: to encode it first would cost more than the look.
_goes_alone_cached = lru_cache(maxsize=4096)(_goes_alone)


def _text_of(query: Any, cursor: Any) -> bytes:
    if isinstance(query, str):
        return query.encode()
    return query if isinstance(query, bytes) else bytes(query.as_bytes(cursor))


def _names_path(query: Any) -> bool:
    values = getattr(query, "params", None) or ()
    texts = [query.query, *(bytes(value) for value in values if value is not None)]
    return any(b"search_path" in text.lower() for text in texts)


def _gives_null(query: Any) -> bool:
    return None in (query.params or ()) or configures_null(query.query)


def _refuse_reset(schema_name: str | None) -> None:
    if schema_name not in (None, PUBLIC):
        raise UnsafeStatement(
            "The SQL text takes search_path back and does something else too, which would not be"
            f" held to the schema {schema_name!r}. Send the RESET as a statement of its own."
        )


def _refuse_continued(schema_name: str | None, *, outside: bool) -> None:
    if outside and schema_name in (None, PUBLIC):
        return
    where = "in public" if schema_name in (None, PUBLIC) else f"in the schema {schema_name!r}"
    raise UnsafeStatement(
        "The SQL text ends a transaction or rolls back to a savepoint and goes on with other"
        f" statements, which would not run {where}. Send them separately."
    )

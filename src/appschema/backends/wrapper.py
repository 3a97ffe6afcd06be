"""What appschema adds to Django's DatabaseWrapper for PostgreSQL, and for PostGIS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql.base import TIMESTAMPTZ_OID, DatabaseWrapper
from django.db.backends.postgresql.psycopg_any import register_tzloader
from psycopg.pq import Format, TransactionStatus

from appschema.conf import get_config
from appschema.context import in_current_schema
from appschema.exceptions import UnsafeStatement
from appschema.names import quote_identifier, quote_option

from .connection import Connection, connection_in_envelope, without_envelope
from .envelope import Envelope
from .named_cursors import BoundServerSideCursor, ServerSideCursor

if TYPE_CHECKING:
    _Base = DatabaseWrapper
else:
    _Base = object


_database_names: dict[tuple[bytes, ...], str] = {}
_DJANGOS_CURSOR = "_django_curs_"
_GO_DIRECTLY = (
    "Run it with settings that connect directly to PostgreSQL; docs/how-to/poolers.md shows them."
)


class _Unnamed:
    """A callback without a name, such as a partial, as *bound* to its schema.

    Its text is made when Django logs a failure and not before: that of its arguments may be a query.
    """

    def __init__(self, callback: Any, bound: Any) -> None:
        self._callback = callback
        self._bound = bound

    def __call__(self) -> Any:
        return self._bound()

    def __getattr__(self, name: str) -> str:
        # Django before 6.1 fails to log what lacks it.
        if name == "__qualname__":
            return str(self._callback)
        raise AttributeError(name)


class DatabaseWrapperMixin(_Base):
    """A connection whose every statement carries the current schema."""

    runs_query = False
    """Set while a query is compiled to be run, and not only to be shown (see ``compiler``)."""

    beside: Any = None
    """A session that is open beside this one for the locks of ``fleet.turn``, if one is."""

    # Django connects through this name, and takes the classes of errors from it.
    Database = SimpleNamespace(**{**vars(psycopg), "connect": Connection.connect})  # type: ignore[assignment]

    @property
    def pool(self) -> Any:
        # Django asks with every cursor; most projects have none.
        if not self.settings_dict["OPTIONS"].get("pool"):
            return None
        pool = super().pool
        if pool is not None:
            pool.connection_class = connection_in_envelope(pool.connection_class)
        return pool

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.open_alone = WeakMethod(self._open_alone)
        # The maintenance database has no schemas of ours.
        connection.is_bare = self.alias == NO_DB_ALIAS
        return connection

    def _close(self) -> None:
        if self.connection is not None and self.pool is not None:
            # For the pool's check and reset, until somebody takes the connection again.
            self.connection.is_bare = True
            if self.connection.is_spent:
                # As after its max_lifetime, so that the pool makes another without a warning.
                self.connection._expire_at = 0.0
        super()._close()  # type: ignore[misc]

    def close_if_unusable_or_obsolete(self) -> None:
        super().close_if_unusable_or_obsolete()
        connection: Any = self.connection
        # Asked twice with every request, so without a call in Python. What was touched in part was so by
        # migrate, which looks by itself.
        if connection is not None and len(connection.touched_schemas) > connection.budget:
            self.renew_if_spent()

    def renew_if_spent(self) -> None:
        """Close the connection, between two units of work, if it has touched too many schemas.

        A server process keeps what it has learnt of every table until it ends; the next query
        opens another one.
        """
        connection: Any = self.connection
        if connection is not None and not self.in_atomic_block and connection.is_spent:
            self.close()

    def create_cursor(self, name: str | None = None) -> Any:
        # Django's own would be right for most cursors; a call less with every query is worth these.
        cursor = self._create_named_cursor(name) if name else self.connection.cursor()
        loader = self.connection.adapters.get_loader(TIMESTAMPTZ_OID, Format.TEXT)
        if self.timezone != loader.timezone:
            register_tzloader(self.timezone, cursor)
        return cursor

    def _create_named_cursor(self, name: str) -> Any:
        if name.startswith(_DJANGOS_CURSOR):
            # Django's number is of the thread, and forked processes have the same: behind a pooler
            # two of them could meet in one session, and one read the rows of the other's schema.
            name = f"{_DJANGOS_CURSOR}{secrets.token_hex(8)}"
        # In autocommit mode the cursor outlives the statement's own transaction, and its DECLARE
        # must travel with the path: then the parameters are always merged into the text. Not so
        # inside psycopg's own block: its COMMIT would run the rest of the query under any path.
        outside = self.connection.info.transaction_status == TransactionStatus.IDLE
        withhold = self.connection.autocommit and outside
        bound = self.settings_dict["OPTIONS"].get("server_side_binding") is True and not withhold
        cursor_class = BoundServerSideCursor if bound else ServerSideCursor
        return cursor_class(self.connection, name=name, scrollable=False, withhold=withhold)

    def on_commit(self, func: Any, robust: bool = False) -> None:
        if callable(func):
            # The scope in which it is registered has often ended before the COMMIT.
            bound = in_current_schema(func)
            func = bound if hasattr(func, "__qualname__") else _Unnamed(func, bound)
        super().on_commit(func, robust)

    def _configure_connection(self, connection: Any) -> bool:
        with without_envelope(connection):
            changed = bool(super()._configure_connection(connection))  # type: ignore[misc]
            return self._learn_names(connection) or changed

    def _learn_names(self, connection: Any) -> bool:
        """Let the connection know what the names of its roles are made of; tell if it was asked."""
        connection.owner_role = self.settings_dict["OPTIONS"].get("assume_role") or "none"
        connection.database_name = connection.pgconn.db.decode()
        if not get_config().roles or self.alias == NO_DB_ALIAS:
            return False
        # A pooler may know the database by another name. It is asked for once in a process.
        pgconn = connection.pgconn
        key = (pgconn.host, pgconn.port, pgconn.db)
        if asks := key not in _database_names:
            (name,) = connection.execute("SELECT pg_catalog.current_database()").fetchone()
            _database_names[key] = name
        connection.database_name = _database_names[key]
        return asks

    def ensure_timezone(self) -> bool:
        if self.connection is None:
            return bool(super().ensure_timezone())
        with without_envelope(self.connection):
            return bool(super().ensure_timezone())

    def is_usable(self) -> bool:
        if self.connection is None:
            return bool(super().is_usable())
        with without_envelope(self.connection):
            return bool(super().is_usable())

    @contextmanager
    def _open_alone(self, envelope: Envelope) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection whose path is a startup option, for one statement.

        Raises ``SchemaMissing``, and ``UnsafeStatement`` when something between here and the
        server has dropped the option.
        """
        params = self.get_connection_params()
        path = f"-c search_path={quote_option(envelope.path)}"
        params["options"] = f"{params.get('options', '')} {path}".strip()
        # The envelope's statements go in one text, which cannot be prepared.
        params |= {"autocommit": True, "prepare_threshold": None}
        with self._connect_directly(params) as connection:
            connection.is_bare = True
            self._configure_connection(connection)
            # The value alone proves nothing: behind a pooler another session may have been SET to
            # it, and the statement may go to a third.
            found = connection.execute(
                "SELECT setting, source FROM pg_catalog.pg_settings WHERE name = 'search_path'"
            ).fetchone()
            if found != (envelope.path, "client"):
                raise UnsafeStatement(
                    "PostgreSQL refuses this statement inside a transaction, and the connection"
                    f" {self.alias!r} loses startup options (its search_path is {found!r}), as a"
                    f" connection pooler does. {_GO_DIRECTLY}"
                )
            if envelope.role is not None:
                # This session is nobody else's, and ends with the statement.
                connection.execute(f"SET ROLE {quote_identifier(envelope.role)}")
            if envelope.locked:
                connection.execute(envelope.sql)
            yield connection

    def _connect_directly(self, params: dict[str, Any]) -> Connection:
        try:
            return Connection.connect(**params)
        except psycopg.OperationalError as error:
            # PgBouncer's words; the connection has no SQLSTATE to ask for.
            if "unsupported startup parameter" not in str(error):
                raise
            raise UnsafeStatement(
                "PostgreSQL refuses this statement inside a transaction, and the connection"
                f" {self.alias!r} refuses startup options, as a connection pooler does: {error}"
                f" {_GO_DIRECTLY}"
            ) from error

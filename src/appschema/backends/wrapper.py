"""What appschema adds to Django's DatabaseWrapper for PostgreSQL, and for PostGIS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql.base import TIMESTAMPTZ_OID, DatabaseWrapper
from django.db.backends.postgresql.psycopg_any import register_tzloader
from psycopg.pq import Format

from appschema.exceptions import UnsafeStatement

from .cursors import ServerSideCursor, in_envelope, without_envelope
from .envelope import Envelope

if TYPE_CHECKING:
    _Base = DatabaseWrapper
else:
    _Base = object


class DatabaseWrapperMixin(_Base):
    """A connection whose every statement carries the current schema."""

    guards_queries = False
    """Set while a query is compiled to be run with no schema active (see ``compiler``)."""

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        # The maintenance database has no schemas of ours.
        if self.alias != NO_DB_ALIAS:
            params["cursor_factory"] = in_envelope(params["cursor_factory"])
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        if self.alias != NO_DB_ALIAS:
            connection.server_cursor_factory = ServerSideCursor
            connection.appschema_open = WeakMethod(self._open_alone)
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        if not name:
            return super().create_cursor()
        # In autocommit mode the cursor outlives the statement's own transaction.
        cursor = ServerSideCursor(
            self.connection,
            name=name,
            scrollable=False,
            withhold=self.connection.autocommit,
        )
        loader = self.connection.adapters.get_loader(TIMESTAMPTZ_OID, Format.TEXT)
        if self.timezone != loader.timezone:
            register_tzloader(self.timezone, cursor)
        return cursor

    def _configure_connection(self, connection: Any) -> bool:
        with without_envelope(connection):
            return bool(super()._configure_connection(connection))  # type: ignore[misc]

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
        path = envelope.path.replace("\\", "\\\\").replace(" ", "\\ ")
        params["options"] = f"{params.get('options', '')} -c search_path={path}".strip()
        plain = params.pop("cursor_factory").plain
        with psycopg.connect(**params, autocommit=True) as connection:
            connection.cursor_factory = plain
            self._configure_connection(connection)
            found = connection.execute("SHOW search_path").fetchone()
            if not found or found[0] != envelope.path:
                raise UnsafeStatement(
                    "PostgreSQL refuses this statement inside a transaction, and the connection"
                    f" {self.alias!r} loses startup options (its search_path is {found!r}), as a"
                    " connection pooler does. Run it over an alias that connects directly."
                )
            connection.execute(envelope.sql)
            yield connection

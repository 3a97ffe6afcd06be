"""A backend that keeps the schema in the session, to show that the test of leaks finds leaks.

It does what packages of this kind usually do: SET search_path on the connection when the
schema that it remembers is not the current one, and forget it with the connection and at a full
rollback. All the rest is appschema's: the context, the guard of the compilers, and a look
whether the schema exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import base

from appschema import current_schema
from appschema.backends.postgresql.base import DatabaseOperations
from appschema.exceptions import SchemaMissing
from appschema.names import PUBLIC, quote_identifier

_NOTHING = object()


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    runs_query = False
    _remembered: object = _NOTHING
    _controls = False

    def connect(self) -> None:
        self._remembered = _NOTHING
        super().connect()

    def rollback(self) -> None:
        super().rollback()
        self._remembered = _NOTHING

    def _savepoint(self, sid: str) -> None:
        with self._controlling():
            super()._savepoint(sid)  # type: ignore[misc]

    def _savepoint_rollback(self, sid: str) -> None:
        with self._controlling():
            super()._savepoint_rollback(sid)  # type: ignore[misc]

    def _savepoint_commit(self, sid: str) -> None:
        with self._controlling():
            super()._savepoint_commit(sid)  # type: ignore[misc]

    @contextmanager
    def _controlling(self) -> Iterator[None]:
        """Let a savepoint be set and left in whatever schema, a missing one too."""
        self._controls = True
        try:
            yield
        finally:
            self._controls = False

    def _cursor(self, name: str | None = None) -> Any:
        cursor = super()._cursor(name)  # type: ignore[misc]
        wanted = current_schema() or PUBLIC
        if wanted != self._remembered and not self._controls:
            with self.connection.cursor() as setter:
                setter.execute("SELECT FROM pg_namespace WHERE nspname = %s", [wanted])
                if setter.fetchone() is None:
                    raise SchemaMissing(wanted)
                path = ", ".join(map(quote_identifier, (wanted, PUBLIC)))
                setter.execute(f"SET search_path TO {path}")
            self._remembered = wanted
        return cursor

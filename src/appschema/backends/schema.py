"""The schema editor: extensions belong to the database, not to one schema."""

from __future__ import annotations

import logging
import re
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from django.db.backends.postgresql.schema import DatabaseSchemaEditor

from appschema.context import current_schema
from appschema.names import PUBLIC

from .statement import split_statements

logger = logging.getLogger("appschema.schema")

_OF_EXTENSION = re.compile(rb"(?P<verb>create|drop)\s+extension\b", re.IGNORECASE)


if TYPE_CHECKING:
    _Base = DatabaseSchemaEditor
else:
    _Base = object


class Tape(Protocol):
    """What listens to an editor."""

    def note_statement(self, sql: str, params: Any) -> None:
        """A statement is about to be sent."""

    def note_default(self, field: Any) -> None:
        """The default of *field* is evaluated, to become part of a statement."""


class DatabaseSchemaEditorMixin(_Base):
    """In a schema, CREATE EXTENSION goes to the schema for extensions and DROP EXTENSION nowhere.

    Each schema's migrations create the extension (the first does, for all) and would drop it
    from under all the others when one schema goes back.
    """

    tape: Tape | None = None
    """Writes down what this editor does, for other schemas."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Django leaves its transaction open if a deferred statement fails here. A process that
        # goes on (with the next schema, or the next request) would lose all it writes.
        if exc_type is None:
            try:
                for statement in self.deferred_sql:
                    self.execute(statement, None)
            except BaseException as error:
                super().__exit__(type(error), error, error.__traceback__)
                raise
            self.deferred_sql = []
        super().__exit__(exc_type, exc_value, traceback)

    def effective_default(self, field: Any) -> Any:
        if self.tape is not None:
            self.tape.note_default(field)
        return super().effective_default(field)

    def execute(self, sql: Any, params: Any = ()) -> Any:
        if self.tape is not None:
            self.tape.note_statement(str(sql), params)
        if current_schema() in (None, PUBLIC) or not isinstance(sql, str):
            return super().execute(sql, params)
        text = sql.encode()
        if b"extension" not in text.lower():
            return super().execute(sql, params)
        statements = split_statements(text)
        if not any(map(_OF_EXTENSION.match, statements)):
            return super().execute(sql, params)
        # One at a time: the path of an extension is not that of its neighbours.
        for statement in statements:
            found = _OF_EXTENSION.match(statement)
            if found and found["verb"].lower() == b"drop":
                logger.info("In schema %r, left out: %s", current_schema(), statement.decode())
            else:
                super().execute(statement.decode(), params)
        return None

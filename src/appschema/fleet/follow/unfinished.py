"""Migrations with ``atomic = False``: each operation is noted, so that a killed run goes on after it.

Their operations commit one by one. In the ledger's entry stands how many are done. What can run in
a transaction commits together with that number; what cannot is looked at again after a kill.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation

from appschema.context import schema_context
from appschema.models import LedgerEntry
from appschema.names import PUBLIC, quote_identifier

_ALONE = re.compile(
    r"\b(?:concurrently|vacuum|reindex|cluster|commit|rollback|call|do|alter\s+system|database)\b",
    re.IGNORECASE,
)
_INDEX = re.compile(
    r"""\s*(?P<verb>create|drop)\s+(?:unique\s+)?index\s+concurrently\s+
        (?:if\s+(?:not\s+)?exists\s+)?(?:"(?P<quoted>[^"]+)"|(?P<plain>[\w$]+))""",
    re.IGNORECASE | re.VERBOSE,
)


class Unfinished:
    """How far one migration has got in one schema, outside a transaction."""

    def __init__(self, connection: BaseDatabaseWrapper, schema_name: str, noted: str) -> None:
        self._connection = connection
        self._schema_name = schema_name
        self._noted = json.loads(noted) if noted else {}
        self._migration = ""
        self._number = 0
        self._done = 0

    def begin(self, migration: Migration) -> None:
        """Go on with the first operation that is not done."""
        self._migration, self._number = str(migration), 0
        is_this = self._noted.get("migration") == self._migration
        self._done = int(self._noted["done"]) if is_this else 0
        self._is_resumed = is_this
        if not is_this:
            self._note(0)

    def run(self, operation: Operation, editor: Any, act: Callable[[], None]) -> None:
        """Do the next operation unless it is done, and note that it is.

        What it leaves for the end of the migration is done with it: it would be lost with a kill.
        """
        self._number += 1
        if self._number <= self._done:
            return
        # What was interrupted is done again: an index that was made, half made or dropped.
        repairing = self._connection.execute_wrapper(self._repair)
        watching = repairing if self._is_resumed else nullcontext()
        with _transaction_of(operation, self._connection.alias), watching:
            act()
            while editor.deferred_sql:
                editor.execute(editor.deferred_sql.pop(0), None)
            self._note(self._number)
        self._is_resumed = False

    def _note(self, done: int) -> None:
        value = {"migration": self._migration, "done": done}
        with schema_context(PUBLIC):
            entries = LedgerEntry.objects.using(self._connection.alias)
            entries.filter(schema_name=self._schema_name).update(under_way=value)

    def _repair(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        found = _INDEX.match(sql) if isinstance(sql, str) else None
        if found is None:
            return execute(sql, params, many, context)
        name = found["quoted"] or found["plain"].lower()
        is_valid = self._is_valid(name)
        if found["verb"].lower() == "drop":
            return None if is_valid is None else execute(sql, params, many, context)
        if is_valid:
            return None
        if is_valid is False:
            execute(f"DROP INDEX CONCURRENTLY {quote_identifier(name)}", None, False, context)
        return execute(sql, params, many, context)

    def _is_valid(self, name: str) -> bool | None:
        """Tell whether the schema's index of this name is valid; None if there is none."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT i.indisvalid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i"
                " ON i.indexrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND c.relname = %s",
                [self._schema_name, name],
            )
            row = cursor.fetchone()
        return None if row is None else bool(row[0])


def _transaction_of(operation: Operation, using: str) -> AbstractContextManager[Any]:
    """Return a transaction for an operation and its note, where it can run in one."""
    if isinstance(operation, NotInTransactionMixin):
        return nullcontext()
    if isinstance(operation, operations.RunPython):
        return transaction.atomic(using=using) if operation.atomic else nullcontext()
    if isinstance(operation, operations.RunSQL):
        is_alone = _ALONE.search(f"{operation.sql} {operation.reverse_sql}")
        return nullcontext() if is_alone else transaction.atomic(using=using)
    if isinstance(operation, operations.SeparateDatabaseAndState):
        some = [_transaction_of(each, using) for each in operation.database_operations]
        if any(isinstance(each, nullcontext) for each in some):
            return nullcontext()
    return transaction.atomic(using=using)

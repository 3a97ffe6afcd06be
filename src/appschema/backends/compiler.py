"""The SQL compilers, which refuse a query on isolated tables while no schema is active, and one
that was built under another schema.

A compiler sees every table of the query that it compiles, those of subqueries through the
compilers of theirs. Only running a query is refused: ``str(queryset.query)`` is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.backends.postgresql import compiler
from django.db.models import Model
from django.db.models.sql.constants import CURSOR
from django.db.models.sql.query import RawQuery

from appschema.context import current_schema, get_current
from appschema.exceptions import NoActiveSchema
from appschema.isolation.crossing import crosses, refuse_query_crossing
from appschema.isolation.referenced_deletes import delete_unless_referenced, is_to_be_looked_into
from appschema.names import PUBLIC
from appschema.placement import get_tables

from .wrapper import DatabaseWrapperMixin

if TYPE_CHECKING:
    _Base = compiler.SQLCompiler
else:
    _Base = object


_NONE: dict[str, type[Model]] = {}


class _GuardMixin(_Base):
    _named: list[str]
    _watches = False

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = self.connection
        found = connection.runs_query
        connection.runs_query = True
        try:
            return super().execute_sql(*args, **kwargs)
        finally:
            connection.runs_query = found

    def _note_from_clause(self) -> Any:
        # Called while the query is compiled: only now its count of references is right.
        used = self.query.alias_refcount
        joins = self.query.alias_map.items()
        self._named = [join.table_name for alias, join in joins if used[alias]]
        return super().get_from_clause()

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        query: Any = self.query
        schema_name = get_current()
        # The short way of nearly all queries: of a schema, and built in it.
        if (
            schema_name is not None
            and schema_name != PUBLIC
            and getattr(query, "schema_name", None) == schema_name
        ):
            self._watches = False
            return super().as_sql(*args, **kwargs)
        runs: bool = self.connection.runs_query  # type: ignore[attr-defined]
        self._watches = runs and _is_suspect(query)
        if not self._watches:
            return super().as_sql(*args, **kwargs)
        self._named = []
        self.get_from_clause = self._note_from_clause  # type: ignore[method-assign]
        # A query that is empty for certain raises EmptyResultSet here, and is not run.
        found = super().as_sql(*args, **kwargs)
        _refuse(self._named, self.query)
        return found


class _WritingGuardMixin(_GuardMixin):
    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        found = super().as_sql(*args, **kwargs)
        if self._watches:
            _refuse([self.query.get_meta().db_table], self.query)
        return found


class SQLCompiler(_GuardMixin, compiler.SQLCompiler):
    pass


class SQLInsertCompiler(_WritingGuardMixin, compiler.SQLInsertCompiler):
    pass


class SQLDeleteCompiler(_WritingGuardMixin, compiler.SQLDeleteCompiler):
    _returning = ""

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        sql, params = super().as_sql(*args, **kwargs)
        return sql + self._returning, params

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        model = self.query.get_meta().model
        if not is_to_be_looked_into(model._meta.db_table):
            return super().execute_sql(*args, **kwargs)

        def delete(returning: str) -> Any:
            self._returning = returning
            return super(SQLDeleteCompiler, self).execute_sql(CURSOR)

        return delete_unless_referenced(self.connection, model, delete)


class SQLUpdateCompiler(_WritingGuardMixin, compiler.SQLUpdateCompiler):
    pass


class SQLAggregateCompiler(_GuardMixin, compiler.SQLAggregateCompiler):
    pass


def _guarded_models() -> dict[str, type[Model]]:
    """Return the models, by table, that must not be queried under the current schema."""
    schema_name = current_schema()
    if schema_name is not None and schema_name != PUBLIC:
        return _NONE
    tables = get_tables()
    return tables.isolated if schema_name else tables.in_schemas


def _is_suspect(query: Any) -> bool:
    return bool(_guarded_models()) or crosses(query)


def guard_raw_queries() -> None:
    """Refuse ``Model.objects.raw()`` as other queries are; its text is all there is to see."""
    original = RawQuery._execute_query  # type: ignore[attr-defined]

    @wraps(original)
    def execute_query(self: Any) -> None:
        if isinstance(connections[self.using], DatabaseWrapperMixin) and _is_suspect(self):
            words = re.findall(r"\w+", str(self.sql))
            # PostgreSQL folds the case of a name that is not quoted.
            _refuse([*words, *map(str.lower, words)], self)
        original(self)

    RawQuery._execute_query = execute_query  # type: ignore[attr-defined]


def _refuse(tables: Collection[str], query: Any) -> None:
    guarded = _guarded_models()
    for table in tables:
        if model := guarded.get(table):
            label = model._meta.label
            found = (
                f"the current schema is {PUBLIC!r}, where it has no table"
                if current_schema()
                else "no schema is active"
            )
            raise NoActiveSchema(
                f"The tables of {label!r} live in the customers' schemas, and {found}. Put the query"
                " into 'with appschema.schema_context(NAME):'; on the command line type"
                " 'manage.py inschema NAME COMMAND'."
            )
    if crosses(query):
        refuse_query_crossing(query, tables)

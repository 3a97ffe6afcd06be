"""The SQL compilers, which refuse a query on isolated tables while no schema is active.

A compiler sees every table of the query that it compiles, those of subqueries through the
compilers of theirs. Only running a query is refused: ``str(queryset.query)`` is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql import compiler
from django.db.models import Model
from django.db.models.sql.query import RawQuery

from appschema.context import current_schema
from appschema.exceptions import NoActiveSchema
from appschema.names import PUBLIC
from appschema.placement import get_tables

if TYPE_CHECKING:
    _Base = compiler.SQLCompiler
else:
    _Base = object


class _GuardMixin(_Base):
    _named: list[str]

    def __init__(self, query: Any, connection: Any, using: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(query, connection, using, *args, **kwargs)
        # QuerySet.raw() makes a compiler only for its converters; its text is all there is to see.
        if isinstance(query, RawQuery) and (guarded := _guarded_models()):
            words = re.findall(r"\w+", str(query.sql))
            # PostgreSQL folds the case of a name that is not quoted.
            _refuse([*words, *map(str.lower, words)], guarded)

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        if not _guarded_models():
            return super().execute_sql(*args, **kwargs)
        with _guarding(self.connection):
            return super().execute_sql(*args, **kwargs)

    def get_from_clause(self) -> Any:
        # Called while the query is compiled: only now its count of references is right.
        if _is_guarding(self.connection):
            used = self.query.alias_refcount
            joins = self.query.alias_map.items()
            self._named = [join.table_name for alias, join in joins if used[alias]]
        return super().get_from_clause()

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        self._named = []
        # A query that is empty for certain raises EmptyResultSet here, and is not run.
        found = super().as_sql(*args, **kwargs)
        if _is_guarding(self.connection):
            _refuse(self._named, _guarded_models())
        return found


class _WritingGuardMixin(_GuardMixin):
    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        found = super().as_sql(*args, **kwargs)
        if _is_guarding(self.connection):
            _refuse([self.query.get_meta().db_table], _guarded_models())
        return found


class SQLCompiler(_GuardMixin, compiler.SQLCompiler):
    pass


class SQLInsertCompiler(_WritingGuardMixin, compiler.SQLInsertCompiler):
    pass


class SQLDeleteCompiler(_WritingGuardMixin, compiler.SQLDeleteCompiler):
    pass


class SQLUpdateCompiler(_WritingGuardMixin, compiler.SQLUpdateCompiler):
    pass


class SQLAggregateCompiler(_GuardMixin, compiler.SQLAggregateCompiler):
    pass


@contextmanager
def _guarding(connection: Any) -> Iterator[None]:
    found = connection.guards_queries
    connection.guards_queries = True
    try:
        yield
    finally:
        connection.guards_queries = found


def _is_guarding(connection: Any) -> bool:
    return bool(connection.guards_queries)


def _guarded_models() -> dict[str, type[Model]]:
    """Return the models, by table, that must not be queried under the current schema."""
    schema_name = current_schema()
    if schema_name is not None and schema_name != PUBLIC:
        return {}
    tables = get_tables()
    return tables.isolated if schema_name else {**tables.both, **tables.isolated}


def _refuse(tables: Iterable[str], guarded: dict[str, type[Model]]) -> None:
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

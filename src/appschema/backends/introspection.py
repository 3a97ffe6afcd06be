"""Introspection that sees the tables of the current schema only."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.introspection import DatabaseIntrospection, TableInfo

from appschema.context import current_schema
from appschema.names import PUBLIC, quote_identifier

# What is in a schema depends on it, and pg_depend has an index for that; pg_class has none.
_TABLES = """
    SELECT c.relname,
           CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END,
           pg_catalog.obj_description(c.oid, 'pg_class')
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_class c ON c.oid = d.objid
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
       AND d.refobjid = ANY (ARRAY(
               SELECT n.oid FROM pg_catalog.pg_namespace n
                WHERE n.nspname = ANY (pg_catalog.current_schemas(true))
                  AND n.nspname NOT IN ('pg_catalog', 'pg_toast')))
       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
       AND c.relkind IN ('f', 'm', 'p', 'r', 'v')
       AND pg_catalog.pg_table_is_visible(c.oid)
"""


class _AcrossSchemas:
    """A cursor for Django's query of foreign keys, which leaves out those to another schema."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.fetchall = cursor.fetchall

    def execute(self, query: str, params: Any) -> None:
        same, visible = (
            "c1.relnamespace = c2.relnamespace",
            "pg_catalog.pg_table_is_visible(c2.oid)",
        )
        self.cursor.execute(query.replace(same, visible), params)


def _in_own_schema(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def wrapper(self: Any, cursor: Any, *args: Any, **kwargs: Any) -> Any:
        # Django's wrapper around the psycopg cursor, or (in a caller's hands) that cursor itself.
        inner = getattr(cursor, "cursor", cursor)
        found = inner.own_schema_only
        inner.own_schema_only = True
        try:
            return method(self, cursor, *args, **kwargs)
        finally:
            inner.own_schema_only = found

    return wrapper


if TYPE_CHECKING:
    _Base = DatabaseIntrospection
else:
    _Base = object


class DatabaseIntrospectionMixin(_Base):
    """Django asks PostgreSQL for what is visible in search_path: here without the default path."""

    @_in_own_schema
    def get_table_list(self, cursor: Any) -> Any:
        # Django's query reads all of pg_class, whose size is that of the whole fleet: migrate asks
        # this several times in each schema.
        cursor.execute(_TABLES)
        return [TableInfo(*row) for row in cursor.fetchall() if row[0] not in self.ignored_tables]

    @_in_own_schema
    def get_table_description(self, cursor: Any, table_name: str) -> Any:
        return super().get_table_description(cursor, table_name)

    @_in_own_schema
    def get_sequences(self, cursor: Any, table_name: str, table_fields: Any = ()) -> Any:
        return super().get_sequences(cursor, table_name, table_fields)

    def get_relations(self, cursor: Any, table_name: str) -> Any:
        if current_schema() in (None, PUBLIC):
            return super().get_relations(cursor, table_name)
        if not self._sees(cursor, table_name):
            return {}
        return super().get_relations(_AcrossSchemas(cursor), table_name)  # type: ignore[arg-type]

    @_in_own_schema
    def _sees(self, cursor: Any, table_name: str) -> bool:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quote_identifier(table_name)])
        return bool(cursor.fetchone()[0])

    @_in_own_schema
    def get_constraints(self, cursor: Any, table_name: str) -> Any:
        return super().get_constraints(cursor, table_name)

"""Read a schema from the catalogs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.transaction import TransactionManagementError

from appschema.names import quote_identifier, role_name

from . import queries
from .answers import Answers, ask
from .assemble import assemble
from .members import find_members
from .snapshot import SchemaSnapshot

# What the server's texts depend on; and no plan that reads a catalog wholly, since catalogs grow
# with the number of schemas: what is left are look-ups by index, one for each object.
_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
}


def read_schema(cursor: Any, schema_name: str) -> SchemaSnapshot:
    """Return the schema as a value.

    ``cursor`` is Django's or psycopg's, inside a transaction; without one
    ``TransactionManagementError`` is raised. The number of queries does not depend on how many
    objects the schema has, nor their cost on how many other schemas there are. What others
    commit meanwhile may be seen in part: take a lock, or REPEATABLE READ, where that can be.

    Raises ``SchemaMissing``, and ``UnsupportedObject`` (nothing is left out in silence) for
    objects of extensions and of kinds that are not known here.
    """
    with reading(cursor, "pg_catalog, pg_temp"):
        members = find_members(cursor, schema_name)
    path = own_path(quote_identifier(schema_name))
    with reading(cursor, path):
        parameters = {
            "namespace": members.namespace,
            "relations": members.of("pg_class"),
            "types": members.of("pg_type"),
            "routines": members.of("pg_proc"),
            "collations": members.of("pg_collation"),
            "statistics": members.of("pg_statistic_ext"),
            "defaults": members.of("pg_default_acl"),
        }
        (schema,) = ask(cursor, queries.SCHEMA, parameters)
        if schema.path != path:
            raise TransactionManagementError(
                "read_schema() sets the search path for its queries, which holds only inside a"
                " transaction. Call it in transaction.atomic()."
            )
        types = ask(cursor, queries.TYPES, parameters)
        composites = [each.relation for each in types if each.type == "c"]
        parameters["relations"] = [*members.of("pg_class"), *composites]
        answers = {name: ask(cursor, query, parameters) for name, query in queries.BY_NAME.items()}
        found = Answers(schema=schema, types=types, **answers)
        catalogs, oids = found.dependents()
        found.dependencies += ask(
            cursor, queries.DEPENDENCIES, {"catalogs": catalogs, "oids": oids}
        )
    own_role = role_name(schema.database, schema_name)
    return assemble(schema_name, own_role, members, found)


def own_path(schema: str) -> str:
    """Return the search path in which a schema, quoted, names its own objects without itself.

    It stands before pg_catalog, so that none of its objects is ever hidden by one of the
    server's; and whatever stands in another schema is qualified.
    """
    return f"{schema}, pg_catalog, pg_temp"


@contextmanager
def reading(cursor: Any, path: str) -> Iterator[None]:
    """Set what the server's texts depend on, and put it back; an error leaves that to ROLLBACK."""
    wanted = {**_SETTINGS, "search_path": path}
    cursor.execute(
        "SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.unnest(%s::text[]) AS name",
        [list(wanted)],
    )
    before = dict(cursor.fetchall())
    _set(cursor, wanted)
    yield
    _set(cursor, before)


def _set(cursor: Any, values: dict[str, str]) -> None:
    cursor.execute(
        "SELECT pg_catalog.set_config(name, value, true)"
        " FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]))"
        " AS setting (name, value)",
        [list(values), list(values.values())],
    )

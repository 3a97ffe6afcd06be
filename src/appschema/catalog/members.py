"""The objects of one schema, and those among them that cannot be copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appschema.exceptions import SchemaMissing, UnsupportedObject

from . import queries
from .answers import ask

_KNOWN = ("pg_class", "pg_type", "pg_proc", "pg_collation", "pg_statistic_ext", "pg_default_acl")
_OF_PUBLICATION = "pg_publication_namespace"


@dataclass(frozen=True)
class Members:
    """The oids of what a schema holds, by the catalog that describes it."""

    namespace: int
    oids: dict[str, list[int]]
    publications: tuple[str, ...]

    def of(self, catalog: str) -> list[int]:
        return self.oids.get(catalog, [])


def find_members(cursor: Any, schema_name: str) -> Members:
    """Return what the schema holds.

    Raises ``SchemaMissing``, and ``UnsupportedObject`` for what this package does not know.
    """
    rows = ask(cursor, queries.MEMBERS, {"schema": schema_name})
    if not rows:
        raise SchemaMissing(schema_name)
    _refuse_extensions(schema_name, rows)
    unknown = [
        each.description
        for each in rows
        if each.oid is not None and each.catalog not in (*_KNOWN, _OF_PUBLICATION)
    ]
    refuse(schema_name, unknown)
    oids: dict[str, list[int]] = {}
    for row in rows:
        if row.oid is not None:
            oids.setdefault(row.catalog, []).append(row.oid)
    publications = tuple(row.description for row in rows if row.catalog == _OF_PUBLICATION)
    return Members(rows[0].namespace, oids, publications)


def refuse(schema_name: str, descriptions: list[str]) -> None:
    """Raise ``UnsupportedObject`` if there are any such objects."""
    if descriptions:
        raise UnsupportedObject(
            f"The schema {schema_name!r} holds what cannot be written as SQL for another name:"
            f" {', '.join(descriptions)}. Drop it, or move it to a schema of the default path.",
            tuple(descriptions),
        )


def _refuse_extensions(schema_name: str, rows: list[Any]) -> None:
    extensions = [row.description for row in rows if row.catalog == "pg_extension"]
    extensions += [row.description for row in rows if row.extension is not None]
    if extensions:
        raise UnsupportedObject(
            f"The schema {schema_name!r} holds objects of extensions, which belong to the whole"
            f" database and cannot be copied: {', '.join(extensions)}. Run 'ALTER EXTENSION ... SET"
            " SCHEMA public', or whatever schema APPSCHEMA_EXTENSIONS_SCHEMA names.",
            tuple(extensions),
        )

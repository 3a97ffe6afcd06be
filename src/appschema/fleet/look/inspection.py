"""One look at a database: the registry, and the schemas that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Q

from appschema.exceptions import UnknownSchema
from appschema.fleet.know.entries import table_of
from appschema.fleet.selection import Selection, read_registered
from appschema.models import Schema
from appschema.names import MARKER_TABLE

_NAMESPACES = """
    SELECT n.nspname, n.oid, c.oid,
           (SELECT count(*) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname IN ('app', 'name') AND NOT a.attisdropped)
      FROM pg_catalog.pg_namespace n
      LEFT JOIN pg_catalog.pg_class c
             ON c.relname = %s AND c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY n.nspname
"""


@dataclass(frozen=True)
class Namespace:
    """A schema of the database."""

    name: str
    oid: int
    has_marker: bool
    has_records: bool
    """The marker table has the columns of Django's records."""


class Inspection:
    """One look at one database; asks as little as it can."""

    def __init__(self, using: str, selection: Selection) -> None:
        self.using = using
        self.selection = selection
        self.everything = selection.public and selection.schemas is None
        table = table_of(Schema)
        self.has_registry = self.ask("SELECT to_regclass(%s) IS NOT NULL", [table])[0][0]
        self.rows = self._read_registry() if self.has_registry else {}
        self.purging = {name for name, purging in read_registered(using).items() if purging}
        wanted = selection.schemas
        if unknown := [name for name in wanted or () if name not in self.rows]:
            raise UnknownSchema(unknown[0])
        self.names = list(self.rows) if wanted is None else list(wanted)
        self.namespaces = {
            name: Namespace(name, oid, marker is not None, columns == 2)
            for name, oid, marker, columns in self.ask(_NAMESPACES, [MARKER_TABLE])
        }
        # Those that statements can be run in.
        self.whole = [
            found
            for name in self.names
            if (found := self.namespaces.get(name)) is not None and found.has_marker
        ]
        self.oids = [each.oid for each in self.whole]
        self.names_by_oid = {each.oid: each.name for each in self.whole}
        self.loader = MigrationLoader(None, ignore_no_migrations=True)

    def ask(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.fetchall()  # type: ignore[no-any-return]

    def _read_registry(self) -> dict[str, int]:
        """Return how many primary public names each registered schema has."""
        primaries = Count("public_names", filter=Q(public_names__is_primary=True))
        rows = Schema.objects.using(self.using).annotate(primaries=primaries).order_by("name")
        return dict(rows.values_list("name", "primaries"))

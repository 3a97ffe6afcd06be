"""What some relations of a schema are like, cheaply enough to ask it of each schema of a fleet.

``read_schema`` tells all of a schema, in two dozen queries. This is one, about a few relations, as
hashed text: whether they are what they are elsewhere, inside the transaction that has changed them.
Grants and comments are left out, and so is the order in which columns were added and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from appschema.names import quote_identifier, quote_literal

# The schema itself comes first in the path, so that names are printed without it.
_ROWS = """
WITH r AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_class
     WHERE relnamespace = {schema}::pg_catalog.regnamespace AND relname = ANY ({names}::name[])
       AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
SELECT 'relation ' || relname AS object,
       concat_ws(' ', relkind, relpersistence, reloptions, relrowsecurity, relforcerowsecurity,
                 CASE WHEN relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(oid) END) AS text
  FROM r
UNION ALL
SELECT 'column ' || r.relname || '.' || a.attname,
       concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 a.attgenerated, nullif(a.attcollation, 0)::pg_catalog.regcollation,
                 pg_catalog.pg_get_expr(d.adbin, d.adrelid))
  FROM r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
 WHERE r.relkind <> 'S'
UNION ALL
SELECT 'constraint ' || r.relname || '.' || c.conname,
       concat_ws(' ', pg_catalog.pg_get_constraintdef(c.oid, true), c.convalidated)
  FROM r JOIN pg_catalog.pg_constraint c ON c.conrelid = r.oid AND c.contype <> 'n'
UNION ALL
SELECT 'index ' || r.relname || '.' || i.indexrelid::pg_catalog.regclass,
       concat_ws(' ', pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), i.indisvalid)
  FROM r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT 'trigger ' || r.relname || '.' || t.tgname,
       concat_ws(' ', pg_catalog.pg_get_triggerdef(t.oid, true), t.tgenabled)
  FROM r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT 'sequence ' || r.relname,
       concat_ws(' ', s.seqtypid::pg_catalog.regtype, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
  FROM r JOIN pg_catalog.pg_sequence s ON s.seqrelid = r.oid
"""


@dataclass(frozen=True)
class Fingerprint:
    """What some relations are like: a hash, and the text of each object that it was made of."""

    hash: str = ""
    objects: dict[str, str] = field(default_factory=dict, compare=False)

    def differences(self, other: Fingerprint) -> list[str]:
        """Return in words in what *other* differs from this one."""
        found = []
        for name in sorted(self.objects.keys() | other.objects.keys()):
            mine, its = self.objects.get(name), other.objects.get(name)
            if its is None:
                found.append(f"{name} is missing")
            elif mine is None:
                found.append(f"{name} is there ({its})")
            elif mine != its:
                found.append(f"{name} is {its!r}, not {mine!r}")
        return found


def fingerprint_sql(schema_name: str, relations: Iterable[str]) -> str:
    """Return an SQL expression for the hash. The schema must come first in the search path."""
    rows = _rows(schema_name, relations)
    return (
        "(SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(object || ' ' || text, E'\\n'"
        f" ORDER BY object COLLATE \"C\"), '')) FROM ({rows}) AS found)"
    )


def read_fingerprint(cursor: Any, schema_name: str, relations: Sequence[str]) -> Fingerprint:
    """Return what the relations are like. The schema must come first in the search path."""
    cursor.execute(_rows(schema_name, relations))
    objects = dict(cursor.fetchall())
    cursor.execute(f"SELECT {fingerprint_sql(schema_name, relations)}")
    return Fingerprint(str(cursor.fetchone()[0]), objects)


def _rows(schema_name: str, relations: Iterable[str]) -> str:
    names = ", ".join(map(quote_literal, relations))
    return _ROWS.format(
        schema=quote_literal(quote_identifier(schema_name)), names=f"ARRAY[{names}]"
    )

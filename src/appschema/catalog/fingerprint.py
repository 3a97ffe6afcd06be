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

# The schema itself comes first in the path, so that names are printed without it. Each catalog is asked by
# itself, for oids that are constants: joins would take longer to plan than all of it to run, and could
# read catalogs wholly where nobody has counted them yet.
_ROWS = """
SELECT 'relation ' || oid::pg_catalog.regclass AS object,
       concat_ws(' ', relkind, relpersistence, reloptions, relrowsecurity, relforcerowsecurity,
                 CASE WHEN relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(oid) END) AS text
  FROM pg_catalog.pg_class WHERE oid IN ({oids})
UNION ALL
SELECT 'column ' || attrelid::pg_catalog.regclass || '.' || attname,
       concat_ws(' ', pg_catalog.format_type(atttypid, atttypmod), attnotnull, attidentity,
                 attgenerated, nullif(attcollation, 0)::pg_catalog.regcollation,
                 (SELECT pg_catalog.pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
                   WHERE adrelid = attrelid AND adnum = attnum))
  FROM pg_catalog.pg_attribute WHERE attrelid IN ({oids}) AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint ' || conrelid::pg_catalog.regclass || '.' || conname,
       concat_ws(' ', pg_catalog.pg_get_constraintdef(oid, true), convalidated)
  FROM pg_catalog.pg_constraint WHERE conrelid IN ({oids}) AND contype <> 'n'
UNION ALL
SELECT 'index ' || indrelid::pg_catalog.regclass || '.' || indexrelid::pg_catalog.regclass,
       concat_ws(' ', {index}, indisvalid)
  FROM pg_catalog.pg_index WHERE indrelid IN ({oids})
UNION ALL
SELECT 'trigger ' || tgrelid::pg_catalog.regclass || '.' || tgname,
       concat_ws(' ', pg_catalog.pg_get_triggerdef(oid, true), tgenabled)
  FROM pg_catalog.pg_trigger WHERE tgrelid IN ({oids}) AND NOT tgisinternal
UNION ALL
SELECT 'sequence ' || seqrelid::pg_catalog.regclass,
       concat_ws(' ', seqtypid::pg_catalog.regtype, seqincrement, seqmin, seqmax, seqcycle)
  FROM pg_catalog.pg_sequence WHERE seqrelid IN ({oids})
"""

_INDEX = "pg_catalog.pg_get_indexdef(indexrelid, 0, true)"
# PostgreSQL looks for what is the default at each column of an index that it spells out. Of what it brought
# itself the oids are the same for all; what was made later could be each schema's own.
_FIRST_OID_OF_USERS = 16384
_INDEX_AT_LESS_COST = f"""
CASE WHEN indexprs IS NULL AND indpred IS NULL AND {_FIRST_OID_OF_USERS} > ALL (indclass::oid[])
          AND {_FIRST_OID_OF_USERS} > ALL (indcollation::oid[])
     THEN concat_ws(' ', indisunique, indnullsnotdistinct, indnkeyatts, indclass, indcollation, indoption,
                    (SELECT reloptions FROM pg_catalog.pg_class WHERE oid = indexrelid),
                    (SELECT string_agg((SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute
                                         WHERE attrelid = indrelid AND attnum = key), ' ')
                       FROM unnest(indkey::int2[]) AS key))
     ELSE {_INDEX} END
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
    """Return an SQL expression for the hash. The schema must come first in the search path.

    PostgreSQL raises UndefinedTable if it lacks one of the relations.
    """
    rows = _rows(schema_name, relations, _INDEX_AT_LESS_COST)
    return (
        "(SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(object || ' ' || text, E'\\n'"
        f" ORDER BY object COLLATE \"C\"), '')) FROM ({rows}) AS found)"
    )


def read_fingerprint(cursor: Any, schema_name: str, relations: Sequence[str]) -> Fingerprint:
    """Return what the relations are like, or those of them that are there.

    The schema must come first in the search path.
    """
    cursor.execute(
        "SELECT name FROM unnest(%s::text[]) AS name"
        " WHERE to_regclass(quote_ident(%s) || '.' || quote_ident(name)) IS NOT NULL",
        [list(relations), schema_name],
    )
    found = [name for (name,) in cursor.fetchall()]
    cursor.execute(_rows(schema_name, found, _INDEX))
    objects = dict(cursor.fetchall())
    cursor.execute(f"SELECT {fingerprint_sql(schema_name, found)}")
    return Fingerprint(str(cursor.fetchone()[0]), objects)


def _rows(schema_name: str, relations: Iterable[str], index: str) -> str:
    schema = quote_identifier(schema_name)
    oids = (
        f"{quote_literal(f'{schema}.{quote_identifier(each)}')}::pg_catalog.regclass"
        for each in relations
    )
    return _ROWS.format(oids=", ".join(oids) or "0", index=index)

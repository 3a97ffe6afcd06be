"""What a schema consists of, for dropping it in parts, and how many locks that takes.

All is found by way of pg_depend, whose index leads from the schema to what is in it: pg_class has
none for that, and a database of thousands of schemas would be read through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from appschema.patience import ROOM_FOR_LOCKS

# What belongs to an extension goes with it, and not by itself.
_PARTS = """
    SELECT CASE c.relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE'
             WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
           c.oid, format('%%I.%%I', n.nspname, c.relname)
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::regclass
           AND d.refobjid = n.oid AND d.classid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class c ON c.oid = d.objid
     WHERE n.nspname = %(schema)s AND c.relkind = ANY (%(kinds)s::"char"[])
       AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend own
            WHERE own.classid = 'pg_catalog.pg_class'::regclass AND own.objid = c.oid
              AND (own.deptype = 'e' OR c.relkind = 'S' AND own.deptype IN ('a', 'i')))
     ORDER BY c.oid
"""
_ROUTINES = """
    SELECT 'ROUTINE', p.oid, p.oid::regprocedure::text
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::regclass
           AND d.refobjid = n.oid AND d.classid = 'pg_catalog.pg_proc'::regclass
      JOIN pg_catalog.pg_proc p ON p.oid = d.objid
     WHERE n.nspname = %(schema)s
       AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend own
            WHERE own.classid = 'pg_catalog.pg_proc'::regclass AND own.objid = p.oid
              AND own.deptype IN ('e', 'i'))
     ORDER BY p.oid
"""
# Each object that goes with one is locked, and so is each of those that go with that.
_LOCKS = """
    WITH RECURSIVE gone (part, classid, objid) AS (
        SELECT oid, 'pg_catalog.pg_class'::regclass::oid, oid FROM unnest(%s::oid[]) AS given (oid)
        UNION
        SELECT part, d.classid, d.objid FROM gone
          JOIN pg_catalog.pg_depend d ON d.refclassid = gone.classid AND d.refobjid = gone.objid
    )
    SELECT part, count(*) FROM gone GROUP BY part
"""
_KEYS = """
    SELECT format('%%I.%%I', n.nspname, c.relname), format('%%I', k.conname),
           k.confrelid::regclass::text
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::regclass
           AND d.refobjid = n.oid AND d.classid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class c ON c.oid = d.objid
      JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
           AND k.conparentid = 0
      JOIN pg_catalog.pg_class other ON other.oid = k.confrelid
     WHERE n.nspname = %(schema)s AND other.relnamespace <> n.oid
     ORDER BY c.oid, k.conname
"""

TABLES = ["v", "m", "r", "p", "f"]
"""The kinds of relations that are dropped first."""

SEQUENCES = ["S"]
"""Those that no table owns, on which columns may depend."""


@dataclass(frozen=True)
class Part:
    """A table, view, sequence or routine that is dropped with what depends on it."""

    kind: str
    name: str
    """Quoted, with its schema."""

    locks: int
    """About how many locks it takes to drop it."""


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of the schema to a table outside it; both names are quoted."""

    table: str
    name: str
    target: str


def parts_of(cursor: Any, schema_name: str) -> list[Part]:
    """Return what the schema consists of, in the order of dropping, but for types and the like."""
    params = {"schema": schema_name}
    found: list[Part] = []
    for sql, kinds in ((_PARTS, TABLES), (_PARTS, SEQUENCES), (_ROUTINES, [])):
        cursor.execute(sql, {**params, "kinds": kinds} if kinds else params)
        rows = cursor.fetchall()
        locks = {}
        if kinds:
            cursor.execute(_LOCKS, [[oid for _, oid, _ in rows]])
            locks = dict(cursor.fetchall())
        some = [Part(kind, name, locks.get(oid, 2)) for kind, oid, name in rows]
        # What much depends on comes last, when little does: partitions before their table, and
        # those that refer to a table before it, for each foreign key is locked with either.
        found += sorted(some, key=lambda part: part.locks)
    return found


def count_locks(parts: Iterable[Part]) -> int:
    """Return about how many locks it takes to drop them all."""
    return sum(part.locks for part in parts)


def foreign_keys_outside(cursor: Any, schema_name: str) -> list[ForeignKey]:
    """Return the foreign keys that lead out of the schema: to drop one locks the other table too."""
    cursor.execute(_KEYS, {"schema": schema_name})
    return [ForeignKey(*row) for row in cursor.fetchall()]


def lock_room(cursor: Any) -> int:
    """Return for how many locks of all sessions together the server has room at least."""
    cursor.execute(f"SELECT {ROOM_FOR_LOCKS}")
    return int(cursor.fetchone()[0])


def take(parts: Sequence[Part], budget: int) -> Sequence[Part]:
    """Return the first of *parts* that together need no more than *budget* locks, one at least."""
    needed = 0
    for number, part in enumerate(parts):
        needed += part.locks
        if number and needed > budget:
            return parts[:number]
    return parts


def drop_statements(parts: Iterable[Part]) -> str:
    """Return the SQL that drops them, in one text; what is gone already is passed over."""
    return "; ".join(
        f"DROP {kind} IF EXISTS {', '.join(part.name for part in some)} CASCADE"
        for kind, some in groupby(parts, key=lambda part: part.kind)
    )

"""What belongs to the server: roles, and room for locks."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections

from appschema.conf import get_config
from appschema.patience import ROOM_FOR_LOCKS
from appschema.roles.faults import find_faults

from .finding import Finding, error, warning
from .inspection import Inspection

_LARGEST = """
    SELECT n.nspname, count(*)
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
       AND d.refobjid = ANY (%s::oid[])
       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
"""
_LOCKS = f"""
    SELECT {ROOM_FOR_LOCKS},
           (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'S', 'v', 'm'))
"""


def find_roles(look: Inspection) -> Iterator[Finding]:
    if get_config().roles:
        names = [each.name for each in look.whole]
        for fault in find_faults(connections[look.using], names):
            yield error("role", "the server", fault, "manage.py schemaroles --enable")


def find_locks(look: Inspection) -> Iterator[Finding]:
    ((room, relations),) = look.ask(_LOCKS)
    largest = look.ask(_LARGEST, [look.oids])
    yield from judge_locks(room, relations, largest[0] if largest else None)


def judge_locks(room: int, relations: int, largest: tuple[str, int] | None) -> Iterator[Finding]:
    """Compare the *room* for locks on the server with what is to be locked by one transaction.

    *relations* is what pg_dump locks or reads, *largest* the schema with most relations, which
    are all locked where one is made.
    """
    mend = "Raise max_locks_per_transaction in postgresql.conf, and restart PostgreSQL."
    if largest is not None and largest[1] > room:
        yield error(
            "locks",
            largest[0],
            f"It has {largest[1]} tables, indexes and sequences, and the server has room for {room}"
            " locks: the schema cannot be made or copied in one transaction.",
            mend,
        )
    if relations > room:
        yield warning(
            "locks",
            "the server",
            f"The database has {relations} tables and sequences, and the server has room for {room}"
            " locks: a pg_dump of all of it ends with 'out of shared memory'.",
            f"{mend} Or dump the schemas one by one (pg_dump --schema).",
        )

"""How many workers a run has if nobody says so."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import as_owner

MOST = 4
"""More workers wait for each other in PostgreSQL's catalogs rather than getting more done."""

_FREE = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
           pg_catalog.pg_backend_pid()
"""


def default_jobs(connection: BaseDatabaseWrapper) -> int:
    """Return a number of workers that leaves the site most of the connections that are free.

    Through a pooler it is one: nobody knows how many sessions there are, and a worker might wait for
    one that another worker holds.
    """
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(_FREE)
        free, session = cursor.fetchone()
    opened: Any = connection.connection
    if opened.info.backend_pid != session:
        return 1
    pool: Any = connection.settings_dict["OPTIONS"].get("pool")
    size: Any = pool.get("max_size") or pool.get("min_size", 4) if isinstance(pool, dict) else None
    # One of the pool's is the command's own.
    limit = MOST if size is None else size - 1
    return max(1, min(MOST, int(free) // 4, limit))

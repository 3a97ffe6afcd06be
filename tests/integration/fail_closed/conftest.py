"""The schemas of the test of leaks, beside which others are maimed."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

# The healthy schemas, the decoys in public, and aliases.
from tests.integration.leaks.conftest import alias, transactional_db
from tests.integration.leaks.conftest import conninfo as healthy

__all__ = ["alias", "healthy", "transactional_db"]

# What a project leaves behind that had its tables in public before it had schemas.
_LEFT_OVER = """
CREATE VIEW public.notes_attachment AS SELECT 1::bigint AS id, 'decoy'::text AS name, 1::bigint AS note_id;
CREATE SEQUENCE public.notes_note_id_seq;
"""
_GONE = "DROP VIEW IF EXISTS public.notes_attachment; DROP SEQUENCE public.notes_note_id_seq"


@pytest.fixture(scope="module")
def conninfo(healthy: str) -> Iterator[str]:
    """The test database with healthy schemas, and whatever a schema could read by mistake in public."""
    with psycopg.connect(healthy, autocommit=True) as operator:
        operator.execute(_LEFT_OVER)
        try:
            yield healthy
        finally:
            operator.execute(_GONE)

"""What relations are like comes out alike in schemas that are, and otherwise in those that are not."""

from itertools import combinations

import pytest

from appschema.catalog import Fingerprint, read_fingerprint
from tests.integration.catalog.database import Database

INDEXES = {
    "plain": "CREATE INDEX i ON t (a, b)",
    "other order": "CREATE INDEX i ON t (b, a)",
    "fewer columns": "CREATE INDEX i ON t (a)",
    "another column": "CREATE INDEX i ON t (a, d)",
    "descending": "CREATE INDEX i ON t (a DESC, b)",
    "nulls first": "CREATE INDEX i ON t (a NULLS FIRST, b)",
    "unique": "CREATE UNIQUE INDEX i ON t (a, b)",
    "nulls not distinct": "CREATE UNIQUE INDEX i ON t (a, b) NULLS NOT DISTINCT",
    "included": "CREATE INDEX i ON t (a) INCLUDE (b)",
    "operator class": "CREATE INDEX i ON t (a, b text_pattern_ops)",
    "collation": 'CREATE INDEX i ON t (a, b COLLATE "C")',
    "own collation": "CREATE INDEX i ON t (a, b COLLATE mine)",
    "other method": "CREATE INDEX i ON t USING hash (a)",
    "condition": "CREATE INDEX i ON t (a, b) WHERE a > 0",
    "other condition": "CREATE INDEX i ON t (a, b) WHERE a > 1",
    "expression": "CREATE INDEX i ON t (a, lower(b))",
    "storage": "CREATE INDEX i ON t (a, b) WITH (fillfactor = 50)",
}


def fingerprint(database: Database, name: str) -> Fingerprint:
    with database.connection.transaction(), database.connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL search_path TO {name}, public".encode())
        return read_fingerprint(cursor, name, ["t"])


def make(database: Database, name: str, index: str, *, before: str = "") -> Fingerprint:
    """Make a schema with a table and an index in it; *before* are columns that were dropped again."""
    dropped = ", ".join(f"DROP COLUMN {each.split()[0]}" for each in before.split(",") if each)
    database.run(
        f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; SET search_path TO {name};"
        " CREATE COLLATION mine (provider = libc, locale = 'C');"
        f" CREATE TABLE t ({before and before + ','} a int, b text, d text);"
        + (f" ALTER TABLE t {dropped};" if dropped else "")
        + f" {index}; RESET search_path"
    )
    return fingerprint(database, name)


@pytest.fixture(scope="module")
def found(database: Database) -> dict[str, Fingerprint]:
    return {
        kind: make(database, f"one_{number}", index)
        for number, (kind, index) in enumerate(INDEXES.items())
    }


@pytest.mark.parametrize("kind", INDEXES)
def test_the_same_index_is_alike_whatever_columns_the_table_once_had(
    database: Database, found: dict[str, Fingerprint], kind: str
):
    other = make(database, "other", INDEXES[kind], before="x int, y text")
    assert other.hash == found[kind].hash
    assert found[kind].differences(other) == []


@pytest.mark.parametrize(("one", "other"), [*combinations(INDEXES, 2)])
def test_two_different_indexes_are_told_apart_in_hash_and_in_words(
    found: dict[str, Fingerprint], one: str, other: str
):
    assert found[one].hash != found[other].hash
    (difference,) = found[one].differences(found[other])
    assert difference.split()[:2] == ["index", "t.i"]
    assert difference.count("CREATE") == 2

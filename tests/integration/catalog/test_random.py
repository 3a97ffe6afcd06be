"""Copies of schemas made at random."""

import os
from collections import Counter

import pytest

from appschema.catalog import compare, read_schema
from tests.integration.catalog.database import Database, difference, new_database
from tests.integration.catalog.schemas import Generator

SEEDS = range(200) if os.environ.get("APPSCHEMA_FULL") else range(3)
STATEMENTS = 90
REFERENCES = """
    SELECT count(*) FROM pg_depend AS d JOIN pg_depend AS m USING (classid, objid)
      JOIN pg_namespace AS n ON n.oid = m.refobjid AND m.refclassid = 'pg_namespace'::regclass
     CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS it
     WHERE nspname = 'copy' AND it.schema = 'source'"""


@pytest.mark.full
@pytest.mark.parametrize("seed", SEEDS)
def test_a_schema_made_at_random_is_copied(seed: int):
    with new_database() as database:
        Generator(database.connection, seed).make(STATEMENTS)
        check(database)


def check(database: Database) -> None:
    source, data = database.read("source"), database.data("source")
    database.make(database.script("source"), "copy")
    copy = database.read("copy")
    told = [str(each) for each in compare(source, copy)]
    assert not told, told
    assert source == copy
    assert database.data("copy") == data
    text = difference(database.dump("source"), database.dump("copy"))
    assert not text, text
    assert database.value(REFERENCES) == 0
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("DROP SCHEMA source CASCADE")
        assert read_schema(database.connection.cursor(), "copy") == source


def test_the_schemas_have_objects_of_all_kinds():
    made: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    with new_database() as database:
        for seed in range(2):
            generator = Generator(database.connection, seed)
            generator.make(200)
            database.drop("source")
            made += generator.made
            refused += generator.refused
    assert not [kind for kind in refused if not made[kind]]
    assert len(made) >= 25

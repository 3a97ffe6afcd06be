"""What reading a schema costs does not grow: not with its tables, not with other schemas."""

import json
from typing import Any

import pytest

from appschema.catalog import queries, read_schema, write_schema
from tests.integration.catalog.database import Database

CATALOGS = {"pg_class", "pg_attribute", "pg_depend", "pg_constraint", "pg_index", "pg_type", "pg_proc", "pg_attrdef", "pg_trigger", "pg_inherits", "pg_sequence", "pg_rewrite", "pg_enum"}  # fmt: skip


FORBIDDEN = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")


class Recorder:
    """A cursor that keeps what is sent."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.sent: list[tuple[str, Any]] = []

    def execute(self, query: str, parameters: Any = None) -> None:
        self.sent.append((query, parameters))
        self.cursor.execute(query, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


def sent(database: Database, name: str) -> list[tuple[str, Any]]:
    with database.connection.transaction():
        recorder = Recorder(database.connection.cursor())
        read_schema(recorder, name)
    return recorder.sent


def test_the_number_of_queries_is_the_same_for_any_schema(everything: Database):
    everything.run("CREATE SCHEMA IF NOT EXISTS nothing_in_it")
    many, none = sent(everything, "source"), sent(everything, "nothing_in_it")
    assert [query for query, _ in many] == [query for query, _ in none]
    assert len(many) < 25


@pytest.fixture(scope="module")
def crowd(everything: Database) -> Database:
    """As ``everything``, among other schemas, which the planner knows of."""
    # Each foreign key has four triggers: a catalog that is small may well be read wholly.
    keys = "".join(f", k{number} int REFERENCES small.t" for number in range(20))
    everything.run(
        "CREATE SCHEMA small;"
        f"CREATE TABLE small.t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, b text DEFAULT 'x' CHECK (b <> ''){keys})"
    )
    script = write_schema(everything.read("small"))
    for number in range(60):
        everything.run(script.render(f"other_{number}"))
    # All of them, or it depends on when autovacuum comes by.
    everything.run(f"ANALYZE {', '.join(sorted(CATALOGS))}")
    return everything


@pytest.mark.parametrize("name", ["source", "small"])
def test_no_query_scans_a_whole_catalog(crowd: Database, name: str):
    for query, parameters in sent(crowd, name):
        with crowd.connection.transaction(force_rollback=True):
            cursor = crowd.connection.cursor()
            for kind in FORBIDDEN:
                cursor.execute(f"SET LOCAL {kind} = off")
            cursor.execute(f"EXPLAIN (FORMAT JSON) {query}", parameters)
            plan: Any = (cursor.fetchone() or ([],))[0]
        scanned = set(scans(plan if isinstance(plan, list) else json.loads(plan)))
        assert not scanned & CATALOGS, query


def test_whole_scans_are_seen():
    plan = [{"Plan": {"Node Type": "Seq Scan", "Relation Name": "pg_class"}}]
    assert list(scans(plan)) == ["pg_class"]


def scans(node: Any) -> Any:
    """Yield each table that a plan reads wholly: without an index, or an index without a condition."""
    if isinstance(node, list):
        for each in node:
            yield from scans(each)
    elif isinstance(node, dict):
        kind = node.get("Node Type", "")
        whole = kind == "Seq Scan" or ("Index" in kind and "Index Cond" not in node)
        if whole and "Relation Name" in node:
            yield node["Relation Name"]
        for value in node.values():
            yield from scans(value)


def test_the_reader_itself_forbids_scans(everything: Database):
    settings = next(given for query, given in sent(everything, "source") if "set_config" in query)
    assert {(kind, "off") for kind in FORBIDDEN} <= set(zip(*settings, strict=True))


def test_every_query_has_its_answer():
    assert set(queries.BY_NAME) >= {"relations", "columns", "constraints", "indexes", "triggers"}

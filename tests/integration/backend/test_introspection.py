"""Introspection sees the current schema, and the default path where it is asked to."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.postgresql.introspection import DatabaseIntrospection
from django.db.models import ForeignKey

from appschema import schema_context
from appschema.backends.introspection import _TABLES, _in_own_schema
from appschema.exceptions import SchemaMissing
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan


def tables() -> set[str]:
    return set(connection.introspection.table_names())


def test_each_schema_shows_its_own_tables_only():
    with schema_context("public"):
        assert "plans_plan" in tables()
        assert "notes_note" not in tables()
    with schema_context("alpha"):
        assert "notes_note" in tables()
        assert "plans_plan" not in tables()
    assert "notes_note" not in tables()


def test_table_of_one_schema_is_not_seen_in_another():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE alpha.only_alpha (n int)")
    try:
        with schema_context("alpha"):
            assert "only_alpha" in tables()
        with schema_context("beta"):
            assert "only_alpha" not in tables()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE alpha.only_alpha")


def test_temporary_table_is_seen_as_by_the_stock_backend():
    with schema_context("alpha"), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE only_here (n int)")
        assert "only_here" in tables()
        cursor.execute("DROP TABLE only_here")


@pytest.mark.parametrize("schema_name", [None, "public", "alpha"])
def test_the_list_of_tables_is_that_of_djangos_query(schema_name: str | None):
    def djangos() -> Any:
        with connection.cursor() as cursor:
            list_tables: Any = DatabaseIntrospection.get_table_list
            own: Any = _in_own_schema(list_tables)
            return own(connection.introspection, cursor)

    with schema_context(schema_name), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE temporary (n int) ON COMMIT DROP")
        cursor.execute("COMMENT ON TABLE temporary IS 'of this session'")
        if schema_name == "alpha":
            cursor.execute("CREATE VIEW a_view AS SELECT 1 AS n")
            cursor.execute("CREATE MATERIALIZED VIEW a_copy AS SELECT 1 AS n")
            cursor.execute("CREATE TABLE parted (n int) PARTITION BY RANGE (n)")
            cursor.execute("CREATE TABLE part PARTITION OF parted FOR VALUES FROM (1) TO (9)")
        found = connection.introspection.get_table_list(cursor)
        assert sorted(found) == sorted(djangos())
        assert ("temporary", "t", "of this session") in {tuple(each) for each in found}
        transaction.set_rollback(True)


def test_tables_are_listed_by_way_of_an_index_and_not_by_reading_those_of_all_schemas():
    with schema_context("alpha"), transaction.atomic(), connection.cursor() as cursor:
        # A small catalog is read as a whole all the same; what counts is that a large one need not.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {_TABLES}")
        plan = " ".join(line for (line,) in cursor.fetchall())
    assert "pg_depend_reference_index" in plan
    assert "pg_class_oid_index" in plan


@pytest.mark.usefixtures("alpha")
class TestInsideASchema:
    def test_description_is_that_of_the_schemas_own_table(self):
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE alpha.twin (of_alpha int)")
            cursor.execute("CREATE TABLE public.twin (of_public int, more int)")
            try:
                fields = connection.introspection.get_table_description(cursor, "twin")
                assert [field.name for field in fields] == ["of_alpha"]
            finally:
                cursor.execute("DROP TABLE alpha.twin, public.twin")

    def test_relations_and_constraints_name_foreign_keys_to_public(self):
        table, column = Note._meta.db_table, "plan_id"
        with connection.cursor() as cursor:
            relations = connection.introspection.get_relations(cursor, table)
            constraints = connection.introspection.get_constraints(cursor, table)
        assert relations[column][:2] == ("id", Plan._meta.db_table)
        keys = [each["foreign_key"] for each in constraints.values() if each["foreign_key"]]
        targets = {
            (field.remote_field.model._meta.db_table, "id")
            for field in Note._meta.fields
            if isinstance(field, ForeignKey)
        }
        assert set(keys) == targets
        assert len(keys) == len(targets)

    def test_table_of_public_has_no_relations_here(self):
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE public.apart (n bigint REFERENCES public.plans_plan)")
            try:
                assert connection.introspection.get_relations(cursor, "apart") == {}
            finally:
                cursor.execute("DROP TABLE public.apart")

    def test_constraints_are_those_of_the_schemas_own_table_once(self):
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, Note._meta.db_table)
        assert [name for name, each in found.items() if each["primary_key"]] == ["notes_note_pkey"]

    def test_sequences_are_those_of_the_schema(self):
        with connection.cursor() as cursor:
            found = connection.introspection.get_sequences(cursor, Note._meta.db_table)
        assert [each["column"] for each in found] == ["id"]

    def test_primary_key_is_found(self):
        with connection.cursor() as cursor:
            key = connection.introspection.get_primary_key_column(cursor, Note._meta.db_table)
        assert key == "id"

    def test_cursor_looks_along_the_whole_path_again_afterwards(self):
        with connection.cursor() as cursor:
            connection.introspection.table_names(cursor)
            cursor.execute("SELECT count(*) FROM plans_plan")
            assert cursor.fetchone() == (0,)

    def test_cursor_looks_along_the_whole_path_again_after_an_error(self):
        with connection.cursor() as cursor:
            with schema_context("nowhere"), pytest.raises(SchemaMissing):
                connection.introspection.table_names(cursor)
            cursor.execute("SELECT count(*) FROM plans_plan")


def test_missing_schema_raises():
    with schema_context("nowhere"), pytest.raises(SchemaMissing):
        tables()

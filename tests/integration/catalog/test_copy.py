"""A copy is like its source, and stands without it."""

import pytest
from psycopg import errors

from appschema.catalog import Script, compare, read_rows, read_schema, write_schema
from tests.integration.catalog.database import COPY, WRITTEN, Database, difference

# Namespaces that objects of the copy refer to.
REFERENCES = """
    WITH members AS (
        SELECT classid, objid FROM pg_depend JOIN pg_namespace AS n ON n.oid = refobjid
         WHERE refclassid = 'pg_namespace'::regclass AND nspname = %s)
    SELECT DISTINCT identity.schema
      FROM pg_depend AS d
      JOIN members AS m USING (classid, objid)
     CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS identity
     WHERE identity.schema IS NOT NULL
"""


def test_pg_dump_says_the_same_of_a_copy(copy: Database):
    assert difference(copy.dump("source"), copy.dump(COPY)) == ""


def test_the_snapshots_are_equal(copy: Database):
    one, other = copy.read("source"), copy.read(COPY)
    assert compare(one, other) == ()
    assert one == other


def test_the_rows_and_the_values_of_sequences_are_the_same(copy: Database):
    assert copy.data("source") == copy.data(COPY)


def test_a_copy_of_the_copy_is_the_same_still(copy: Database):
    assert write_schema(copy.read(COPY)) == write_schema(copy.read("source"))


def test_nothing_in_the_copy_refers_to_the_source(copy: Database):
    seen = {schema for (schema,) in copy.rows(REFERENCES, COPY)}
    assert "source" not in seen


def test_the_copy_is_whole_when_the_source_is_dropped(written: Database):
    before = written.read(WRITTEN)
    with written.connection.transaction(force_rollback=True):
        run = written.connection.execute
        run("DROP SCHEMA source CASCADE")
        assert read_schema(written.connection.cursor(), WRITTEN) == before
        run(f'SET LOCAL search_path TO "{WRITTEN}", public')
        run("INSERT INTO person (name, kind) VALUES ('new', 'b')")
        run("INSERT INTO child (p) SELECT id FROM person LIMIT 1")
        run("SET CONSTRAINTS ALL IMMEDIATE")
        run("UPDATE person SET name = name || '!' WHERE kind = 'a'")
        run("REFRESH MATERIALIZED VIEW mv")
        assert run("SELECT count(*) FROM persons('sad')").fetchone() == (3,)
        run("SELECT atom(0), usesgb()")


def test_sequences_of_the_copy_do_not_touch_those_of_the_source(written: Database):
    values = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = %s ORDER BY 1"
    with written.connection.transaction(force_rollback=True):
        run = written.connection.execute
        before = run(values, ["source"]).fetchall()
        run(f"""SET LOCAL search_path TO "{WRITTEN}";
            INSERT INTO renamed (x) VALUES ('3');
            INSERT INTO person (name) VALUES ('carl')""")
        assert run(values, ["source"]).fetchall() == before
        assert run(values, [WRITTEN]).fetchall() != before


def test_an_identity_keeps_the_name_type_and_bounds_of_its_sequence(copy: Database):
    query = "SELECT sequencename, data_type::text, start_value, max_value, last_value FROM pg_sequences WHERE schemaname = %s ORDER BY 1"
    assert copy.rows(query, "source") == copy.rows(query, COPY)
    assert ("old_id_seq", "bigint", 10, 5000, 11) in copy.rows(query, COPY)


def test_a_script_is_kept_as_text(everything: Database):
    script = everything.script("source")
    assert Script.loads(script.dumps()) == script
    assert everything.value("SELECT %s::jsonb ->> 'version'", script.dumps()) == "1"


def test_what_is_no_script_is_refused():
    with pytest.raises(ValueError, match="no script of this version"):
        Script.loads('{"version": 0}')


def test_the_settings_are_afterwards_what_they_were(everything: Database):
    script = write_schema(everything.read("source"))
    with everything.connection.transaction(force_rollback=True):
        run = everything.connection.execute
        run("SET LOCAL search_path TO public, source; SET LOCAL DateStyle TO 'SQL, DMY'")
        before = run("SELECT name, setting FROM pg_settings").fetchall()
        run(script.render(WRITTEN))
        assert run("SELECT name, setting FROM pg_settings").fetchall() == before


def test_reading_leaves_the_settings_as_they_were(everything: Database):
    with everything.connection.transaction(force_rollback=True):
        cursor = everything.connection.cursor()
        cursor.execute(
            "SET LOCAL search_path TO public, source; SET LOCAL TimeZone TO 'Asia/Tokyo'"
        )
        before = cursor.execute("SELECT name, setting FROM pg_settings").fetchall()
        read_rows(cursor, read_schema(cursor, "source"))
        assert cursor.execute("SELECT name, setting FROM pg_settings").fetchall() == before


def test_what_the_session_shows_otherwise_changes_no_snapshot(everything: Database):
    with everything.connection.transaction(force_rollback=True):
        cursor = everything.connection.cursor()
        plain = read_schema(cursor, "source")
        rows = read_rows(cursor, plain)
        cursor.execute("""SET LOCAL DateStyle TO 'German'; SET LOCAL IntervalStyle TO 'sql_standard';
            SET LOCAL TimeZone TO 'Asia/Tokyo'; SET LOCAL extra_float_digits TO -5; SET LOCAL bytea_output TO 'escape';
            SET LOCAL quote_all_identifiers TO on; SET LOCAL search_path TO public; CREATE TEMPORARY TABLE person (id int)""")
        assert read_schema(cursor, "source") == plain
        assert read_rows(cursor, plain) == rows


def test_an_existing_schema_is_never_written_into(everything: Database):
    with pytest.raises(errors.DuplicateSchema):
        everything.connection.execute(write_schema(everything.read("source")).render("public"))
    everything.connection.rollback()


def test_foreign_keys_to_tables_outside_come_last(everything: Database):
    script = write_schema(everything.read("source"))
    assert any("REFERENCES public.plan" in each for each in script.outside)
    assert not any("REFERENCES public." in each for each in (*script.structure, *script.dependents))
    text = script.render(COPY)
    assert text.index("REFERENCES public.") > text.rindex("CREATE ")


def test_the_marker_table_comes_with_the_schema(everything: Database):
    create, marker = write_schema(everything.read("source")).schema
    assert create.startswith("CREATE SCHEMA")
    assert marker.startswith('CREATE TABLE "django_migrations"')

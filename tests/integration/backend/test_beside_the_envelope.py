"""What leaves the schema's path aside for a while: nothing of one schema runs under another's."""

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from appschema import schema_context
from appschema.exceptions import UnsafeStatement


def execute(sql, params=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else None


def boxes(schema_name):
    with schema_context(schema_name):
        return [item for (item,) in execute("SELECT item FROM box ORDER BY item")]


@pytest.fixture
def fill_and_commit():
    """A procedure that writes, commits, and writes again, to whatever box the path leads to."""
    with schema_context("public"):
        execute(
            "CREATE PROCEDURE public.fill(item text) LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO box (item) VALUES (item || ' before'); COMMIT;"
            " INSERT INTO box (item) VALUES (item || ' after'); COMMIT; END $$"
        )
    yield
    with schema_context("public"):
        execute("DROP PROCEDURE public.fill")


def test_a_procedure_that_commits_stays_in_its_schema(alpha, fill_and_commit):
    execute("CALL public.fill(%s)", ["x"])
    assert boxes("alpha") == ["x after", "x before"]
    assert boxes("public") == []


def test_a_procedure_is_refused_where_its_rest_would_leave_the_schema(alpha, fill_and_commit):
    with connection.cursor() as cursor:
        with pytest.raises(UnsafeStatement, match="CALL and DO may commit"):
            cursor.executemany("CALL public.fill(%s)", [["x"], ["y"]])
        with (
            pytest.raises(UnsafeStatement, match="CALL and DO may commit"),
            connection.connection.pipeline(),
        ):
            cursor.execute("CALL public.fill('z')")
        with (
            pytest.raises(UnsafeStatement, match="CALL and DO may commit"),
            connection.connection.pipeline(),
        ):
            cursor.execute("DO $$\nBEGIN\n COMMIT; INSERT INTO box (item) VALUES ('z'); END $$")
    assert boxes("alpha") == boxes("public") == []


def test_what_goes_alone_under_public_does_not_rely_on_the_sessions_path(fill_and_commit):
    with schema_context("public"):
        with transaction.atomic():
            execute("SET SESSION search_path TO beta")
        execute("CALL public.fill('x')")
    connection.close()
    assert boxes("public") == ["x after", "x before"]
    assert boxes("beta") == []


def test_what_goes_alone_asks_for_the_both_apps_tables_that_it_names(schema_of_its_own):
    with schema_context(schema_of_its_own):
        execute("DROP TABLE tags_tag CASCADE")
        for sql in ("VACUUM tags_tag", "CREATE INDEX CONCURRENTLY lagging ON tags_tag (label)"):
            with pytest.raises(ProgrammingError, match=r"gamma\.tags_tag"):
                execute(sql)
    with schema_context("public"):
        assert execute("SELECT 1 FROM pg_class WHERE relname = 'lagging'") == []


@pytest.fixture
def late_trigger():
    """A deferred trigger on alpha's box that writes to whatever box the path leads to."""
    with schema_context("alpha"):
        execute(
            "CREATE FUNCTION public.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF new.item NOT LIKE 'late%' THEN INSERT INTO box (item) VALUES ('late ' || new.item);"
            " END IF; RETURN NULL; END $$;"
            " CREATE CONSTRAINT TRIGGER late AFTER INSERT ON alpha.box"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.late()"
        )
    yield
    with schema_context("public"):
        execute("DROP FUNCTION public.late CASCADE")


@pytest.mark.parametrize(
    "last", ["CREATE EXTENSION IF NOT EXISTS plpgsql", "RESET search_path", "RESET ALL"]
)
def test_a_late_trigger_fires_in_its_schema_whatever_path_a_last_statement_leaves(
    alpha, late_trigger, last
):
    with transaction.atomic():
        execute("INSERT INTO box (item) VALUES ('x')")
        execute(last)
    assert boxes("alpha") == ["late x", "x"]
    assert boxes("public") == []


@pytest.mark.parametrize(
    "back", ["RESET search_path", "RESET ALL", "SET LOCAL search_path TO DEFAULT"]
)
def test_after_a_path_is_taken_back_the_schemas_stands(alpha, back):
    with transaction.atomic():
        execute("SET LOCAL search_path TO pg_catalog")
        execute(back)
        execute("INSERT INTO box (item) VALUES ('x')")
    assert boxes("alpha") == ["x"]
    assert boxes("public") == []


def test_a_text_that_ends_its_transaction_is_not_sent_twice():
    with schema_context("public"):
        with pytest.raises(DatabaseError, match="VACUUM"):
            execute("INSERT INTO box (item) VALUES ('once'); COMMIT; VACUUM box")
        assert boxes("public") == ["once"]


def test_what_goes_alone_is_not_prepared(make_alias):
    other = make_alias("other", server_side_binding=True, prepare_threshold=0)
    with schema_context("alpha"), other.cursor() as cursor:
        cursor.execute("VACUUM box")
        assert cursor.cursor.statusmessage == "VACUUM"

"""Inside one transaction: switches, rollbacks, the user's own path, triggers that fire late."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from appschema import schema_context
from appschema.exceptions import UnsafeStatement


def ask(sql: str = "SELECT name FROM place", params: Any = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def run(sql: str, params=None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def boxes() -> list[tuple[str, str]]:
    """The rows of every schema's box: where they are, and where they say they were written."""
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{name}', place FROM {name}.box" for name in ("public", "alpha", "beta")
            )
        )
        return sorted(cursor.fetchall())


class Undo(Exception):
    pass


def test_rollback_leaves_nothing_behind():
    with suppress(Undo), schema_context("alpha"), transaction.atomic():
        assert ask() == "alpha"
        raise Undo
    assert ask() == "public"
    with schema_context("beta"):
        assert ask() == "beta"


def test_rollback_to_a_savepoint_does_not_bring_back_an_earlier_schema():
    with transaction.atomic():
        with schema_context("alpha"):
            assert ask() == "alpha"
        with schema_context("beta"):
            with suppress(Undo), transaction.atomic():
                assert ask() == "beta"
                raise Undo
            assert ask() == "beta"
    # The same with the schema set inside the savepoint only.
    with schema_context("alpha"), transaction.atomic():
        assert ask() == "alpha"
        with suppress(Undo), schema_context("beta"), transaction.atomic():
            assert ask() == "beta"
            raise Undo
        assert ask() == "alpha"


def test_failed_statement_inside_a_savepoint_does_not_change_the_schema():
    with schema_context("alpha"), transaction.atomic():
        with pytest.raises(DatabaseError), schema_context("beta"), transaction.atomic():
            run("SELECT 1/0")
        assert ask() == "alpha"


@pytest.mark.parametrize("text", ["ROLLBACK TO s", "-- why\nrollback to savepoint s;"])
def test_rollback_to_a_savepoint_by_sql_text_does_not_bring_back_an_earlier_schema(text):
    with transaction.atomic():
        with schema_context("alpha"):
            assert ask() == "alpha"
            run("SAVEPOINT s")
        with schema_context("beta"):
            assert ask() == "beta"
            run(text)
            assert ask() == "beta"


def test_rollback_to_a_savepoint_by_sql_text_mends_a_failed_transaction():
    with schema_context("alpha"), transaction.atomic():
        run("SAVEPOINT s")
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")
        connection.needs_rollback = False
        run("ROLLBACK TO s")
        assert ask() == "alpha"


@pytest.mark.parametrize(
    "text",
    [
        "ROLLBACK TO s; SELECT name FROM place",
        "ROLLBACK TO s;-- ;\rSELECT name FROM place",
        "SELECT 1; /**/ rollback to s; INSERT INTO box VALUES (1)",
        "COMMIT; SELECT name FROM place",
        "COMMIT AND CHAIN; SELECT name FROM place",
        "ROLLBACK; BEGIN; SELECT name FROM place",
    ],
)
def test_text_that_goes_on_behind_a_rollback_is_refused_and_not_sent(text, wire):
    with schema_context("alpha"), transaction.atomic():
        run("SAVEPOINT s")
        with wire() as sent, pytest.raises(UnsafeStatement, match="'alpha'"):
            run(text)
        assert sent == []
        connection.needs_rollback = False
        assert ask() == "alpha"


def test_text_that_goes_on_behind_a_commit_is_refused_outside_a_transaction_too():
    with schema_context("alpha"), pytest.raises(UnsafeStatement):
        run("SELECT 1; COMMIT; SELECT name FROM place")


def test_statement_that_begins_a_transaction_runs_in_the_schema():
    with schema_context("alpha"):
        run("BEGIN; INSERT INTO box SELECT name FROM place")
        try:
            assert ask() == "alpha"
            with schema_context("beta"):
                assert ask() == "beta"
        finally:
            run("COMMIT")
    assert boxes() == [("alpha", "alpha")]


@pytest.mark.parametrize("switches", [False, True])
def test_blocks_of_psycopg_follow_the_context(switches):
    connection.ensure_connection()
    raw = connection.connection
    for name in ("alpha", "beta", "alpha"):
        with schema_context(name), raw.transaction():
            assert ask() == name
            with suppress(Undo), raw.transaction():
                other = "beta" if switches else name
                with schema_context(other):
                    assert ask() == other
                raise Undo
            assert ask() == name


def test_manual_transactions_follow_the_context():
    connection.ensure_connection()
    connection.set_autocommit(False)
    try:
        for end in (connection.commit, connection.rollback):
            for name in ("alpha", "beta"):
                with schema_context(name):
                    assert ask() == name
                    end()
                    assert ask() == name
            assert ask() == "public"
            end()
    finally:
        connection.rollback()
        connection.set_autocommit(True)


# The user's own path -------------------------------------------------------------------------

OWN_PATHS = {
    "set_local": ("SET LOCAL search_path TO beta", None),
    "set_session": ("SET search_path TO beta", None),
    "set_schema": ("SET LOCAL SCHEMA 'beta'", None),
    "set_config": ("SELECT set_config('search_path', 'beta', true)", None),
    "set_config_with_parameters": ("SELECT set_config(%s, %s, %s)", ["search_path", "beta", True]),
    "do": ("DO $$ BEGIN SET LOCAL search_path TO beta; END $$", None),
    "do_set_config": ("DO $$ BEGIN PERFORM set_config('search_path', 'beta', true); END $$", None),
    "behind_another": ("SELECT 1; SET LOCAL search_path TO beta", None),
    "upper_case": ("SET LOCAL SEARCH_PATH = beta", None),
}


@pytest.fixture(params=OWN_PATHS)
def set_own_path(request: pytest.FixtureRequest) -> Iterator[object]:
    """Set the path to beta, as a published migration might."""
    connection.ensure_connection()
    yield lambda: run(*OWN_PATHS[request.param])
    # Of a SET that was meant for the session something may stay on it.
    connection.close()


def test_users_own_path_stands_for_the_next_statements_of_the_transaction(set_own_path):
    with schema_context("alpha"), transaction.atomic():
        assert ask() == "alpha"
        set_own_path()
        assert ask() == "beta"
        assert ask("SELECT name FROM place WHERE name <> %s", ["x"]) == "beta"


def test_users_own_path_ends_at_a_switch(set_own_path):
    with schema_context("alpha"), transaction.atomic():
        set_own_path()
        with schema_context("public"):
            assert ask() == "public"
        assert ask() == "alpha"


def test_users_own_path_ends_at_a_rollback_to_a_savepoint(set_own_path):
    with schema_context("alpha"), transaction.atomic():
        with suppress(Undo), transaction.atomic():
            set_own_path()
            assert ask() == "beta"
            raise Undo
        assert ask() == "alpha"


def test_users_own_path_survives_the_release_of_a_savepoint_or_ends_there(set_own_path):
    with schema_context("alpha"), transaction.atomic():
        with transaction.atomic():
            set_own_path()
            assert ask() == "beta"
        assert ask() in ("alpha", "beta")
        with schema_context("public"):
            assert ask() == "public"


def test_users_own_path_ends_with_the_transaction(set_own_path):
    with schema_context("alpha"):
        with transaction.atomic():
            set_own_path()
            assert ask() == "beta"
        assert ask() == "alpha"
        with transaction.atomic():
            assert ask() == "alpha"


def test_users_own_path_ends_with_a_block_of_psycopg(set_own_path):
    raw = connection.connection
    with schema_context("alpha"):
        with raw.transaction():
            set_own_path()
            assert ask() == "beta"
        with raw.transaction():
            assert ask() == "alpha"
            with suppress(Undo), raw.transaction():
                set_own_path()
                assert ask() == "beta"
                raise Undo
            with raw.transaction():
                assert ask() == "alpha"
            assert ask() == "alpha"
            with schema_context("public"):
                with suppress(Undo), raw.transaction():
                    set_own_path()
                    raise Undo
                assert ask() == "public"


def test_users_own_path_outside_a_transaction_ends_with_its_message(set_own_path):
    with schema_context("alpha"):
        set_own_path()
        assert ask() == "alpha"
        with transaction.atomic():
            assert ask() == "alpha"
    assert ask() == "public"


def test_users_own_path_can_be_restored_by_the_value_that_was_read():
    with schema_context("alpha"), transaction.atomic():
        found = ask("SHOW search_path")
        run("SELECT set_config('search_path', 'beta', true)")
        assert ask() == "beta"
        run("SELECT set_config('search_path', %s, true)", [found])
        assert ask() == "alpha"


@pytest.mark.parametrize("text", ["RESET search_path", "RESET ALL", "SET search_path TO DEFAULT"])
def test_path_that_is_taken_back_is_the_schemas_again(text):
    with schema_context("alpha"), transaction.atomic():
        run("SET LOCAL search_path TO beta")
        run(text)
        assert ask() == "alpha"


def test_users_own_path_by_parameters_stands_with_server_side_binding(make_alias):
    db = make_alias("ssb", server_side_binding=True)
    with schema_context("alpha"), transaction.atomic(using="ssb"), db.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", ["search_path", "beta"])
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        assert cursor.fetchone() == ("beta",)


def test_text_that_only_names_search_path_changes_nothing():
    with schema_context("alpha"), transaction.atomic():
        ask("SELECT 'SET LOCAL search_path TO beta'")
        ask("SELECT %s", ["set_config search_path"])
        ask("SHOW search_path")
        assert ask() == "alpha"
        with schema_context("beta"):
            assert ask() == "beta"


# Temporary tables ----------------------------------------------------------------------------


def test_temporary_table_left_behind_never_shadows_a_table_of_a_schema():
    with schema_context("alpha"):
        run("CREATE TEMPORARY TABLE place AS SELECT 'temporary' AS name")
        assert ask() == "alpha"
        assert ask("SELECT name FROM pg_temp.place") == "temporary"
    with schema_context("beta"), transaction.atomic():
        assert ask() == "beta"
    assert ask() == "public"
    run("DROP TABLE pg_temp.place")


def test_temporary_table_of_an_unused_name_is_found():
    with schema_context("alpha"):
        run("CREATE TEMPORARY TABLE only_here AS SELECT 'temporary' AS name")
        assert ask("SELECT name FROM only_here") == "temporary"
        run("DROP TABLE only_here")


# Cursors held by PostgreSQL ------------------------------------------------------------------

WHEREAMI = "SELECT whereami() FROM generate_series(1, 6)"


def test_fetch_after_a_switch_runs_under_the_schema_of_its_declare():
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        with schema_context("alpha"):
            cursor.execute(WHEREAMI)
        with schema_context("beta"):
            assert set(cursor.fetchmany(2)) == {("alpha",)}
            assert ask() == "beta"
            assert set(cursor.fetchmany(2)) == {("alpha",)}
            assert ask() == "beta"
        assert set(cursor.fetchall()) == {("alpha",)}
        assert ask() == "public"


def test_two_held_cursors_of_two_schemas_are_fetched_in_turn():
    with (
        transaction.atomic(),
        connection.chunked_cursor() as first,
        connection.chunked_cursor() as second,
    ):
        with schema_context("alpha"):
            first.execute(WHEREAMI)
        with schema_context("beta"):
            second.execute(WHEREAMI)
        for _ in range(3):
            assert first.fetchone() == ("alpha",)
            assert second.fetchone() == ("beta",)


def test_cursor_held_outside_a_transaction_keeps_the_rows_of_its_schema():
    with connection.chunked_cursor() as cursor:
        with schema_context("alpha"):
            cursor.execute(WHEREAMI)
        with schema_context("beta"):
            assert set(cursor.fetchall()) == {("alpha",)}


def test_move_runs_under_the_schema_of_its_declare():
    connection.ensure_connection()
    with transaction.atomic(), connection.connection.cursor("moved", scrollable=True) as cursor:
        with schema_context("alpha"):
            run("CREATE SEQUENCE alpha.steps")
            run("CREATE SEQUENCE beta.steps")
            cursor.execute(
                "SELECT CASE WHEN whereami() = 'alpha' THEN nextval('alpha.steps')"
                " ELSE nextval('beta.steps') END FROM generate_series(1, 6)"
            )
        with schema_context("beta"):
            assert ask() == "beta"
            cursor.scroll(3)
            assert cursor.fetchone() == (4,)
        transaction.set_rollback(True)


def test_held_cursor_is_fetched_after_a_rollback_to_a_savepoint():
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        with schema_context("alpha"):
            cursor.execute(WHEREAMI)
        with suppress(Undo), transaction.atomic(), schema_context("beta"):
            assert ask() == "beta"
            raise Undo
        assert set(cursor.fetchall()) == {("alpha",)}


# Triggers and constraints that wait for the COMMIT -------------------------------------------


@pytest.fixture
def late_trigger() -> Iterator[None]:
    """At COMMIT, each row of `thing` leaves a row in the `box` of the path that is set then."""
    names = ("alpha", "beta", "public")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO box VALUES (TG_TABLE_SCHEMA, current_schema()); RETURN NULL; END $$"
        )
        for name in names:
            cursor.execute(
                f"CREATE TABLE {name}.thing (n int UNIQUE DEFERRABLE INITIALLY IMMEDIATE);"
                f"CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON {name}.thing"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.tell()"
            )
        yield
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE alpha.thing, beta.thing, public.thing; DROP FUNCTION public.tell"
        )


def told() -> list[tuple[str, str, str]]:
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{name}', place, item FROM {name}.box"
                for name in ("public", "alpha", "beta")
            )
        )
        return sorted(cursor.fetchall())


EACH_IN_ITS_OWN = [("alpha",) * 3, ("beta",) * 3]


def insert(name: str, n: int = 1) -> None:
    with schema_context(name):
        run("INSERT INTO thing VALUES (%s)", [n])


@pytest.mark.usefixtures("late_trigger")
class TestLateTriggers:
    def test_fire_under_their_schema_at_commit(self):
        with transaction.atomic():
            insert("alpha")
        assert told() == [("alpha",) * 3]

    def test_fire_under_their_schema_at_commit_though_another_is_current_then(self):
        with schema_context("beta"), transaction.atomic():
            insert("alpha")
        assert told() == [("alpha",) * 3]

    def test_fire_under_their_schema_before_a_switch(self):
        with transaction.atomic():
            insert("alpha")
            insert("beta")
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_before_a_switch_to_public(self):
        with transaction.atomic():
            insert("alpha")
            assert ask() == "public"
        assert told() == [("alpha",) * 3]

    def test_fire_under_their_schema_after_a_rollback_to_a_savepoint(self):
        with transaction.atomic():
            insert("alpha")
            with suppress(Undo), transaction.atomic():
                insert("beta")
                raise Undo
            insert("beta")
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_after_a_rollback_at_the_end_of_a_text(self):
        with transaction.atomic():
            insert("beta")
            run("SAVEPOINT s")
            with schema_context("alpha"):
                run("SELECT 1; ROLLBACK TO s")
                assert ask() == "alpha"
        assert told() == [("beta",) * 3]

    def test_fire_under_their_schema_when_none_is_current_and_the_path_is_taken_back(self):
        with transaction.atomic():
            insert("alpha")
            run("RESET search_path")
        assert told() == [("alpha",) * 3]

    def test_fire_at_commit_after_a_rollback_to_a_savepoint(self):
        with transaction.atomic():
            insert("alpha")
            with suppress(Undo), transaction.atomic():
                insert("beta")
                raise Undo
        assert told() == [("alpha",) * 3]

    def test_fire_under_their_schema_when_a_savepoint_is_released(self):
        with transaction.atomic():
            with transaction.atomic():
                insert("alpha")
            with transaction.atomic():
                insert("beta")
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_before_a_fetch_of_another(self):
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            with schema_context("beta"):
                cursor.execute(WHEREAMI)
            insert("alpha")
            cursor.fetchone()
        assert told() == [("alpha",) * 3]

    def test_fire_under_their_schema_before_executemany_of_another(self):
        with transaction.atomic():
            insert("alpha")
            with schema_context("beta"), connection.cursor() as cursor:
                cursor.executemany("INSERT INTO thing VALUES (%s)", [[1], [2]])
        assert told() == [("alpha",) * 3, ("beta",) * 3, ("beta",) * 3]

    def test_fire_under_their_schema_before_copy_of_another(self):
        with transaction.atomic():
            insert("alpha")
            with schema_context("beta"), connection.cursor() as cursor:
                with cursor.copy("COPY thing FROM STDIN") as copy:
                    copy.write_row([1])
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_in_a_pipeline(self):
        connection.ensure_connection()
        with transaction.atomic():
            insert("alpha")
            with connection.connection.pipeline(), schema_context("beta"):
                connection.connection.execute("INSERT INTO thing VALUES (1)")
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_with_server_side_binding(self, make_alias):
        db = make_alias("ssb", server_side_binding=True)
        with transaction.atomic(using="ssb"), db.cursor() as cursor:
            for name in ("alpha", "beta"):
                with schema_context(name):
                    cursor.execute("INSERT INTO thing VALUES (%s)", [1])
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_though_the_text_begins_the_transaction(self):
        with schema_context("alpha"):
            run("BEGIN; INSERT INTO thing VALUES (1)")
        insert("beta")
        run("COMMIT")
        assert told() == EACH_IN_ITS_OWN

    def test_fire_under_their_schema_in_a_transaction_of_psycopg(self):
        connection.ensure_connection()
        with connection.connection.transaction():
            insert("alpha")
            with connection.connection.transaction():
                insert("beta")
            insert("alpha", 2)
        assert told() == [("alpha",) * 3, *EACH_IN_ITS_OWN]

    @pytest.mark.xfail(
        reason="PostgreSQL has no way to set constraints back to what they were.", strict=True
    )
    def test_immediate_constraint_stays_immediate_behind_a_switch(self):
        with transaction.atomic():
            insert("alpha")
            insert("beta")
            with pytest.raises(IntegrityError), transaction.atomic():
                insert("beta")

    def test_violated_constraint_is_told_at_the_switch(self):
        with schema_context("alpha"):
            run("ALTER TABLE thing ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
            run("ALTER TABLE thing DROP CONSTRAINT thing_n_key")
        with transaction.atomic():
            insert("alpha")
            insert("alpha")
            with pytest.raises(IntegrityError):
                insert("beta")
            transaction.set_rollback(True)
        assert told() == []


def test_deferred_foreign_keys_wait_for_the_commit_within_one_schema():
    from tests.sample.notes.models import Attachment, Note

    with schema_context("alpha"), transaction.atomic():
        Attachment.objects.create(note_id=7, name="before its note")
        Note.objects.create(pk=7, title="behind its attachment")


def test_two_phase_commit_follows_the_context():
    if ask("SHOW max_prepared_transactions") == "0":
        pytest.skip("The server takes no prepared transactions.")
    raw = connection.connection
    with schema_context("alpha"):
        raw.tpc_begin(raw.xid(1, "g", "b"))
        run("INSERT INTO box SELECT name FROM place")
        raw.tpc_prepare()
        raw.tpc_commit()
    assert boxes() == [("alpha", "alpha")]


def test_error_in_a_pipeline_leaves_the_next_statement_in_its_schema():
    connection.ensure_connection()
    with pytest.raises(psycopg.Error), schema_context("beta"), connection.connection.pipeline():
        connection.connection.execute("SELECT 1/0")
    with schema_context("alpha"):
        assert ask() == "alpha"


def test_users_own_path_in_a_pipeline_ends_with_its_transaction():
    connection.ensure_connection()
    raw = connection.connection
    with schema_context("alpha"), raw.pipeline() as pipeline:
        raw.execute("SELECT 1")
        raw.execute("SELECT set_config('search_path', 'beta', true)")
        pipeline.sync()
        assert raw.execute("SELECT name FROM place").fetchone() == ("alpha",)


# Texts that name search_path and do something else too -----------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'set search_path'; ROLLBACK TO s",
        "SET LOCAL search_path TO alpha, public; ROLLBACK TO s",
        "SELECT set_config('search_path', 'alpha', true); ROLLBACK TO s",
        "SET LOCAL search_path TO alpha, public; COMMIT; BEGIN",
    ],
)
def test_a_text_that_names_a_path_and_ends_a_transaction_leaves_none(text):
    with transaction.atomic():
        with schema_context("beta"):
            assert ask() == "beta"
            run("SAVEPOINT s")
        with schema_context("alpha"):
            run(text)
            assert ask() == "alpha"


RESETS = [
    "RESET search_path",
    "RESET /**/ ALL",
    "SET LOCAL search_path TO /**/ DEFAULT",
    "SET search_path = default",
    "SELECT set_config('search_path', NULL, true)",
    "SELECT set_config('search_path', cast(null AS text), true)",
    "SELECT pg_catalog.set_config('search_path', /* none */ (NULL), true)",
]


@pytest.mark.parametrize("is_open", [True, False], ids=["in a transaction", "outside"])
@pytest.mark.parametrize(
    "text",
    [
        *(f"{reset}; SELECT 1" for reset in RESETS),
        *(f"INSERT INTO box (place) VALUES ('x'); {reset}" for reset in RESETS),
        *(
            f"DO $$ BEGIN PERFORM 1; {reset.replace('SELECT', 'PERFORM')}; END $$"
            for reset in RESETS
        ),
        "DO $$\nBEGIN\n COMMIT; RESET search_path; END $$",
    ],
)
def test_a_text_that_takes_the_path_back_among_others_is_refused(text, is_open):
    around = transaction.atomic() if is_open else nullcontext()
    with schema_context("alpha"), around:
        with pytest.raises(UnsafeStatement, match=r"'alpha'.* of its own"):
            run(text)
        assert ask() == "alpha"
    assert boxes() == []


@pytest.mark.parametrize("text", RESETS)
def test_a_path_that_is_taken_back_by_a_text_of_its_own_is_the_schemas(text):
    with schema_context("alpha"), transaction.atomic():
        run("SET LOCAL search_path TO beta")
        run(text)
        assert ask() == "alpha"
        run("SELECT set_config(%s, %s, true)", ["search_path", None])
        assert ask() == "alpha"


def test_a_path_that_is_taken_back_by_a_parameter_of_the_server_is_the_schemas(make_alias):
    db = make_alias("ssb", server_side_binding=True)
    with schema_context("alpha"), transaction.atomic(using="ssb"), db.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", ["search_path", None])
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        assert cursor.fetchone() == ("alpha",)


def test_text_that_only_speaks_of_a_reset_is_sent():
    with schema_context("alpha"), transaction.atomic():
        run("SELECT 1; SELECT 'reset all; set search_path to default'")
        run("SELECT 1; SELECT %s", ["RESET search_path"])
        run("SELECT 1 /* RESET ALL */; SELECT 2 -- reset search_path")
        assert ask() == "alpha"
    with schema_context("public"):
        run("RESET search_path; SELECT 1")

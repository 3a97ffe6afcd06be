"""Under roles PostgreSQL itself refuses what raw SQL names, whatever carries the statement."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction

from appschema import current_schema, schema_context
from appschema.context import as_owner
from tests.integration.backend.test_carriers import MODES, SERVER_SIDE_WAYS, WAYS, visit
from tests.integration.backend.test_wire import COUNTS, SERVER_SIDE_COUNTS, send
from tests.integration.roles.conftest import run

pytestmark = pytest.mark.usefixtures("in_fleet")
# Under the role of no schema there is no `place` to ask.
DENIED = (ProgrammingError, psycopg.errors.InsufficientPrivilege)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Callable[[Any], AbstractContextManager[Any]]:
    return MODES[request.param]


def ask_in_each(db: Any, name: str, mode: Any) -> None:
    """One transaction (or none) and one connection, switched between schemas."""
    with mode(db):
        for schema_name in ("alpha", "beta", "public", "alpha"):
            with schema_context(schema_name):
                assert {**WAYS, **SERVER_SIDE_WAYS}[name](db) == [schema_name]


def refused(db: Any, name: str, mode: Any) -> None:
    ask = {**WAYS, **SERVER_SIDE_WAYS}[name]
    for schema_name in ("alpha", "public"):
        # The owner may, so what is refused is refused to the role.
        with schema_context(schema_name), as_owner(), mode(db):
            assert ask(db) == [schema_name]
        with schema_context(schema_name), pytest.raises(DENIED, match="permission denied"):
            with mode(db):
                ask(db)


def of_client(name: str) -> bool:
    return name != "schema_editor"


CLIENT = sorted(filter(of_client, WAYS))
SERVER = sorted(filter(of_client, {**WAYS, **SERVER_SIDE_WAYS}))


@pytest.mark.parametrize("name", [*CLIENT, "schema_editor"])
def test_each_way_to_send_works_under_the_role(name, mode):
    ask_in_each(connection, name, mode)


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("name", [*CLIENT, "schema_editor"])
def test_each_way_to_send_carries_the_role(name, mode):
    refused(connection, name, mode)


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("name", SERVER)
def test_server_side_binding_carries_the_role(name, mode, make_alias):
    refused(make_alias("bound", server_side_binding=True), name, mode)


@pytest.mark.parametrize("name", SERVER)
def test_server_side_binding_works_under_the_role(name, mode, make_alias):
    ask_in_each(make_alias("bound", server_side_binding=True), name, mode)


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("name", ["execute", "executemany", "pipeline", "copy_out", "stream"])
def test_pooled_connection_carries_the_role(name, mode, make_alias):
    refused(make_alias("pooled", pool={"min_size": 1, "max_size": 1}), name, mode)


def whoami(db: Any = connection) -> str:
    return str(db.connection.pgconn.exec_(b"SELECT current_user").get_value(0, 0).decode())


@pytest.mark.parametrize("name", CLIENT)
def test_nothing_of_the_role_stays_on_the_session(name, mode):
    with schema_context("alpha"), mode(connection):
        WAYS[name](connection)
    assert whoami() == connection.settings_dict["USER"]


# What raw SQL may name, from where: the table, and whether PostgreSQL gives it.
NAMED = {
    "alpha": {"alpha.notes_note": True, "beta.notes_note": False, "public.tags_tag": False},
    "public": {"alpha.notes_note": False, "public.tags_tag": True},
    None: {"alpha.notes_note": False, "public.tags_tag": False},
}
CASES = [(where, table, may) for where, tables in NAMED.items() for table, may in tables.items()]
CASES += [(where, "public.plans_plan", True) for where in NAMED]
ACTS = {
    "read": "SELECT * FROM {}",
    "count": "SELECT count(*) FROM (SELECT 1 FROM {}) AS t",
    "lock": "SELECT * FROM {} FOR UPDATE",
    "update": "UPDATE {} SET id = id",
    "delete": "DELETE FROM {}",
    "truncate": "TRUNCATE {} CASCADE",
    "copy": "COPY {} TO STDOUT",
}


@pytest.mark.parametrize(("where", "table", "may"), CASES)
@pytest.mark.parametrize("act", ["read", "count", "lock", "update", "delete"])
def test_raw_sql_reaches_what_the_current_schema_may(where, table, may, act, mode):
    expected = nullcontext() if may else pytest.raises(ProgrammingError)
    with expected as caught, schema_context(where), mode(connection):
        with connection.cursor() as cursor:
            cursor.execute(ACTS[act].format(table))
    if not may:
        assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("act", ["truncate", "copy"])
@pytest.mark.parametrize("table", ["beta.notes_note", "public.tags_tag"])
def test_raw_sql_cannot_empty_or_copy_what_is_elsewhere(act, table):
    def copy(cursor: Any) -> list[Any]:
        with cursor.copy(ACTS["copy"].format(table)) as rows:
            return list(rows)

    expected = pytest.raises(DENIED, match="permission denied")
    with expected, schema_context("alpha"), connection.cursor() as cursor:
        cursor.execute(ACTS[act].format(table)) if act != "copy" else copy(cursor)


def test_a_role_may_not_change_structure_and_the_owner_may():
    with schema_context("alpha"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("CREATE TABLE made (id int)")
        with as_owner():
            cursor.execute("CREATE TABLE made (id int)")
        cursor.execute("INSERT INTO made VALUES (1)")
        with as_owner():
            cursor.execute("DROP TABLE made")


def test_what_goes_alone_goes_under_the_role():
    with schema_context("alpha"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="must be owner"):
            cursor.execute("CREATE INDEX CONCURRENTLY box_alone ON box (item)")
        with as_owner():
            cursor.execute("CREATE INDEX CONCURRENTLY box_alone ON box (item)")
            cursor.execute("DROP INDEX box_alone")


@pytest.mark.usefixtures("sealed")
def test_a_procedure_that_commits_runs_under_the_role_to_its_end():
    block = "DO $$ BEGIN COMMIT; PERFORM name FROM place; END $$"
    with schema_context("alpha"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute(block)
        with as_owner():
            cursor.execute(block)


def current_user(cursor: Any) -> str:
    cursor.execute("SELECT current_user::text")
    return str(cursor.fetchone()[0]).rpartition("/")[2]


@pytest.mark.parametrize("own", ["RESET ROLE", "SET ROLE NONE", "SET LOCAL ROLE NONE"])
def test_a_role_that_the_user_sets_holds_for_one_message(own, mode):
    with schema_context("alpha"), mode(connection), connection.cursor() as cursor:
        cursor.execute(own)
        assert current_user(cursor) == "alpha"


def test_the_role_is_set_while_a_path_of_the_users_stands():
    with schema_context("alpha"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path TO alpha")
        cursor.execute("RESET ROLE")
        assert current_user(cursor) == "alpha"
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ("alpha",)


def test_role_and_schema_switch_together_in_a_transaction():
    with transaction.atomic(), connection.cursor() as cursor:
        for name in ("alpha", "beta", None, "public", "alpha"):
            with schema_context(name):
                assert current_user(cursor) == (name or "@unset")
                assert current_schema() == name


@pytest.mark.parametrize("fails", [False, True])
def test_a_rollback_leaves_no_role_behind(fails):
    with schema_context("alpha"), transaction.atomic(), connection.cursor() as cursor:
        expected = pytest.raises(ProgrammingError if fails else RuntimeError)
        with expected, transaction.atomic(), schema_context("beta"):
            cursor.execute("SELECT * FROM alpha.place" if fails else "SELECT 1")
            raise RuntimeError
        assert current_user(cursor) == "alpha"
    assert whoami() == connection.settings_dict["USER"]


def test_a_cursor_is_fetched_under_the_role_of_its_declare():
    names: list[Any] = []
    with (
        transaction.atomic(),
        connection.chunked_cursor() as cursor,
        connection.cursor() as other,
    ):
        with schema_context("alpha"):
            cursor.execute("SELECT current_user::text FROM generate_series(1, 4)")
            names += cursor.fetchmany(1)
        with schema_context("beta"):
            other.execute("SELECT 1")
            names += cursor.fetchmany(1)
        with as_owner(), schema_context("alpha"):
            other.execute("SELECT 1")
            names += cursor.fetchmany(2)
    assert {name.rpartition("/")[2] for (name,) in names} == {"alpha"}


TRIGGER = """
    CREATE OR REPLACE FUNCTION public.remember() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO box VALUES (current_user, NEW.place); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON alpha.box DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.item = 'new') EXECUTE FUNCTION public.remember();
"""


@pytest.fixture
def late_trigger(in_fleet: None) -> Iterator[None]:
    run(TRIGGER)
    yield
    run("DROP TRIGGER late ON alpha.box; DROP FUNCTION public.remember")


@pytest.mark.usefixtures("late_trigger")
@pytest.mark.parametrize("then", ["beta", "public", None, "owner", "commit"])
def test_pending_triggers_fire_under_the_role_that_they_belong_to(then):
    with transaction.atomic(), connection.cursor() as cursor:
        with schema_context("alpha"):
            cursor.execute("INSERT INTO box VALUES ('x', 'new')")
            if then == "owner":
                with as_owner():
                    cursor.execute("SELECT 1")
        if then not in ("owner", "commit"):
            with schema_context(then):
                cursor.execute("SELECT 1")
    with schema_context("alpha"), connection.cursor() as cursor:
        cursor.execute("SELECT place FROM box WHERE item = 'x'")
        assert [name.rpartition("/")[2] for (name,) in cursor.fetchall()] == ["alpha"]


@pytest.mark.parametrize("name", COUNTS)
def test_roles_send_no_message_more(name, wire):
    with schema_context("alpha"):
        assert send(connection, name, wire) == COUNTS[name][1]


@pytest.mark.parametrize("name", SERVER_SIDE_COUNTS)
def test_roles_send_no_message_more_with_server_side_binding(name, wire, make_alias):
    with schema_context("alpha"):
        db = make_alias("bound", server_side_binding=True)
        assert send(db, name, wire) == SERVER_SIDE_COUNTS[name][1]


def test_visit_of_the_backends_tests_ends_in_public_without_roles_only():
    # Unset, `place` of public is refused: what raw SQL reads without roles.
    with pytest.raises(ProgrammingError, match="permission denied"):
        visit(connection, WAYS["execute"], nullcontext)

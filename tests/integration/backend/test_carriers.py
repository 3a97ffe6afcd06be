"""Every way to send SQL carries the current schema, alone and inside a transaction."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from psycopg import sql

from appschema import schema_context
from appschema.exceptions import SchemaMissing, UnsafeStatement, WrongSchema
from tests.sample.tags.models import Tag

Way = Callable[[Any], list[Any]]
WAYS: dict[str, Way] = {}


def way(function: Way) -> Way:
    """Register a way to ask `place` for the schema in which the question arrived."""
    WAYS[function.__name__] = function
    return function


SERVER_SIDE_WAYS: dict[str, Way] = {}


def only_server_side(function: Way) -> Way:
    """As `way`, for what psycopg's client-side cursors refuse."""
    SERVER_SIDE_WAYS[function.__name__] = function
    return function


def rows(cursor: Any) -> list[Any]:
    return [row[0] for row in cursor.fetchall()]


@way
def execute(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place")
        return rows(cursor)


@way
def execute_with_parameters(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["'; --"])
        return rows(cursor)


@way
def execute_with_named_parameters(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name LIKE %(a)s AND '%%' = '%%'", {"a": "%"})
        return rows(cursor)


@way
def execute_with_a_percent_sign_and_no_parameters(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name NOT LIKE '%z%'")
        return rows(cursor)


@way
def execute_a_function_that_looks_up_a_table(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT whereami()")
        return rows(cursor)


@way
def execute_led_by_comments(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("-- ; COMMIT\n/* BEGIN; /* nested */ */ ; SELECT name FROM place -- end")
        return rows(cursor)


@way
def execute_several_statements(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT name FROM place; SELECT name FROM place")
        names = []
        while cursor.nextset():
            names += rows(cursor)
    assert len(names) == 2
    return sorted(set(names))


@way
def execute_composed_sql(db: Any) -> list[Any]:
    query = sql.SQL("SELECT name FROM {} WHERE name <> {}").format(
        sql.Identifier("place"), sql.Literal("x")
    )
    with db.cursor() as cursor:
        cursor.execute(query)
        return rows(cursor)


@way
def execute_composed_sql_with_parameters(db: Any) -> list[Any]:
    query = sql.SQL("SELECT name FROM {} WHERE name <> %s").format(sql.Identifier("place"))
    with db.cursor() as cursor:
        cursor.execute(query, ["x"])
        return rows(cursor)


@way
def execute_bytes(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute(b"SELECT name FROM place")
        return rows(cursor)


@way
def executemany(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO box SELECT name, %s FROM place", [[item] for item in "abcde"]
        )
        assert cursor.rowcount == 5
        cursor.execute("DELETE FROM box RETURNING place")
        return sorted(set(rows(cursor)))


@way
def executemany_returning(db: Any) -> list[Any]:
    db.ensure_connection()
    names = []
    with db.connection.cursor() as cursor:
        cursor.executemany(
            "SELECT name FROM place WHERE name <> %s", [["x"], ["y"], ["z"]], returning=True
        )
        while True:
            names += rows(cursor)
            if not cursor.nextset():
                break
    assert len(names) == 3
    return sorted(set(names))


@way
def callproc(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        cursor.callproc("whereami", [])
        return rows(cursor)


@way
def copy_out(db: Any) -> list[Any]:
    with db.cursor() as cursor, cursor.copy("COPY place TO STDOUT") as copy:
        return [row[0] for row in copy.rows()]


@way
def copy_out_with_parameters(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        query = "COPY (SELECT name FROM place WHERE name <> %s) TO STDOUT"
        with cursor.copy(query, ["x"]) as copy:
            return [row[0] for row in copy.rows()]


@way
def copy_in(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        with cursor.copy("COPY box (item) FROM STDIN") as copy:
            copy.write_row(["a"])
        cursor.execute("UPDATE box SET place = (SELECT name FROM place)")
        cursor.execute("DELETE FROM box RETURNING place")
        return rows(cursor)


@way
def stream(db: Any) -> list[Any]:
    with db.cursor() as cursor:
        return [row[0] for row in cursor.stream("SELECT name FROM place")]


@way
def pipeline(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.pipeline():
        first = db.connection.execute("SELECT name FROM place")
        second = db.connection.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        return sorted({*rows(first), *rows(second)})


@way
def pipeline_of_many_syncs(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.pipeline() as pipe:
        first = db.connection.execute("SELECT name FROM place")
        pipe.sync()
        second = db.connection.execute("SELECT name FROM place")
    return sorted({*rows(first), *rows(second)})


@way
def pipeline_with_executemany(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.pipeline():
        with db.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO box SELECT name, %s FROM place", [["a"], ["b"]])
        return sorted(set(rows(db.connection.execute("DELETE FROM box RETURNING place"))))


@way
def cursor_of_psycopg(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor() as cursor:
        return rows(cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"]))


@way
def connection_execute_of_psycopg(db: Any) -> list[Any]:
    db.ensure_connection()
    return rows(db.connection.execute("SELECT name FROM place"))


@only_server_side
def binary_cursor_of_psycopg(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor(binary=True) as cursor:
        return rows(cursor.execute("SELECT name FROM place"))


@only_server_side
def binary_execute(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor() as cursor:
        return rows(cursor.execute("SELECT name FROM place", binary=True))


@way
def row_factory(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor(row_factory=psycopg.rows.scalar_row) as cursor:
        return list(cursor.execute("SELECT name FROM place"))


@way
def prepared(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"], prepare=True)
        return rows(cursor)


@way
def chunked_cursor(db: Any) -> list[Any]:
    with db.chunked_cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        return rows(cursor)


@way
def chunked_cursor_in_pages(db: Any) -> list[Any]:
    with db.chunked_cursor() as cursor:
        cursor.execute("SELECT whereami() FROM generate_series(1, 5)")
        names = [row[0] for row in cursor.fetchmany(2)] + [row[0] for row in cursor]
    assert len(names) == 5
    return sorted(set(names))


@way
def named_cursor_of_psycopg(db: Any) -> list[Any]:
    db.ensure_connection()
    with db.connection.cursor("named", withhold=True) as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        return rows(cursor)


@way
def schema_editor(db: Any) -> list[Any]:
    with db.schema_editor(atomic=False) as editor:
        editor.execute("INSERT INTO box SELECT name FROM place")
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM box RETURNING place")
        return rows(cursor)


@contextmanager
def savepoint(db: Any) -> Iterator[None]:
    with transaction.atomic(using=db.alias), transaction.atomic(using=db.alias):
        yield


MODES: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "autocommit": nullcontext,
    "atomic": lambda db: transaction.atomic(using=db.alias),
    "savepoint": savepoint,
}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Callable[[Any], AbstractContextManager[Any]]:
    return MODES[request.param]


def visit(db: Any, ask: Way, mode: Callable[[Any], AbstractContextManager[Any]]) -> None:
    """One transaction (or none) and one connection, switched between schemas."""
    with mode(db):
        for name in ("alpha", "beta", "public", "alpha"):
            with schema_context(name):
                assert ask(db) == [name]
        assert ask(db) == ["public"]


@pytest.mark.parametrize("name", WAYS)
def test_statement_runs_in_the_schema_that_is_current_when_it_is_sent(name, mode):
    visit(connection, WAYS[name], mode)


@pytest.mark.parametrize("name", WAYS)
def test_nothing_of_the_schema_stays_on_the_session(name, mode):
    with schema_context("alpha"), mode(connection):
        WAYS[name](connection)
    found = connection.connection.pgconn.exec_(b"SHOW search_path").get_value(0, 0)
    assert found == b'"$user", public'


@pytest.mark.parametrize("prepare_threshold", [None, 0, 1], ids="prepare_threshold={}".format)
@pytest.mark.parametrize("name", [*WAYS, *SERVER_SIDE_WAYS])
def test_server_side_binding_carries_the_schema(name, mode, make_alias, prepare_threshold):
    db = make_alias("ssb", server_side_binding=True, prepare_threshold=prepare_threshold)
    visit(db, {**WAYS, **SERVER_SIDE_WAYS}[name], mode)


@pytest.mark.parametrize("name", WAYS)
def test_pooled_connection_carries_the_schema(name, mode, make_alias):
    db = make_alias("pooled", pool={"min_size": 1, "max_size": 1})
    visit(db, WAYS[name], mode)


def test_pooled_connection_comes_back_without_a_schema(make_alias):
    db = make_alias("pooled", pool={"min_size": 1, "max_size": 1})
    seen = set()
    for name in ("alpha", "beta", "public"):
        with schema_context(name):
            assert execute(db) == [name]
            seen.add(db.connection.info.backend_pid)
        db.close()
    assert execute(db) == ["public"]
    assert len(seen) == 1


@pytest.mark.parametrize("name", WAYS)
def test_prepare_threshold_does_not_matter_to_client_side_binding(name, mode, make_alias):
    visit(make_alias("eager", prepare_threshold=0), WAYS[name], mode)


def test_assumed_role_is_kept_beside_the_schema(make_alias):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE ROLE appschema_tester;"
            "GRANT USAGE ON SCHEMA alpha TO appschema_tester;"
            "GRANT SELECT ON alpha.place, alpha.django_migrations TO appschema_tester"
        )
    db = make_alias("assuming", assume_role="appschema_tester")
    try:
        with schema_context("alpha"), db.cursor() as cursor:
            cursor.execute("SELECT name, current_user FROM place")
            assert cursor.fetchall() == [("alpha", "appschema_tester")]
    finally:
        db.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP OWNED BY appschema_tester; DROP ROLE appschema_tester")


def test_each_alias_follows_the_one_context(make_alias):
    replica = make_alias("replica")
    for name in ("alpha", "beta"):
        with schema_context(name):
            assert execute(replica) == execute(connection) == [name]


class ToReplica:
    """A project's router: reads go to a replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *args: Any, **hints: Any) -> bool:
        return True


def test_what_a_router_reads_from_a_replica_is_the_schemas(make_alias, settings):
    make_alias("replica", options="-c default_transaction_read_only=on")
    settings.DATABASE_ROUTERS = [ToReplica()]
    for name in ("alpha", "beta"):
        with schema_context(name):
            Tag.objects.create(label=name)
    for name in ("alpha", "beta"):
        with schema_context(name):
            tag = Tag.objects.get()
            assert (tag._state.db, tag.label) == ("replica", name)
            tag.label = f"{name}, saved"
            tag.save()
            assert Tag.objects.get().label == f"{name}, saved"
    with schema_context("alpha"), pytest.raises(WrongSchema):
        tag.save()


@pytest.mark.parametrize(
    "options",
    [{"prepare_threshold": 0}, {"server_side_binding": True, "prepare_threshold": 1}],
    ids=str,
)
def test_what_was_prepared_in_one_schema_is_planned_anew_in_the_next(make_alias, options):
    db = make_alias("preparing", **options)
    for _ in range(5):
        for name in ("alpha", "beta"):
            for scope in (nullcontext(), transaction.atomic("preparing")):
                with schema_context(name), scope, db.cursor() as cursor:
                    cursor.execute("SELECT name, %s FROM place", [1])
                    assert cursor.fetchall() == [(name, 1)]


def test_what_sql_prepares_in_one_schema_is_planned_anew_in_the_next():
    with transaction.atomic(), connection.cursor() as cursor:
        with schema_context("alpha"):
            cursor.execute("PREPARE asked AS SELECT name FROM place")
        for name in ("beta", "alpha"):
            with schema_context(name):
                cursor.execute("EXECUTE asked")
                assert cursor.fetchall() == [(name,)]
        cursor.execute("DEALLOCATE asked")


def test_read_only_alias_carries_the_schema(make_alias, mode):
    db = make_alias("read_only", options="-c default_transaction_read_only=on")
    with mode(db), schema_context("alpha"):
        assert execute(db) == chunked_cursor(db) == copy_out(db) == ["alpha"]


def test_cursor_made_under_one_schema_sends_under_the_next(mode):
    with mode(connection):
        with schema_context("alpha"):
            cursor = connection.cursor()
        with schema_context("beta"), cursor:
            cursor.execute("SELECT name FROM place")
            assert rows(cursor) == ["beta"]


@pytest.fixture
def commits() -> Iterator[None]:
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute(
            """CREATE PROCEDURE commits() LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO box SELECT name FROM place; COMMIT; END $$"""
        )
        yield
        cursor.execute("DROP PROCEDURE commits")


@pytest.fixture
def index() -> Iterator[None]:
    """An index of the same name in each place."""
    names = ("public", "alpha", "beta")
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"CREATE INDEX box_item ON {name}.box (item)")
        yield
        for name in names:
            cursor.execute(f"DROP INDEX IF EXISTS {name}.box_item, {name}.box_new")


def schemas_of(relation: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = %s"
            " AND relnamespace::regnamespace::text IN ('public', 'alpha', 'beta') ORDER BY 1",
            [relation],
        )
        return rows(cursor)


def places_of_boxes() -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'alpha', place FROM alpha.box UNION ALL SELECT 'beta', place FROM beta.box"
            " UNION ALL SELECT 'public', place FROM public.box ORDER BY 1, 2"
        )
        return cursor.fetchall()


def relfilenodes(relation: str) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relnamespace::regnamespace::text, relfilenode FROM pg_class WHERE relname = %s",
            [relation],
        )
        return dict(cursor.fetchall())


SERVER_SIDE = pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])


@SERVER_SIDE
@pytest.mark.usefixtures("index")
def test_create_index_concurrently_runs_in_the_current_schema(make_alias, server_side):
    db = make_alias("ddl", server_side_binding=server_side)
    with schema_context("alpha"), db.cursor() as cursor:
        cursor.execute("CREATE INDEX CONCURRENTLY box_new ON box (item)")
    assert schemas_of("box_new") == ["alpha"]


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "statement",
    [
        "DROP INDEX CONCURRENTLY box_item",
        "drop /* why */ index concurrently box_item",
        "-- why\nDROP INDEX CONCURRENTLY IF EXISTS box_item;",
    ],
)
def test_drop_index_concurrently_runs_in_the_current_schema(statement):
    with schema_context("beta"), connection.cursor() as cursor:
        cursor.execute(statement)
    assert schemas_of("box_item") == ["alpha", "public"]


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "statement",
    [
        "REINDEX INDEX CONCURRENTLY box_item",
        "REINDEX (CONCURRENTLY) INDEX box_item",
        "reindex (concurrently true, verbose) table box",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_reindex_concurrently_runs_in_the_current_schema(statement):
    before = relfilenodes("box_item")
    with schema_context("alpha"), connection.cursor() as cursor:
        cursor.execute(statement)
    after = relfilenodes("box_item")
    assert {name for name in before if before[name] != after[name]} == {"alpha"}


@SERVER_SIDE
@pytest.mark.parametrize("statement", ["VACUUM FULL box", "/* why */ vacuum (full) box;"])
def test_vacuum_runs_in_the_current_schema(make_alias, server_side, statement):
    db = make_alias("ddl", server_side_binding=server_side)
    before = relfilenodes("box")
    with schema_context("alpha"), db.cursor() as cursor:
        cursor.execute(statement)
    after = relfilenodes("box")
    assert {name for name in before if before[name] != after[name]} == {"alpha"}


@SERVER_SIDE
@pytest.mark.usefixtures("commits")
@pytest.mark.parametrize(
    "statement",
    [
        "CALL commits()",
        "DO $$ BEGIN INSERT INTO box SELECT name FROM place; COMMIT; END $$",
        sql.SQL("CALL {}()").format(sql.Identifier("commits")),
    ],
    ids=["call", "do", "composed"],
)
def test_commit_inside_a_procedure_stays_in_the_current_schema(make_alias, server_side, statement):
    db = make_alias("procedures", server_side_binding=server_side)
    with schema_context("alpha"), db.cursor() as cursor:
        cursor.execute(statement)
    assert places_of_boxes() == [("alpha", "alpha")]


@pytest.mark.usefixtures("commits")
def test_commit_inside_a_procedure_is_refused_in_a_transaction_as_by_postgresql():
    with (
        schema_context("alpha"),
        pytest.raises(Exception, match="invalid transaction termination"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("CALL commits()")


def test_create_index_concurrently_is_refused_in_a_transaction_as_by_postgresql():
    with (
        schema_context("alpha"),
        pytest.raises(Exception, match="cannot run inside a transaction block"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE INDEX CONCURRENTLY box_new ON box (item)")


def test_statement_that_goes_alone_raises_in_a_missing_schema():
    with (
        schema_context("nowhere"),
        connection.cursor() as cursor,
        pytest.raises(SchemaMissing),
    ):
        cursor.execute("VACUUM box")


def test_statement_that_goes_alone_works_in_public():
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute("VACUUM box")
        assert cursor.statusmessage == "VACUUM"


@pytest.mark.parametrize("query", ["", " ", ";", "-- nothing", "/* nothing */ ;"])
def test_empty_sql_answers_as_by_the_stock_backend(query, make_alias, mode):
    stock = make_alias("stock", engine="django.db.backends.postgresql")
    answers = []
    for db in (connection, stock):
        with schema_context("alpha"), mode(db), db.cursor() as cursor:
            cursor.execute(query)
            answers.append((cursor.description, cursor.rowcount, cursor.statusmessage))
    assert answers[0] == answers[1]


def test_server_side_binding_refuses_to_stream_parameters_rather_than_lose_the_schema(make_alias):
    db = make_alias("ssb", server_side_binding=True)
    with schema_context("alpha"), db.cursor() as cursor, pytest.raises(UnsafeStatement):
        list(cursor.stream("SELECT name FROM place WHERE name <> %s", ["x"]))

"""What is missing is never looked for in public: schema, marker table, a both app's table."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction
from psycopg.conninfo import make_conninfo

from appschema import schema_context
from appschema.exceptions import SchemaMissing
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag

Way = Callable[[Any], object]


def execute(db: Any) -> object:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place")
        return cursor.fetchall()


def execute_with_parameters(db: Any) -> object:
    with db.cursor() as cursor:
        cursor.execute("SELECT name FROM place WHERE name <> %s", ["x"])
        return cursor.fetchall()


def write(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO box VALUES ('a', 'b')")


def executemany(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO box VALUES (%s, %s)", [["a", "b"], ["c", "d"]])


def copy_in(db: Any) -> None:
    with db.cursor() as cursor, cursor.copy("COPY box FROM STDIN") as copy:
        copy.write_row(["a", "b"])


def chunked(db: Any) -> object:
    with db.chunked_cursor() as cursor:
        cursor.execute("SELECT name FROM place")
        return cursor.fetchall()


def stream(db: Any) -> object:
    with db.cursor() as cursor:
        return list(cursor.stream("SELECT name FROM place"))


def pipeline(db: Any) -> object:
    db.ensure_connection()
    with db.connection.pipeline():
        return db.connection.execute("SELECT name FROM place").fetchall()


def read_shared(db: Any) -> object:
    return list(Plan.objects.using(db.alias))


def read_isolated(db: Any) -> object:
    return list(Note.objects.using(db.alias))


def create_isolated(db: Any) -> object:
    return Note.objects.using(db.alias).create(title="lost")


def create_table(db: Any) -> None:
    with db.cursor() as cursor:
        cursor.execute("CREATE TABLE made (n int)")


WAYS = [
    *(execute, execute_with_parameters, write, executemany, copy_in, chunked, stream, pipeline),
    *(read_shared, read_isolated, create_isolated, create_table),
]


@pytest.fixture(params=[False, True], ids=["client_binding", "server_binding"])
def db(request: pytest.FixtureRequest, make_alias: Any) -> Any:
    return make_alias("bound", server_side_binding=request.param)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_missing_schema_raises_and_nothing_is_read_or_written(way, atomic, db):
    block = transaction.atomic(using=db.alias) if atomic else nullcontext()
    with schema_context("nowhere"), pytest.raises((SchemaMissing, psycopg.Error)) as caught, block:
        way(db)
    assert "nowhere" in str(caught.value)
    # Django wraps what its own methods raise; those of psycopg come as they are.
    if way not in (copy_in, stream, pipeline):
        assert isinstance(caught.value, SchemaMissing)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.box")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT to_regclass('public.made')")
        assert cursor.fetchone() == (None,)


def test_error_names_the_schema_and_the_command_that_mends_it():
    with schema_context("nowhere"), pytest.raises(SchemaMissing) as caught:
        execute(connection)
    assert caught.value.schema_name == "nowhere"
    assert "Schema 'nowhere' does not exist" in str(caught.value)
    assert "createschema nowhere" in str(caught.value)
    assert isinstance(caught.value, ProgrammingError)


def test_connection_is_usable_after_a_missing_schema():
    with schema_context("nowhere"), pytest.raises(SchemaMissing):
        execute(connection)
    with schema_context("alpha"):
        assert execute(connection) == [("alpha",)]


def test_connection_can_be_opened_under_a_missing_schema(make_alias):
    for options in ({}, {"pool": {"min_size": 1, "max_size": 1}}, {"assume_role": "postgres"}):
        db = make_alias(f"fresh{len(options)}{''.join(options)}", **options)
        with schema_context("nowhere"):
            db.ensure_connection()
            assert db.is_usable()


@pytest.fixture
def bare_schema() -> Iterator[str]:
    """A schema that something else has made."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA bare CREATE TABLE place (name text)")
        yield "bare"
        cursor.execute("DROP SCHEMA bare CASCADE")


def test_schema_without_migration_records_is_none_of_ours(bare_schema):
    with schema_context(bare_schema), pytest.raises(SchemaMissing):
        execute(connection)


@pytest.fixture
def operator() -> Iterator[psycopg.Connection[Any]]:
    """Another connection, plain psycopg, that is not made to wait."""
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    conninfo = make_conninfo(**{name: params[name] for name in names if params.get(name)})
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("SET lock_timeout TO 1")
        yield conn


def test_schema_that_was_dropped_meanwhile_raises(schema_of_its_own, operator):
    with schema_context(schema_of_its_own):
        assert Note.objects.exists()
        operator.execute("SET lock_timeout TO 0; DROP SCHEMA gamma CASCADE")
        with pytest.raises(SchemaMissing):
            list(Note.objects.all())
        with pytest.raises(SchemaMissing):
            Tag.objects.create(label="lost")
    with schema_context("public"):
        assert not Tag.objects.exists()


@pytest.mark.parametrize("way", [execute, chunked], ids=lambda way: way.__name__)
def test_drop_waits_for_a_transaction_that_has_used_the_schema(way, schema_of_its_own, operator):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE gamma.place (name text)")
    with schema_context(schema_of_its_own), transaction.atomic():
        way(connection)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute("DROP SCHEMA gamma CASCADE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute("DROP TABLE gamma.django_migrations")
        way(connection)


def test_rename_waits_if_it_locks_the_marker_as_ours_does(schema_of_its_own, operator):
    with schema_context(schema_of_its_own), transaction.atomic():
        Note.objects.count()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute(
                "BEGIN; LOCK TABLE gamma.django_migrations IN ACCESS EXCLUSIVE MODE;"
                " ALTER SCHEMA gamma RENAME TO delta; COMMIT"
            )
        operator.execute("ROLLBACK")
        assert Note.objects.exists()


def test_lock_does_not_hinder_writers_of_the_marker(schema_of_its_own, operator):
    with schema_context(schema_of_its_own), transaction.atomic():
        Note.objects.count()
        operator.execute(
            "INSERT INTO gamma.django_migrations (app, name, applied) VALUES ('a', 'b', now())"
        )


def test_envelope_takes_no_snapshot():
    with schema_context("alpha"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)


def test_switch_inside_a_transaction_sees_a_missing_schema():
    with schema_context("alpha"), transaction.atomic():
        assert execute(connection) == [("alpha",)]
        with schema_context("nowhere"), pytest.raises(SchemaMissing):
            execute(connection)
        transaction.set_rollback(True)


# A both app's table that a lagging schema lacks ----------------------------------------------


@pytest.fixture
def lagging(schema_of_its_own: str) -> Iterator[str]:
    """A schema without the tags that public has."""
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute("DROP TABLE gamma.tags_tag CASCADE")
        Tag.objects.create(label="of public")
    yield schema_of_its_own
    connection.close()


def tags_of_public() -> list[str]:
    with schema_context("public"):
        return list(Tag.objects.order_by("label").values_list("label", flat=True))


ORM: dict[str, Callable[[], object]] = {
    "list": lambda: list(Tag.objects.all()),
    "get": lambda: Tag.objects.get(label="of public"),
    "count": Tag.objects.count,
    "exists": Tag.objects.exists,
    "create": lambda: Tag.objects.create(label="lost"),
    "bulk_create": lambda: Tag.objects.bulk_create([Tag(label="lost"), Tag(label="lost too")]),
    "update": lambda: Tag.objects.update(label="lost"),
    "delete": lambda: Tag.objects.all().delete(),
    "raw_delete": lambda: Tag.objects.all()._raw_delete("default"),
    "iterator": lambda: list(Tag.objects.iterator()),
    "raw": lambda: list(Tag.objects.raw("SELECT * FROM tags_tag")),
    "join": lambda: list(Note.objects.filter(tag__label="of public")),
    "subquery": lambda: list(Plan.objects.filter(pk__in=Tag.objects.values("pk"))),
    "get_or_create": lambda: Tag.objects.get_or_create(label="of public"),
    "upsert": lambda: Tag.objects.bulk_create(
        [Tag(label="of public")],
        update_conflicts=True,
        unique_fields=["label"],
        update_fields=["label"],
    ),
    "union": lambda: list(Plan.objects.values("pk").union(Tag.objects.values("pk"))),
}


@pytest.mark.parametrize("name", ORM)
def test_missing_both_table_is_never_used_in_public_by_the_orm(name, lagging):
    with schema_context(lagging), pytest.raises(DatabaseError, match="tags_tag"):
        ORM[name]()
    assert tags_of_public() == ["of public"]


RAW = [
    "SELECT label FROM tags_tag",
    'SELECT label FROM "tags_tag"',
    "SELECT label FROM TAGS_TAG",
    "SELECT label FROM Tags_Tag WHERE label <> %s",
    "SELECT label FROM/* why */tags_tag",
    "SELECT count(*)FROM(tags_tag)",
    "INSERT INTO tags_tag (label) VALUES ('lost')",
    "UPDATE tags_tag SET label = 'lost'",
    "DELETE FROM tags_tag",
    "WITH t AS (DELETE FROM tags_tag RETURNING *) SELECT * FROM t",
    "TRUNCATE tags_tag CASCADE",
    "LOCK TABLE tags_tag",
    "TABLE tags_tag",
    "COPY tags_tag TO STDOUT",
    "DO $$ BEGIN DELETE FROM tags_tag; END $$",
    "SELECT 1; DELETE FROM tags_tag",
    "SELECT label FROM tags_tag WHERE label <> 'create table tags_tag '",
    "DELETE FROM tags_tag; CREATE TABLE tags_tag (label text)",
    "SELECT $$; CREATE TABLE tags_tag $$; DELETE FROM tags_tag",
    "/* rename to tags_tag */ DELETE FROM tags_tag",
    "ALTER TABLE place RENAME TO tags_tag_old; DELETE FROM tags_tag",
    "DROP TABLE tags_tag CASCADE",
    "CREATE INDEX lost ON tags_tag (label)",
]


@pytest.mark.parametrize("sql", RAW)
def test_missing_both_table_is_never_used_in_public_by_raw_sql(sql, lagging):
    with schema_context(lagging), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="tags_tag"), transaction.atomic():
            cursor.execute(sql, ["x"] if "%s" in sql else None)
    assert tags_of_public() == ["of public"]


def test_missing_both_table_is_never_used_by_other_ways(lagging):
    with schema_context(lagging), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="tags_tag"):
            cursor.executemany("INSERT INTO tags_tag (label) VALUES (%s)", [["lost"], ["x"]])
        with pytest.raises(psycopg.Error, match="tags_tag"):
            list(cursor.stream("SELECT label FROM tags_tag"))
        with pytest.raises((DatabaseError, psycopg.Error), match="tags_tag"):
            with cursor.copy("COPY tags_tag (label) FROM STDIN") as copy:
                copy.write_row(["lost"])
        with connection.chunked_cursor() as chunked, pytest.raises(DatabaseError, match="tags_tag"):
            chunked.execute("SELECT label FROM tags_tag")
    assert tags_of_public() == ["of public"]


@pytest.mark.parametrize("atomic", [False, True])
def test_missing_both_table_is_never_used_under_the_users_own_path(atomic, lagging):
    with schema_context(lagging), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('search_path', current_setting('search_path'), true)")
        with pytest.raises(DatabaseError, match="tags_tag"), transaction.atomic():
            cursor.execute("SELECT label FROM tags_tag")


def test_both_table_can_be_created_in_a_lagging_schema(lagging):
    with schema_context(lagging), connection.cursor() as cursor:
        cursor.execute('CREATE TABLE "tags_tag" ("id" bigint PRIMARY KEY, "label" text)')
        cursor.execute("INSERT INTO tags_tag VALUES (1, 'of gamma')")
        assert [tag.label for tag in Tag.objects.all()] == ["of gamma"]
    assert tags_of_public() == ["of public"]


def test_both_table_of_a_complete_schema_is_its_own():
    with schema_context("public"):
        Tag.objects.create(label="of public")
    for name in ("alpha", "beta"):
        with schema_context(name):
            Tag.objects.create(label=name)
            assert [tag.label for tag in Tag.objects.all()] == [name]
    assert tags_of_public() == ["of public"]

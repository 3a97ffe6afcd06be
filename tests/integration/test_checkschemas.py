"""`manage.py checkschemas`: each fault is made, and found; a database without faults shows none.

Each test has a database of its own, a copy of one with two customers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from appschema import schema_context
from appschema.fleet.know import lag
from appschema.fleet.look import find_all
from appschema.fleet.look.between import Path, judge
from appschema.fleet.look.inspection import Inspection
from appschema.fleet.look.server import judge_locks
from appschema.fleet.look.tables import find_extensions
from appschema.fleet.selection import read_registered, read_selection
from appschema.models import PublicName, Schema
from appschema.provisioning import new_schema
from tools.pgbouncer import PgBouncer, find_pgbouncer

HEALTHY = f"appschema_healthy_{os.getpid()}"


@contextmanager
def in_database(name: str) -> Iterator[None]:
    """Let the default connection lead to another database."""
    settings = connection.settings_dict
    found = settings["NAME"]
    connection.close()
    settings["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        settings["NAME"] = found


def administrate(*statements: str) -> None:
    params = {**connection.get_connection_params(), "dbname": "postgres"}
    for name in ("cursor_factory", "context", "prepare_threshold"):
        params.pop(name, None)
    with psycopg.connect(**params, autocommit=True) as administrator:
        for statement in statements:
            administrator.execute(statement)


@pytest.fixture(scope="module")
def healthy(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock():
        administrate(f"CREATE DATABASE {HEALTHY}")
        try:
            with in_database(HEALTHY):
                call_command("migrate", verbosity=0)
                new_schema("acme", "acme.example.com")
                new_schema("Globex-ü", "globex.example.com")
            yield HEALTHY
        finally:
            administrate(f"DROP DATABASE {HEALTHY} WITH (FORCE)")


@pytest.fixture(autouse=True)
def transactional_db(healthy: str, django_db_blocker: Any) -> Iterator[None]:
    """What a test does to the database is rolled back, as its DDL can be.

    By its name pytest-django knows that the test database is needed.
    """
    with django_db_blocker.unblock(), in_database(healthy), transaction.atomic():
        yield
        transaction.set_rollback(True)


Psql = Callable[..., None]


@pytest.fixture
def psql() -> Psql:
    """Run SQL as somebody does who knows nothing of appschema."""

    def run(*statements: str) -> None:
        with schema_context(None), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return run


def found(*names: str) -> set[tuple[str, str, str]]:
    findings = find_all("default", read_selection(names or None))
    return {(each.level, each.kind, each.where) for each in findings}


def check(*arguments: str) -> str:
    out = StringIO()
    call_command("checkschemas", *arguments, stdout=out)
    return out.getvalue()


def test_a_healthy_database_gives_no_finding():
    assert found() == set()
    assert check() == "Nothing is wrong.\n"
    assert found("acme") == found("public") == set()


FAULTS = {
    "a schema is dropped": (
        "DROP SCHEMA acme CASCADE",
        {("error", "schema-missing", "acme")},
    ),
    "a schema is renamed": (
        "ALTER SCHEMA acme RENAME TO acme2",
        {("error", "schema-missing", "acme"), ("warning", "unregistered", "acme2")},
    ),
    "the template is dropped": (
        "DROP SCHEMA appschema_template CASCADE",
        {("error", "template-missing", "appschema_template")},
    ),
    "a migration is recorded by hand": (
        "INSERT INTO public.django_migrations (app, name, applied) VALUES ('plans', 'x', now())",
        {("error", "template-lag", "appschema_template")},
    ),
    "the row of the template is lost": (
        "DELETE FROM public.appschema_template",
        {("warning", "leftover", "appschema_template")},
    ),
    "a spare is dropped": (
        """INSERT INTO public.appschema_spare (schema_name, records, created)
        SELECT 'appschema_spare_1', records, now() FROM public.appschema_template""",
        {("warning", "spare-stale", "appschema_spare_1")},
    ),
    "a schema is dropped and made anew": (
        "DROP SCHEMA acme CASCADE; CREATE SCHEMA acme",
        {("error", "marker-missing", "acme")},
    ),
    "the marker is dropped": (
        "DROP TABLE acme.django_migrations",
        {("error", "marker-missing", "acme")},
    ),
    "the marker is something else": (
        "DROP TABLE acme.django_migrations; CREATE TABLE acme.django_migrations (id int)",
        {("error", "marker-broken", "acme")},
    ),
    "a row is lost": (
        """DELETE FROM appschema_publicname WHERE public_name = 'acme.example.com';
        DELETE FROM appschema_schema WHERE name = 'acme'""",
        {("warning", "unregistered", "acme")},
    ),
    "the registry is lost": (
        "DROP TABLE appschema_publicname, appschema_schema CASCADE",
        {
            ("error", "registry-missing", "public"),
            ("warning", "unregistered", "acme"),
            ("warning", "unregistered", "Globex-ü"),
        },
    ),
    "purging was interrupted": (
        """UPDATE appschema_schema SET is_active = false, dropped = now(), purging = true
        WHERE name = 'acme'; DROP TABLE acme.django_migrations, acme.notes_note CASCADE""",
        {("warning", "half-purged", "acme")},
    ),
    "purging was interrupted before its last step": (
        """UPDATE appschema_schema SET is_active = false, dropped = now(), purging = true
        WHERE name = 'acme'; DROP SCHEMA acme CASCADE""",
        {("warning", "half-purged", "acme")},
    ),
    "a public name is not primary": (
        "UPDATE appschema_publicname SET is_primary = false WHERE public_name LIKE 'globex%'",
        {("warning", "primary-missing", "Globex-ü")},
    ),
    "a schema has no public name": (
        "DELETE FROM appschema_publicname WHERE public_name LIKE 'globex%'",
        {("warning", "primary-missing", "Globex-ü")},
    ),
    "a both app's table is missing": (
        "DROP TABLE acme.tags_tag CASCADE",
        {("error", "table-missing", "acme")},
    ),
    "an isolated app's table is missing": (
        "DROP TABLE acme.notes_attachment",
        {("error", "table-missing", "acme")},
    ),
    "a many-to-many table is missing": (
        "DROP TABLE acme.auth_user_groups",
        {("error", "table-missing", "acme")},
    ),
    "a schema lags": (
        "DROP TABLE acme.tags_tag CASCADE; DELETE FROM acme.django_migrations WHERE app = 'tags'",
        {("warning", "lag", "acme")},
    ),
    "public lags": (
        "DELETE FROM django_migrations WHERE app = 'plans'",
        {("warning", "lag", "public"), ("error", "template-lag", "appschema_template")},
    ),
    "an isolated table is left in public": (
        "CREATE TABLE public.notes_note (id int)",
        {("error", "misplaced", "public")},
    ),
    "a view in public bears an isolated table's name": (
        "CREATE VIEW public.notes_note AS SELECT 1 AS id",
        {("error", "misplaced", "public")},
    ),
    "an index was not built to its end": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'acme.notes_note_lower_title'::regclass",
        {("warning", "invalid-index", "acme")},
    ),
    "an extension is in a schema": (
        "CREATE EXTENSION plpgsql_check_or_other SCHEMA acme",
        {("error", "extension", "acme")},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, psql: Psql):
    statement, expected = FAULTS[fault]
    if "EXTENSION" in statement:
        statement = statement.replace("plpgsql_check_or_other", an_extension())
    psql(statement)
    assert found() == expected


def an_extension() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_available_extensions WHERE name = ANY (%s) ORDER BY name",
            [["citext", "hstore", "pgcrypto", "uuid-ossp"]],
        )
        row = cursor.fetchone()
    if row is None:
        pytest.skip("This server has no extension to install: pg_available_extensions lists none.")
    return f'"{row[0]}"'


def test_the_mend_for_a_row_without_schema_mends(psql: Psql):
    psql("DROP SCHEMA acme CASCADE")
    call_command("dropschema", "acme", "--now", "--no-input", stdout=StringIO())
    assert found() == set()


def test_the_mend_for_a_lag_mends(psql: Psql):
    psql(
        "DROP INDEX acme.notes_note_lower_title",
        "DELETE FROM acme.django_migrations WHERE name = '0003_title_index'",
    )
    (finding,) = find_all("default", read_selection(None))
    assert finding.what == "Migrations that are not applied: 1 (notes.0003_title_index)."
    assert finding.mend == "manage.py migrate --schema acme"
    call_command("migrate", "--schema", "acme", verbosity=0)
    assert found() == set()


def test_the_mend_for_a_missing_table_mends(psql: Psql):
    psql("DROP TABLE acme.notes_attachment, acme.notes_note, acme.tags_tag")
    findings = find_all("default", read_selection(None))
    assert len(findings) == 3
    for finding in findings:
        psql(finding.mend.partition("without its foreign keys: ")[2])
    assert found() == set()


def test_a_table_that_no_schema_has_can_only_be_restored(psql: Psql):
    psql('DROP TABLE acme.notes_attachment, "Globex-ü".notes_attachment')
    findings = find_all("default", read_selection(None))
    assert [each.mend for each in findings] == ["Restore it from a backup."] * 2


def test_the_mend_for_a_missing_marker_mends(psql: Psql):
    psql("DROP TABLE acme.django_migrations")
    (finding,) = find_all("default", read_selection(None))
    statement, _, command = finding.mend.partition("; and, if its other tables are complete: ")
    psql(statement)
    name, *arguments = command.removeprefix("manage.py ").split()
    call_command(name, *arguments, verbosity=0)
    assert found() == set()


def test_a_public_name_that_public_has_taken_is_found(settings: Any):
    settings.APPSCHEMA_PUBLIC_NAMES = ["acme.example.com", "www.example.com"]
    assert found() == {("error", "name-of-public", "acme")}


SQL_THAT_MENDS = {
    "an isolated table is left in public": 'DROP TABLE "public"."notes_note";',
    "a view in public bears an isolated table's name": 'DROP VIEW "public"."notes_note";',
    "an index was not built to its end": 'DROP INDEX CONCURRENTLY "acme"."notes_note_lower_title";',
    "a row is lost": 'DROP SCHEMA "acme" CASCADE;',
}


@pytest.mark.parametrize("fault", SQL_THAT_MENDS)
def test_the_mend_in_sql_mends(fault: str, psql: Psql):
    psql(FAULTS[fault][0])
    (finding,) = find_all("default", read_selection(None))
    assert finding.mend.endswith(SQL_THAT_MENDS[fault])
    # Only CONCURRENTLY could not be rolled back.
    psql(SQL_THAT_MENDS[fault].replace(" CONCURRENTLY", ""))
    assert found() == set()


def test_an_extension_is_moved_or_made_anew(psql: Psql, monkeypatch: pytest.MonkeyPatch):
    psql(f"CREATE EXTENSION {an_extension()} SCHEMA acme")
    (finding,) = find_all("default", read_selection(None))
    psql(finding.mend)
    assert found() == set()
    look = Inspection("default", read_selection(None))
    monkeypatch.setattr(look, "ask", lambda *_: [("acme", "fixed", False)])
    (finding,) = find_extensions(look)
    assert finding.mend == (
        'DROP EXTENSION "fixed"; CREATE EXTENSION "fixed" SCHEMA "public"; -- it cannot be moved'
    )


def test_other_schemas_are_left_alone(psql: Psql):
    psql("CREATE SCHEMA reports", "CREATE TABLE reports.notes_note (id int)")
    assert found() == set()


@pytest.mark.parametrize(
    "fault",
    ["purging was interrupted", "a row is lost", "a schema has no public name"],
)
def test_the_mend_mends(fault: str, psql: Psql):
    psql(FAULTS[fault][0])
    (finding,) = find_all("default", read_selection(None))
    command = finding.mend.partition("manage.py ")[2].partition(", or")[0]
    words = command.replace("PUBLIC_NAME", "new.example.com").split()
    more = ["--no-input"] if words[0] == "purgeschemas" else []
    call_command(*words, *more, stdout=StringIO())
    assert found() == set()


def test_a_registry_that_migrate_has_not_brought_up_to_date_is_no_error():
    call_command("migrate", "appschema", "0001", shared=True, verbosity=0)
    # The template went with the table that told of it.
    assert found() == {("warning", "lag", "public")}
    assert read_registered("default") == {"Globex-ü": False, "acme": False}
    call_command("migrate", shared=True, verbosity=0)
    assert found() == set()


def test_older_code_can_register_a_schema_while_a_deploy_is_under_way(psql: Psql):
    psql("INSERT INTO appschema_schema (name, is_active, created) VALUES ('old', true, now())")
    row = Schema.objects.get(name="old")
    assert (row.notice, row.dropped, row.was_active, row.purging) == ("", None, False, False)


def test_only_what_is_named_is_looked_at(psql: Psql):
    psql("DROP SCHEMA acme CASCADE", "CREATE TABLE public.notes_note (id int)")
    assert found("Globex-ü") == set()
    assert found("acme") == {("error", "schema-missing", "acme")}
    assert found("public") == {("error", "misplaced", "public")}
    with schema_context("acme"):
        assert found() == {("error", "schema-missing", "acme")}
    with pytest.raises(CommandError, match="There is no schema 'nobody'"):
        check("--schema", "nobody")


def test_each_finding_tells_what_where_and_the_next_step(psql: Psql):
    psql("DROP SCHEMA acme CASCADE")
    out = StringIO()
    with pytest.raises(CommandError, match=r"Errors: 1, warnings: 0\.") as raised:
        call_command("checkschemas", stdout=out)
    assert raised.value.returncode == 1
    assert out.getvalue().splitlines() == [
        "acme: error (schema-missing)",
        "  The registry has this schema, and the database has not. Its requests end with SchemaMissing.",
        "  Restore it from a backup, or remove its row: manage.py dropschema acme --now",
    ]


def test_warnings_alone_are_no_failure(psql: Psql):
    psql("UPDATE appschema_publicname SET is_primary = false")
    assert check().endswith("Errors: 0, warnings: 2.\n")
    report = json.loads(check("--json"))
    assert (report["errors"], report["warnings"]) == (0, 2)
    assert {finding["where"] for finding in report["findings"]} == {"acme", "Globex-ü"}
    assert set(report["findings"][0]) == {"level", "kind", "where", "what", "mend"}


def test_errors_are_told_in_json_too(psql: Psql):
    psql("DROP SCHEMA acme CASCADE")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("checkschemas", "--json", stdout=out)
    assert json.loads(out.getvalue())["findings"][0]["kind"] == "schema-missing"


def count_statements() -> int:
    with CaptureQueriesContext(connection) as queries:
        find_all("default", read_selection(None))
    return len(queries)


def test_the_number_of_statements_does_not_grow_with_the_fleet(psql: Psql):
    before = count_statements()
    for number in range(20):
        add_schema(f"more_{number}", psql)
    assert found() == set()
    assert count_statements() == before


def add_schema(name: str, psql: Psql) -> None:
    """Add a copy of acme, faster than new_schema() does."""
    with schema_context(None), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'acme'::regnamespace AND relkind = 'r'"
        )
        tables = [table for (table,) in cursor.fetchall()]
    likes = [f'CREATE TABLE {name}."{each}" (LIKE acme."{each}" INCLUDING ALL)' for each in tables]
    records = f"INSERT INTO {name}.django_migrations SELECT * FROM acme.django_migrations"
    psql(f"CREATE SCHEMA {name}", *likes, records)
    row = Schema.objects.create(name=name)
    PublicName.objects.create(public_name=f"{name}.example.com", schema=row, is_primary=True)


def test_records_are_read_of_so_many_schemas_at_once(psql: Psql, monkeypatch: pytest.MonkeyPatch):
    before = count_statements()
    monkeypatch.setattr(lag, "SCHEMAS_PER_STATEMENT", 1)
    assert count_statements() == before + 1
    psql('DELETE FROM "Globex-ü".django_migrations', "DELETE FROM acme.django_migrations")
    assert found() == {("warning", "lag", "acme"), ("warning", "lag", "Globex-ü")}


def test_nothing_is_written():
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    assert found() == set()


def test_missing_roles_are_found_where_they_are_wanted(settings: Any):
    assert found() == set()
    settings.APPSCHEMA_ROLES = True
    assert found() == {("error", "role", "the server")}


def test_a_schema_that_is_dropped_meanwhile_is_told(psql: Psql, monkeypatch: pytest.MonkeyPatch):
    ask = lag._ask_some

    def drop_and_ask(*args: Any) -> Any:
        psql("DROP SCHEMA IF EXISTS acme CASCADE")
        return ask(*args)

    monkeypatch.setattr(lag, "_ask_some", drop_and_ask)
    with pytest.raises(CommandError, match=r"A schema was dropped while .*acme.* Run the command"):
        check()


# The room for locks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "relations", "largest", "expected"),
    [
        (6400, 6400, ("acme", 6400), []),
        (6400, 6401, ("acme", 80), [("warning", "the server")]),
        (6400, 6400, ("acme", 6401), [("error", "acme")]),
        (6400, 100, None, []),
    ],
)
def test_room_for_locks(
    room: int, relations: int, largest: tuple[str, int] | None, expected: list[tuple[str, str]]
):
    findings = list(judge_locks(room, relations, largest))
    assert [(each.level, each.where) for each in findings] == expected


# Poolers ---------------------------------------------------------------------------------------


SETTINGS: dict[str, Any] = {"OPTIONS": {}, "DISABLE_SERVER_SIDE_CURSORS": True}
PREPARES: dict[str, Any] = {"server_side_binding": True, "prepare_threshold": 5}


@pytest.mark.parametrize(
    ("path", "settings", "expected"),
    [
        (Path(False, True), {"DISABLE_SERVER_SIDE_CURSORS": False, "OPTIONS": PREPARES}, []),
        (Path(True, True), {}, ["pooler-options"]),
        (Path(False, False), {}, ["pooler-options"]),
        (
            Path(True, False),
            {"DISABLE_SERVER_SIDE_CURSORS": False},
            ["pooler-cursors", "pooler-options"],
        ),
        (Path(True, False), {"OPTIONS": PREPARES}, ["pooler-prepared", "pooler-options"]),
        (Path(True, False), {"OPTIONS": {"prepare_threshold": 5}}, ["pooler-options"]),
    ],
)
def test_what_a_way_cannot_do(path: Path, settings: dict[str, Any], expected: list[str]):
    assert [each.kind for each in judge(path, "default", SETTINGS | settings)] == expected


@pytest.mark.parametrize(
    ("pool_mode", "pool_size", "expected"),
    [
        ("transaction", 1, ["pooler-cursors", "pooler-options"]),
        ("transaction", 5, ["pooler-cursors", "pooler-options"]),
        ("statement", 2, ["pooler-cursors", "pooler-options"]),
        ("session", 5, ["pooler-options"]),
    ],
)
@pytest.mark.parametrize("ignored", ["", "options"])
def test_a_pooler_is_found(pool_mode: str, pool_size: int, expected: list[str], ignored: str):
    if find_pgbouncer() is None:
        pytest.skip("There is no program 'pgbouncer', and APPSCHEMA_PGBOUNCER names none.")
    settings = {"ignore_startup_parameters": ignored} if ignored else {}
    params = connection.get_connection_params()
    with PgBouncer(params, pool_mode=pool_mode, pool_size=pool_size, settings=settings) as pooler:
        entry = {**connection.settings_dict, "HOST": pooler.socket_directory, "PORT": pooler.port}
        connections.settings["pooled"] = entry
        try:
            findings = find_all("pooled", read_selection(None))
            assert [each.kind for each in findings] == expected
        finally:
            connections["pooled"].close()
            del connections["pooled"]
            del connections.settings["pooled"]

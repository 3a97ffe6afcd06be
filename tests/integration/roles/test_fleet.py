"""Roles come and go with schemas, and a fleet gets them and loses them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import count
from typing import Any

import psycopg
import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from django.test import override_settings

from appschema import schema_context
from appschema.context import as_owner
from appschema.exceptions import RoleError, RoleMissing
from appschema.names import role_name
from appschema.provisioning import (
    adopt_schema,
    clone_schema,
    drop_schema,
    new_schema,
    refill_spares,
    rename_schema,
    undrop_schema,
)
from appschema.roles.database import DatabaseRoles, drop_roles_of_gone_database
from appschema.roles.faults import find_faults
from appschema.testing import remove_schema
from tests.integration.roles.conftest import (
    NUMBER,
    connected_to,
    new_database,
    role,
    roles_of,
    run,
    superuser,
)
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag

COUNTER = count()
OF_DATABASE = {"@shared", "@unset", "@logins", "public"}
# What makes a name longer than 63 bytes, or is odd to SQL.
ODD = ["Acme", "acme", "a-b", "straße", "schéma-" + "é" * 27, "x" * 63, "x" * 62 + "y"]


@pytest.fixture
def database(django_db_blocker: Any) -> Iterator[str]:
    """An empty database of a login that may make roles, with the setting on."""
    number = next(COUNTER)
    name, login = f"as Rôles_{NUMBER}_{number}", f"appschema_l_{NUMBER}_{number}"
    with django_db_blocker.unblock(), new_database(name, login), connected_to(name, login):
        yield name


@pytest.fixture
def migrated(database: str) -> str:
    call_command("migrate", verbosity=0)
    return database


def enable(**options: Any) -> str:
    out = StringIO()
    call_command("schemaroles", "--enable", stdout=out, **options)
    return out.getvalue()


def add_note(schema_name: str, title: str = "x") -> None:
    with schema_context(schema_name):
        Note.objects.create(title=title, tag=Tag.objects.create(label=title))


def test_a_schema_comes_and_goes_with_its_role(migrated):
    assert roles_of(migrated) == OF_DATABASE
    new_schema("acme", "acme.test")
    assert roles_of(migrated) == {*OF_DATABASE, "acme"}
    add_note("acme")
    remove_schema("acme")
    assert roles_of(migrated) == OF_DATABASE
    assert run("SELECT count(*) FROM pg_default_acl", migrated) == [(2,)]


def test_a_schema_is_renamed_with_its_role(migrated):
    new_schema("acme", "acme.test")
    add_note("acme")
    run(left_role(migrated, "other"), migrated)
    rename_schema("acme", "other")
    assert roles_of(migrated) == {*OF_DATABASE, "other"}
    add_note("other", "y")
    with as_owner():
        assert not find_faults(connection, ["other"])


def test_a_spare_is_claimed_with_its_role(migrated):
    with override_settings(APPSCHEMA_SPARES=2):
        assert refill_spares() == 2
    assert len(roles_of(migrated)) == len(OF_DATABASE) + 2
    run(left_role(migrated, "acme"), migrated)
    new_schema("acme", "acme.test")
    assert "acme" in roles_of(migrated)
    assert len(roles_of(migrated)) == len(OF_DATABASE) + 2
    add_note("acme")
    with as_owner():
        assert not find_faults(connection, ["acme"])
    remove_schema("acme")
    refill_spares()
    assert roles_of(migrated) == OF_DATABASE


def test_a_spare_from_before_the_roles_gets_one_when_it_is_claimed(database):
    with override_settings(APPSCHEMA_ROLES=False, APPSCHEMA_SPARES=1):
        make_fleet_without_roles(())
        refill_spares()
    enable()
    new_schema("acme", "acme.test")
    add_note("acme")
    with as_owner():
        assert not find_faults(connection, ["acme"])


def test_a_clone_has_a_role_of_its_own(migrated):
    new_schema("acme", "acme.test")
    add_note("acme")
    clone_schema("acme", "copy", "copy.test", with_data=True)
    add_note("copy", "y")
    counts = []
    for name in ("acme", "copy"):
        with schema_context(name):
            counts.append(Note.objects.count())
    assert counts[1] == counts[0] + 1
    with as_owner():
        assert not find_faults(connection, ["acme", "copy"])


def test_a_schema_that_is_dropped_and_had_back_keeps_its_role(migrated):
    new_schema("acme", "acme.test")
    drop_schema("acme")
    undrop_schema("acme")
    add_note("acme")


def test_an_adopted_schema_gets_a_role(migrated):
    new_schema("acme", "acme.test")
    run("DELETE FROM appschema_publicname; DELETE FROM appschema_schema", migrated)
    adopt_schema("acme", "acme.test")
    add_note("acme")


def test_a_schema_that_is_not_made_leaves_no_role(migrated):
    with transaction.atomic():
        new_schema("acme", "acme.test")
        transaction.set_rollback(True)
    assert roles_of(migrated) == OF_DATABASE
    new_schema("acme", "acme.test")
    with transaction.atomic():
        remove_schema("acme")
        transaction.set_rollback(True)
    add_note("acme")


def test_a_role_that_was_left_is_replaced_with_its_rights(migrated):
    run(f"CREATE TABLE public.secret (); {left_role(migrated, 'acme')}", migrated)
    run(f"GRANT SELECT ON public.secret TO {role('acme', migrated)}", migrated)
    with pytest.raises(RoleError, match="somebody else has given it rights: privileges for table"):
        new_schema("acme", "acme.test")
    login = connection.settings_dict["USER"]
    run(f'ALTER TABLE public.secret OWNER TO "{login}"', migrated)
    new_schema("acme", "acme.test")
    add_note("acme")
    with schema_context("acme"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("SELECT * FROM secret")


def left_role(database: str, name: str) -> str:
    quoted = role(name, database)
    login = connection.settings_dict["USER"]
    version = connection.pg_version  # type: ignore[attr-defined]
    may = f'; GRANT {quoted} TO "{login}" WITH ADMIN OPTION' if version >= 160000 else ""
    comment = f"Made by appschema for the database {database!r}."
    return f"CREATE ROLE {quoted}; COMMENT ON ROLE {quoted} IS $c${comment}$c${may}"


def test_a_role_of_somebody_else_is_never_taken(migrated):
    run(f"CREATE ROLE {role('acme', migrated)}", migrated)
    with pytest.raises(RoleError, match="which appschema has not made for this database"):
        new_schema("acme", "acme.test")
    assert run("SELECT 1 FROM pg_namespace WHERE nspname = 'acme'", migrated) == []


@pytest.mark.parametrize("name", ODD)
def test_odd_names_have_roles_of_their_own(migrated, name):
    new_schema(name, "odd.test")
    new_schema("beta", "beta.test")
    add_note(name)
    assert len(run("SELECT 1 FROM pg_roles WHERE rolname ~ '^appschema/'", migrated)) >= 6
    with schema_context("beta"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute(f'SELECT * FROM "{name}".notes_note')
    remove_schema(name)
    assert (
        run(f"SELECT 1 FROM pg_roles WHERE rolname = $n${role_name(migrated, name)}$n$", migrated)
        == []
    )


OWN = """
    CREATE TABLE alpha.of_serial (id serial, n int);
    CREATE TABLE alpha.parts (id int GENERATED ALWAYS AS IDENTITY, n int) PARTITION BY LIST (n);
    CREATE TABLE alpha.part PARTITION OF alpha.parts DEFAULT;
    CREATE VIEW alpha.seen AS SELECT n FROM alpha.parts;
    CREATE SEQUENCE alpha.numbers;
"""


def test_what_a_migration_makes_by_sql_is_its_schemas(migrated):
    for name in ("alpha", "beta"):
        new_schema(name, f"{name}.test")
    with schema_context("alpha"), as_owner(), connection.cursor() as cursor:
        cursor.execute(OWN)
    use = (
        "INSERT INTO {0}.of_serial (n) VALUES (1)",
        "INSERT INTO {0}.parts (n) VALUES (1)",
        "SELECT * FROM {0}.part",
        "SELECT * FROM {0}.seen",
        "SELECT nextval('{0}.numbers')",
        "TRUNCATE {0}.parts",
    )
    for sql in use:
        with schema_context("alpha"), connection.cursor() as cursor:
            cursor.execute(sql.format("alpha"))
        with schema_context("beta"), connection.cursor() as cursor:
            with pytest.raises(ProgrammingError, match="permission denied"):
                cursor.execute(sql.format("alpha"))


def test_migrations_after_enabling_give_their_tables_to_whom_they_belong(database):
    base = ["appschema", "django.contrib.contenttypes", "django.contrib.auth"]
    with override_settings(
        INSTALLED_APPS=[*base, "django.contrib.sessions"],
        APPSCHEMA_SHARED_APPS=[],
        APPSCHEMA_BOTH_APPS=[],
    ):
        call_command("migrate", verbosity=0)
        new_schema("acme", "acme.test")
    call_command("migrate", verbosity=0)
    add_note("acme")
    for where in ("acme", None, "public"):
        with schema_context(where):
            Plan.objects.create(name=str(where))
    with schema_context("public"):
        Tag.objects.create(label="public's")
    with schema_context("acme"), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("SELECT * FROM public.tags_tag")


def test_rights_on_shared_tables_are_those_of_the_setting(migrated):
    new_schema("acme", "acme.test")
    with override_settings(APPSCHEMA_ROLES_SHARED_RIGHTS=["SELECT"]):
        enable()
        with schema_context("acme"):
            assert not Plan.objects.exists()
            with pytest.raises(ProgrammingError, match="permission denied"):
                Plan.objects.create(name="x")
        with schema_context("public"):
            Plan.objects.create(name="x")
    enable()
    with schema_context("acme"):
        Plan.objects.create(name="y")


def make_fleet_without_roles(names: tuple[str, ...] = ("a", "b", "c")) -> None:
    with override_settings(APPSCHEMA_ROLES=False):
        call_command("migrate", verbosity=0)
        for name in names:
            new_schema(name, f"{name}.test")


def test_enabling_goes_on_after_a_kill(database):
    make_fleet_without_roles()
    assert roles_of(database) == set()
    login = connection.settings_dict["USER"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "APPSCHEMA_TEST_DATABASE_URL": psycopg.conninfo.make_conninfo(
            os.environ["APPSCHEMA_TEST_DATABASE_URL"], dbname=database, user=login
        ),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "django", "schemaroles", "--enable"]
    with superuser(database) as blocker, blocker.transaction():
        # Whoever changes the same table's rights waits for this transaction.
        blocker.execute("GRANT SELECT ON b.notes_note TO pg_monitor")
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"a: has its role\n"
            process.kill()
    assert process.returncode == -9
    connection.close()
    run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'",
        database,
    )
    assert roles_of(database) >= {*OF_DATABASE, "a"}
    assert "c" not in roles_of(database)
    add_note("a")
    with schema_context("c"), pytest.raises(RoleMissing, match="schemaroles --enable"):
        Note.objects.count()
    assert enable() == "a: has its role\nb: has its role\nc: has its role\n"
    for name in ("a", "b", "c"):
        add_note(name, "again")


def test_disabling_leaves_nothing_and_goes_on_after_a_stop(database, monkeypatch):
    make_fleet_without_roles()
    enable()
    with pytest.raises(RoleError, match="APPSCHEMA_ROLES is True"):
        call_command("schemaroles", "--disable")
    drop = DatabaseRoles.drop_that_of

    def stop(self: Any, name: str) -> None:
        if name == "b":
            raise KeyboardInterrupt
        drop(self, name)

    with override_settings(APPSCHEMA_ROLES=False):
        monkeypatch.setattr(DatabaseRoles, "drop_that_of", stop)
        with pytest.raises(KeyboardInterrupt):
            call_command("schemaroles", "--disable", verbosity=0)
        assert roles_of(database) == {*OF_DATABASE, "b", "c"}
        monkeypatch.setattr(DatabaseRoles, "drop_that_of", drop)
        call_command("schemaroles", "--disable", verbosity=0)
        assert roles_of(database) == set()
        add_note("a")
    assert run("SELECT count(*) FROM pg_default_acl", database) == [(0,)]


def test_schemas_that_are_made_while_the_setting_is_still_off_have_roles(database):
    make_fleet_without_roles(())
    enable()
    with override_settings(APPSCHEMA_ROLES=False):
        new_schema("late", "late.test")
        add_note("late")
    add_note("late", "under its role")


def test_a_login_that_may_make_no_roles_is_told_before_anything_is_touched(database):
    make_fleet_without_roles()
    login = connection.settings_dict["USER"]
    run(f'ALTER ROLE "{login}" NOCREATEROLE', database)
    with pytest.raises(RoleError, match=rf"ALTER ROLE \"{login}\" CREATEROLE"):
        enable()
    assert roles_of(database) == set()
    run(f'ALTER ROLE "{login}" CREATEROLE', database)
    enable()
    run(f'ALTER ROLE "{login}" NOCREATEROLE', database)
    with pytest.raises(RoleError, match="may not make roles"):
        new_schema("d", "d.test")
    assert run("SELECT 1 FROM pg_namespace WHERE nspname = 'd'", database) == []


def test_another_login_may_be_allowed_the_roles_and_has_nothing_by_itself(migrated):
    new_schema("acme", "acme.test")
    web = f"appschema_web_{NUMBER}"
    with superuser() as admin:
        admin.execute(f"CREATE ROLE {web} LOGIN")
    try:
        enable(login=[web])
        with connected_to(migrated, web):
            add_note("acme")
            with schema_context("acme"), as_owner(), pytest.raises(ProgrammingError):
                Note.objects.count()
            assert not find_faults(connection, ["acme"])
        with superuser(migrated) as admin:
            admin.execute(f"SET SESSION AUTHORIZATION {web}")
            for table in ("acme.notes_note", "public.plans_plan", "public.tags_tag"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    admin.execute(f"SELECT * FROM {table}")
    finally:
        with superuser() as admin:
            admin.execute(f"DROP ROLE {web}")


def test_a_login_has_no_rights_of_a_schema_by_its_membership(migrated):
    new_schema("acme", "acme.test")
    login = connection.settings_dict["USER"]
    run(f"ALTER TABLE acme.notes_note OWNER TO {os.environ.get('PGUSER', 'postgres')}", migrated)
    with superuser(migrated) as admin:
        admin.execute(f'SET SESSION AUTHORIZATION "{login}"')
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            admin.execute("SELECT * FROM acme.notes_note")


def test_the_rights_on_shared_tables_are_no_role_to_take(migrated):
    if connection.pg_version < 160000:  # type: ignore[attr-defined]
        pytest.skip("Before PostgreSQL 16 whoever inherits from a role may take it.")
    new_schema("acme", "acme.test")
    shared, acme = role("@shared", migrated), role("acme", migrated)
    login = '"' + connection.settings_dict["USER"] + '"'

    def take() -> None:
        with superuser(migrated) as admin:
            admin.execute(f"SET SESSION AUTHORIZATION {acme}")
            admin.execute(f"SET ROLE {shared}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        take()
    # As a fleet of before has it.
    run(f"GRANT {shared} TO {acme} WITH SET TRUE GRANTED BY {login}", migrated)
    take()
    enable()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        take()


@pytest.mark.parametrize(
    "sql", ["DROP OWNED BY {0}; DROP ROLE {0}", "REVOKE {0} FROM {1} GRANTED BY {2}"]
)
@pytest.mark.parametrize("way", ["execute", "executemany"])
def test_a_role_that_is_gone_or_not_allowed_is_named_with_its_mend(migrated, sql, way):
    new_schema("acme", "acme.test")
    login = '"' + connection.settings_dict["USER"] + '"'
    run(sql.format(role("acme", migrated), role("@logins", migrated), login), migrated)
    call = {"execute": ("SELECT 1",), "executemany": ("SELECT %s", [[1]])}[way]
    with schema_context("acme"), connection.cursor() as cursor:
        with pytest.raises(RoleMissing, match=r"run 'manage\.py schemaroles --enable'") as caught:
            getattr(cursor, way)(*call)
    assert caught.value.schema_name == "acme"
    enable()
    add_note("acme")


FAULTS = {
    "DROP OWNED BY {acme}; DROP ROLE {acme}": "of schema 'acme' is missing.",
    "REVOKE INSERT, DELETE ON acme.notes_note FROM {acme}": (
        "The role of schema 'acme' lacks INSERT, DELETE on its table 'notes_note'."
    ),
    "REVOKE {shared} FROM {acme} GRANTED BY {login}": "The role of schema 'acme' is no member of",
    "REVOKE UPDATE ON plans_plan FROM {shared}": "on the shared table 'plans_plan'.",
    "REVOKE {acme} FROM {logins} GRANTED BY {login}": "The login may not take the role",
    "ALTER ROLE {acme} LOGIN": "may log in, or may more",
    "GRANT SELECT ON beta.notes_note TO {acme}": "has rights on 'notes_note' of schema 'beta'",
    "REVOKE USAGE ON SCHEMA acme FROM {acme}": "of schema 'acme' lacks USAGE on the schema.",
    "REVOKE USAGE ON SEQUENCE acme.notes_note_id_seq FROM {acme}": (
        "of schema 'acme' lacks USAGE on its sequence 'notes_note_id_seq'."
    ),
    "GRANT SELECT ON tags_tag TO {shared}": "has rights on 'tags_tag' of public",
    "GRANT SELECT ON tags_tag TO {acme}": "has rights on 'tags_tag' of public",
    "GRANT SELECT ON beta.notes_note TO PUBLIC": "The role 'PUBLIC' has rights on 'notes_note'",
}


@pytest.mark.parametrize("sql", FAULTS)
def test_check_names_what_is_missing_or_too_much(migrated, sql):
    for name in ("acme", "beta"):
        new_schema(name, f"{name}.test")
    call_command("schemaroles", "--check", verbosity=0)
    parts = {
        part.removeprefix("@"): role(part, migrated) for part in ("acme", "@shared", "@logins")
    }
    login = '"' + connection.settings_dict["USER"] + '"'
    run(sql.format(login=login, **parts), migrated)
    err = StringIO()
    with pytest.raises(Exception, match="1 found"):
        call_command("schemaroles", "--check", stderr=err)
    assert FAULTS[sql] in err.getvalue()
    assert len(err.getvalue().splitlines()) == 1
    (found,) = [each for each in run_checks(databases=["default"]) if each.id == "appschema.W008"]
    assert FAULTS[sql] in found.msg
    if not sql.startswith(("GRANT", "ALTER")):
        enable()
        call_command("schemaroles", "--check", verbosity=0)


def test_check_of_a_server_is_silent_without_the_setting(migrated):
    run(f"DROP OWNED BY {role('public', migrated)}", migrated)
    with override_settings(APPSCHEMA_ROLES=False):
        assert not [each for each in run_checks(databases=["default"]) if each.id.endswith("W008")]


def test_a_schema_that_its_role_cannot_see_is_not_passed_over_for_public(migrated):
    """PostgreSQL leaves out of the path what the role may not use, and goes on to public."""
    new_schema("acme", "acme.test")
    run(f"REVOKE USAGE ON SCHEMA acme FROM {role('acme', migrated)}", migrated)
    run(f"GRANT SELECT ON public.tags_tag TO {role('acme', migrated)}", migrated)
    for sql in ("SELECT * FROM tags_tag", "SELECT * FROM plans_plan"):
        with schema_context("acme"), connection.cursor() as cursor:
            with pytest.raises(ProgrammingError, match="permission denied for schema acme"):
                cursor.execute(sql)


@pytest.mark.parametrize("again", ["", "; CREATE SCHEMA acme CREATE TABLE tags_tag (id int)"])
def test_after_a_rename_by_hand_in_mid_transaction_the_role_refuses_the_next_statement(
    migrated, again
):
    """Without roles it would see public's rows, or those of a schema that has the name by then."""
    new_schema("acme", "acme.test")
    with schema_context("public"):
        Tag.objects.create(label="public's")
    with schema_context("acme"), transaction.atomic():
        assert not Tag.objects.exists()
        run(f"ALTER SCHEMA acme RENAME TO away{again}", migrated)
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            Tag.objects.exists()


def test_flush_empties_all_and_keeps_the_rights(migrated):
    new_schema("acme", "acme.test")
    add_note("acme")
    call_command("flush", verbosity=0, interactive=False)
    with schema_context("acme"):
        assert not Note.objects.exists()
    add_note("acme")


def test_commands_of_the_operator_run_as_the_owner(migrated, tmp_path):
    new_schema("acme", "acme.test")
    file = tmp_path / "make.sql"
    file.write_text("CREATE TABLE made (id int)")
    call_command("schema_exec", str(file), verbosity=0)
    with schema_context("acme"), connection.cursor() as cursor:
        cursor.execute("INSERT INTO made VALUES (1)")
        with pytest.raises(ProgrammingError, match="must be owner"):
            cursor.execute("DROP TABLE made")
    with override_settings(CACHES=DATABASE_CACHE):
        call_command("inschema", "acme", "createcachetable", verbosity=0)
    with schema_context("acme"), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM entries")


DATABASE_CACHE = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "entries",
        "KEY_FUNCTION": "appschema.isolation.cache.make_key",
    }
}


def test_roles_of_a_database_that_is_dropped_are_dropped(django_db_blocker):
    name, login = f"appschema_gone_{NUMBER}", f"appschema_gone_l_{NUMBER}"
    with django_db_blocker.unblock(), new_database(name, login):
        with connected_to(name, login):
            call_command("migrate", verbosity=0)
            new_schema("acme", "acme.test")
        with superuser() as admin:
            drop_roles_of_gone_database(admin.cursor(), name)
            assert "acme" in roles_of(name)  # The database still names them.
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            drop_roles_of_gone_database(admin.cursor(), name)
            admin.execute(f"CREATE DATABASE {name} OWNER {login}")
        assert roles_of(name) == set()


def test_dbshell_starts_under_the_role(migrated, monkeypatch):
    new_schema("acme", "acme.test")
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1234 -c search_path=elsewhere")
    with schema_context("acme"):
        _, env = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    assert env is not None
    url = psycopg.conninfo.make_conninfo(
        os.environ["APPSCHEMA_TEST_DATABASE_URL"], dbname=migrated, options=env["PGOPTIONS"]
    )
    with psycopg.connect(url) as plain:
        assert plain.execute("SELECT current_user").fetchone() == (role_name(migrated, "acme"),)
        assert plain.execute("SELECT current_schema()").fetchone() == ("acme",)
        assert plain.execute("SHOW statement_timeout").fetchone() == ("1234ms",)


def test_receivers_of_a_new_schema_do_not_run_as_the_owner(migrated):
    from appschema.signals import schema_created

    seen = []

    def receiver(schema_name: str, **kwargs: Any) -> None:
        with schema_context(schema_name), connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            seen.append(cursor.fetchone()[0])

    schema_created.connect(receiver)
    try:
        new_schema("acme", "acme.test")
    finally:
        schema_created.disconnect(receiver)
    assert seen == [role_name(migrated, "acme")]

"""The commands as an operator types them."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from django.core.management import ManagementUtility
from django.db import connection
from pytest_django import DjangoDbBlocker

from appschema.resolver import forget_names

DATABASE = f"appschema_commands_{os.getpid()}"
ROOT = Path(__file__).parents[2]

Rows = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def ok(self) -> "Ended":
        assert self.code == 0, self.err
        return self

    def refused(self) -> str:
        """Return the one sentence of a command that was refused."""
        assert self.code == 1, (self.out, self.err)
        assert "Traceback" not in self.err
        return self.err.strip()


class Manage(Protocol):
    def __call__(self, *words: str, typed: str = "") -> Ended: ...


def url() -> str:
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    return psycopg.conninfo.make_conninfo(server, dbname=DATABASE)


def run(*words: str) -> int:
    """Do what ``manage.py`` does with its command line, in this process: starting one is slow."""
    try:
        ManagementUtility(["manage.py", *words]).execute()
    except SystemExit as stop:
        return int(stop.code or 0)
    except Exception:  # noqa: BLE001 - told as Python tells of what nobody catches
        traceback.print_exc()
        return 1
    return 0


@pytest.fixture
def manage(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Manage:
    def call(*words: str, typed: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", StringIO(typed))
        capfd.readouterr()
        code = run(*words)
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def manage_apart() -> Manage:
    """The same in a process of its own."""

    def call(*words: str, typed: str = "") -> Ended:
        environment = {
            **os.environ,
            "APPSCHEMA_TEST_DATABASE_URL": url(),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        }
        process = subprocess.run(
            [sys.executable, "-m", "django", *words],
            cwd=ROOT,
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(process.returncode, process.stdout, process.stderr)

    return call


@pytest.fixture(scope="module", autouse=True)
def site(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database at head with the schemas acme and globex."""
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "NAME", DATABASE)
        patch.setenv("DJANGO_SUPERUSER_PASSWORD", "pw")
        forget_names()
        assert run("migrate", "-v0") == 0
        for name in ("acme", "globex"):
            assert run("createschema", name, f"{name}.example.com") == 0
        yield
        connection.close()
    forget_names()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{DATABASE}" WITH (FORCE)')


@pytest.fixture
def rows() -> Rows:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url(), autocommit=True) as plain:
            cursor = plain.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return ask


@pytest.fixture(autouse=True)
def clean(rows: Rows) -> Iterator[None]:
    yield
    for name in ("acme", "globex"):
        rows(f"TRUNCATE {name}.auth_user, {name}.notes_note, {name}.tags_tag CASCADE")
    rows("TRUNCATE public.tags_tag CASCADE")
    rows("DELETE FROM public.plans_plan")


def test_a_schema_is_created_listed_and_dropped(manage: Manage, rows: Rows):
    created = manage("createschema", "initech", "Initech.example.com.", "--inactive").ok()
    assert created.out == "Created schema initech, reached by initech.example.com.\n"
    rows(
        "INSERT INTO appschema_publicname (public_name, is_primary, schema_id)"
        " SELECT 'two.example.com', false, id FROM appschema_schema WHERE name = 'initech'"
    )
    header, *lines = manage("listschemas").ok().out.splitlines()
    assert header.split() == ["NAME", "PUBLIC", "NAME", "STATE", "MIGRATIONS", "CREATED"]
    assert [line.split()[0] for line in lines] == ["acme", "globex", "initech"]
    assert lines[2].split()[1:6] == [
        *("initech.example.com", "(+1)", "inactive", "up", "to"),
    ]
    *_, described = json.loads(manage("listschemas", "--json").ok().out)
    created = described.pop("created")
    assert "T" in created
    assert described == {
        "name": "initech",
        "public_name": "initech.example.com",
        "public_names": ["initech.example.com", "two.example.com"],
        "is_active": False,
        "state": "inactive",
        "notice": "",
        "dropped": None,
        "migrations": {"missing": [], "unknown": []},
        "interrupted": False,
        "drifts": False,
    }
    refused = manage("dropschema", "initech", "--now", typed="acme\n").refused()
    assert refused == "CommandError: Nothing was changed: the name 'initech' was not typed."
    assert (
        "All rows of 'initech' will be lost."
        in manage("dropschema", "initech", "--now", typed="initech\n").ok().out
    )
    assert rows("SELECT 1 FROM pg_namespace WHERE nspname = 'initech'") == []
    retired = manage("createschema", "initech", "initech.example.com").refused()
    assert retired.startswith("NameRetired: A schema was called 'initech' until ")


@pytest.fixture
def initech(manage: Manage, rows: Rows) -> Iterator[None]:
    manage("createschema", "initech", "initech.example.com", "--reuse-name", "-v0").ok()
    yield
    for name in ("initech", "initrode"):
        rows(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    rows("DELETE FROM appschema_publicname WHERE public_name LIKE '%init%'")
    rows("DELETE FROM appschema_schema WHERE name LIKE 'init%'")
    rows("DELETE FROM appschema_retiredname")


def state(manage: Manage, name: str = "initech") -> str:
    found = json.loads(manage("listschemas", "--json").ok().out)
    return next((each["state"] for each in found if each["name"] == name), "unknown")


def test_a_schema_is_dropped_had_back_and_purged(initech: None, manage: Manage, rows: Rows):
    dropped = manage("dropschema", "initech", "--noinput").ok().out
    assert dropped.startswith(
        "Dropped schema initech. 'manage.py undropschema initech' brings it back, until 'manage.py"
        " purgeschemas' runs after "
    )
    assert state(manage) == "dropped"
    assert manage("purgeschemas", "--noinput").ok().out == "No dropped schema is due.\n"
    assert "can be had back until" in manage("purgeschemas", "initech", "--noinput").refused()
    assert manage("undropschema", "initech").ok().out == "Schema initech is back, and active.\n"
    assert "is not dropped" in manage("undropschema", "initech").refused()
    assert "is not dropped" in manage("purgeschemas", "initech", "--noinput").refused()
    manage("dropschema", "initech", typed="initech\n").ok()
    rows(
        "UPDATE appschema_schema SET dropped = now() - interval '8 days' WHERE dropped IS NOT NULL"
    )
    refused = manage("purgeschemas", typed="2\n").refused()
    assert refused == "CommandError: Nothing was changed: the number 1 was not typed."
    assert manage("purgeschemas", typed="").refused() == refused, "no terminal is no answer"
    assert "All rows of initech will be lost." in manage("purgeschemas", typed="1\n").ok().out
    assert state(manage) == "unknown"
    assert manage("dropschema", "initech", "--noinput").refused() == (
        "UnknownSchema: There is no schema 'initech'. Run 'manage.py listschemas' to see which there"
        " are."
    )


def test_a_schema_is_purged_before_its_time_if_it_is_named(initech: None, manage: Manage):
    manage("dropschema", "initech", "--noinput").ok()
    assert manage("purgeschemas", "--now", "--noinput").refused() == (
        "CommandError: Name the schemas that are to be purged before their time."
    )
    purged = manage("purgeschemas", "initech", "--now", "--noinput").ok()
    assert purged.out == "Purged schema initech.\n"


def test_a_schema_is_renamed(initech: None, manage: Manage, rows: Rows):
    refused = manage("renameschema", "initech", "initrode", typed="no\n").refused()
    assert refused == "CommandError: Nothing was changed: the name 'initech' was not typed."
    out = manage("renameschema", "initech", "initrode", typed="initech\n").ok().out
    assert "Renamed schema initech to initrode." in out
    assert out.endswith("move its files: directory initech to initrode.\n")
    assert state(manage, "initrode") == "active"
    assert (
        "A schema was called 'initech'"
        in manage("renameschema", "initrode", "initech", "--noinput").refused()
    )
    manage("renameschema", "initrode", "initech", "--noinput", "--reuse-name").ok()


def test_a_schema_is_deactivated_and_activated(initech: None, manage: Manage):
    ended = manage("deactivateschema", "initech", "--notice", "Back at noon.").ok()
    assert ended.out == "Schema initech is not served any more.\n"
    assert state(manage) == "inactive"
    assert manage("activateschema", "initech").ok().out == "Schema initech is served.\n"
    assert state(manage) == "active"


def test_names_are_added_and_removed(initech: None, manage: Manage):
    added = manage("addname", "initech", "two.init.example").ok().out
    assert added == "Schema initech is reached by two.init.example.\n"
    refused = manage("removename", "initech.example.com").refused()
    assert refused.startswith(
        "WrongState: The public name 'initech.example.com' is the primary one"
    )
    added = manage("addname", "initech", "two.init.example", "--primary").ok().out
    assert added == "Schema initech is reached by two.init.example, its primary name.\n"
    removed = manage("removename", "initech.example.com").ok().out
    assert removed == "initech.example.com leads to no schema any more.\n"
    assert (
        manage("removename", "initech.example.com")
        .refused()
        .startswith("UnknownPublicName: No schema has the public name 'initech.example.com'.")
    )


def test_a_schema_that_lost_its_row_is_adopted(initech: None, manage: Manage, rows: Rows):
    rows("DELETE FROM appschema_publicname WHERE public_name LIKE 'init%'")
    rows("DELETE FROM appschema_schema WHERE name LIKE 'init%'")
    refused = manage("createschema", "initech", "initech.example.com").refused()
    assert "take it over with 'manage.py createschema initech PUBLIC_NAME --adopt'" in refused
    adopted = manage("createschema", "initech", "initech.example.com", "--adopt").ok()
    assert adopted.out == "Registered schema initech, reached by initech.example.com.\n"
    assert state(manage) == "active"


def test_machines_are_told_in_json(initech: None, manage: Manage, rows: Rows):
    def told(*words: str) -> Any:
        return json.loads(manage(*words, "--json").ok().out)

    assert told("deactivateschema", "initech", "--notice", "Later.") == {
        "name": "initech",
        "is_active": False,
        "notice": "Later.",
    }
    assert told("activateschema", "initech") == {"name": "initech", "is_active": True}
    assert told("addname", "initech", "two.init.example") == {
        "name": "initech",
        "public_name": "two.init.example",
        "is_primary": False,
    }
    assert told("removename", "two.init.example") == {
        "public_name": "two.init.example",
        "removed": True,
    }
    assert told("renameschema", "initech", "initrode", "--noinput") == {
        "name": "initrode",
        "old_name": "initech",
        "files": {"from": "initech", "to": "initrode"},
    }
    dropped = told("dropschema", "initrode", "--noinput")
    assert (dropped["name"], dropped["purged"]) == ("initrode", False)
    assert dropped["dropped"] < dropped["due"]
    assert told("undropschema", "initrode") == {"name": "initrode", "is_active": True}
    manage("dropschema", "initrode", "--noinput").ok()
    ended = manage("purgeschemas", "initrode", "acme", "--now", "--noinput", "--json")
    assert ended.code == 1
    failed, done = sorted(json.loads(ended.out), key=lambda each: str(each["name"]))
    assert (done["name"], done["purged"], done["error"]) == ("initrode", True, None)
    assert (failed["name"], failed["purged"]) == ("acme", False)
    assert failed["error"].startswith("Schema 'acme' is not dropped.")
    words = ("createschema", "initech", "initech.example.com", "--inactive", "--reuse-name")
    assert told(*words) == {
        "name": "initech",
        "public_name": "initech.example.com",
        "is_active": False,
    }
    assert told("dropschema", "initech", "--now", "--noinput")["purged"] is True


def test_commands_for_all_schemas_leave_dropped_ones_out(initech: None, manage: Manage, rows: Rows):
    manage("dropschema", "initech", "--noinput").ok()
    headings = manage("inschema", "--all", "check").ok().out.splitlines()
    assert [line for line in headings if line.endswith(":")] == ["acme:", "globex:"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["createschema", "acme", "x.example.com"],
            "The schema 'acme' is registered already. Choo",
        ),
        (["createschema", "new", "ACME.example.com"], "The public name 'acme.example.com' belongs"),
        (["createschema", "a;b", "x.example.com"], "The schema name 'a;b' holds ';'. Use letters"),
        (["createschema", "new", "no host"], "The public name 'no host' is not a valid host name."),
        (["dropschema", "pg_catalog", "--noinput"], "The schema name 'pg_catalog' is reserved"),
        (["migrate", "--schema", "initech"], "There is no schema 'initech'. Run 'manage.py list"),
        (["migrate", "--schema", "a;b"], "The schema name 'a;b' holds ';'."),
        (["inschema"], "Type 'manage.py inschema NAME COMMAND ...' or 'inschema --all COMMAND"),
        (["inschema", "acme"], "Type 'manage.py inschema NAME COMMAND ...' or 'inschema --all"),
        (["inschema", "--all"], "Type 'manage.py inschema NAME COMMAND ...' or 'inschema --all"),
        (["inschema", "initech", "check"], "There is no schema 'initech'. Run 'manage.py list"),
        (["inschema", "a;b", "check"], "The schema name 'a;b' holds ';'."),
        (["loadschemadata", "nothing.json"], "No fixture named 'nothing' found."),
        (["schema_exec", "nothing.sql"], "The file 'nothing.sql' cannot be read: "),
        (["schema_exec", "/dev/null", "--schema", "initech"], "There is no schema 'initech'."),
    ],
)
def test_an_error_is_a_sentence(manage: Manage, words: list[str], sentence: str):
    refused = manage(*words).refused()
    assert sentence in refused


@pytest.mark.parametrize(
    "words",
    [
        ["createsuperuser", "--noinput", "--username=ann", "--email=a@example.com"],
        ["changepassword", "ann"],
        ["dumpdata"],
        ["dumpdata", "notes"],
        ["clearsessions"],
        ["flush", "--noinput"],
        [
            "shell",
            "-v0",
            "-c",
            "from tests.sample.notes.models import Note; print(Note.objects.count())",
        ],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_typed_plainly_a_command_that_touches_isolated_tables_says_what_to_type(
    manage: Manage, words: list[str]
):
    ended = manage(*words)
    if words[0] == "shell":  # Python's own traceback is what a shell is for.
        assert "manage.py inschema NAME COMMAND" in ended.err
        assert ended.code == 1
    else:
        assert "manage.py inschema NAME" in ended.refused()


def test_typed_plainly_loaddata_of_isolated_rows_says_what_to_type(
    manage: Manage, tmp_path: Path, rows: Rows
):
    fixture = tmp_path / "notes.json"
    fixture.write_text('[{"model": "notes.note", "fields": {"title": "one"}}]')
    assert "manage.py inschema NAME" in manage("loaddata", str(fixture)).refused()


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["check", "--database", "default"],
        ["makemigrations", "--check", "--dry-run"],
        ["sqlmigrate", "notes", "0001"],
        ["sqlmigrate", "plans", "0001"],
        ["showmigrations"],
        ["showmigrations", "--plan"],
        ["migrate", "--check"],
        ["migrate", "--plan"],
        ["dumpdata", "plans"],
        ["inspectdb"],
    ],
    ids=" ".join,
)
def test_typed_plainly_these_work(manage: Manage, words: list[str]):
    assert manage(*words).ok().err == ""


def test_showmigrations_shows_what_is_placed_and_where_the_rest_is(manage: Manage):
    plain = manage("showmigrations").ok().out
    assert "plans\n [X] 0001_initial" in plain
    assert "type 'manage.py inschema NAME showmigrations'" in plain
    assert "notes\n" not in plain
    within = manage("inschema", "acme", "showmigrations").ok().out
    assert "notes\n [X] 0001_initial" in within
    assert "plans\n" not in within


def test_runservers_check_of_migrations_is_about_public(manage: Manage):
    script = (
        "from django.core.management.commands.runserver import Command; import sys;"
        " c = Command(); c.check_migrations(); print('checked')"
    )
    assert manage("shell", "-v0", "-c", script).ok().out == "checked\n"


def test_inschema_runs_createsuperuser_in_one_schema(manage: Manage, rows: Rows):
    words = ["createsuperuser", "--noinput", "--username=ann", "--email=ann@example.com"]
    manage("inschema", "acme", *words).ok()
    assert rows("SELECT username FROM acme.auth_user") == [("ann",)]
    assert rows("SELECT username FROM globex.auth_user") == []


def test_inschema_all_runs_a_command_in_each_schema(manage: Manage, rows: Rows):
    words = ["createsuperuser", "--noinput", "--username=ann", "--email=ann@example.com"]
    ended = manage("inschema", "--all", *words).ok()
    assert ended.out.splitlines()[0] == "acme:"
    assert "globex:" in ended.out.splitlines()
    for name in ("acme", "globex"):
        assert rows(f"SELECT username FROM {name}.auth_user") == [("ann",)]


def test_inschema_all_names_the_schema_that_failed_and_does_the_others(manage: Manage, rows: Rows):
    words = ["createsuperuser", "--noinput", "--username=ann", "--email=ann@example.com"]
    manage("inschema", "acme", *words).ok()
    refused = manage("inschema", "--all", *words).refused()
    assert "Failed in acme: Error: That username is already taken." in refused
    assert refused.endswith(
        "MigrationError: Failed in 1 of 2: acme. The others are done. Mend the cause and run the same"
        " command again."
    )
    assert rows("SELECT username FROM globex.auth_user") == [("ann",)]


def test_inschema_dumps_and_loads_one_schemas_rows(manage: Manage, tmp_path: Path, rows: Rows):
    rows("DELETE FROM acme.notes_note; DELETE FROM globex.notes_note")  # what a migration made
    rows("INSERT INTO acme.notes_note (title, body) VALUES ('of acme', '')")
    rows("INSERT INTO public.tags_tag (label) VALUES ('of public')")
    rows("INSERT INTO acme.tags_tag (label) VALUES ('of acme')")
    dumped = json.loads(manage("inschema", "acme", "dumpdata").ok().out)
    assert {each["model"] for each in dumped} >= {"notes.note", "tags.tag", "auth.permission"}
    assert not [each for each in dumped if each["model"].startswith(("plans.", "appschema."))]
    assert [each["fields"]["label"] for each in dumped if each["model"] == "tags.tag"] == [
        "of acme"
    ]
    fixture = tmp_path / "notes.json"
    fixture.write_text(manage("inschema", "acme", "dumpdata", "notes").ok().out)
    manage("inschema", "globex", "loaddata", str(fixture)).ok()
    assert rows("SELECT title FROM globex.notes_note") == [("of acme",)]


def test_inschema_public_means_the_shared_tables(manage: Manage, rows: Rows):
    rows("INSERT INTO public.tags_tag (label) VALUES ('of public')")
    dumped = json.loads(manage("inschema", "public", "dumpdata").ok().out)
    assert {each["model"].split(".")[0] for each in dumped} == {"appschema", "tags"}
    assert (
        "manage.py inschema NAME" in manage("inschema", "public", "changepassword", "a").refused()
    )


def test_inschema_runs_python(manage: Manage, rows: Rows):
    script = "from tests.sample.notes.models import Note; Note.objects.create(title='by shell')"
    manage("inschema", "globex", "shell", "-c", script).ok()
    by_shell = "SELECT title FROM {}.notes_note WHERE title = 'by shell'"
    assert rows(by_shell.format("globex")) == [("by shell",)]
    assert rows(by_shell.format("acme")) == []


def test_inschema_flushes_one_schema(manage: Manage, rows: Rows):
    for name in ("acme", "globex"):
        rows(f"INSERT INTO {name}.notes_note (title, body) VALUES ('gone?', '')")
    rows("INSERT INTO public.plans_plan (name, price) VALUES ('kept', 1)")
    titles = "SELECT title FROM globex.notes_note ORDER BY title"
    before = rows(titles)
    manage("inschema", "acme", "flush", "--noinput").ok()
    assert rows("SELECT title FROM acme.notes_note") == []
    assert ("gone?",) in before
    assert rows(titles) == before
    assert rows("SELECT name FROM plans_plan") == [("kept",)]
    assert rows("SELECT count(*) FROM appschema_schema") == [(2,)]
    assert rows("SELECT count(*) > 10 FROM acme.auth_permission") == [(True,)]


def test_inschema_flushes_public_and_keeps_the_registry(manage: Manage, rows: Rows):
    rows("INSERT INTO public.plans_plan (name, price) VALUES ('gone', 1)")
    rows("INSERT INTO acme.notes_note (title, body) VALUES ('kept', '')")
    manage("inschema", "public", "flush", "--noinput").ok()
    assert rows("SELECT name FROM plans_plan") == []
    assert ("kept",) in rows("SELECT title FROM acme.notes_note")
    assert rows("SELECT count(*) FROM appschema_schema") == [(2,)]


def test_inschema_inspects_one_schemas_tables(manage: Manage):
    within = manage("inschema", "acme", "inspectdb").ok().out
    assert "db_table = 'notes_note'" in within
    assert "db_table = 'plans_plan'" not in within
    plain = manage("inspectdb").ok().out
    assert "db_table = 'plans_plan'" in plain
    assert "db_table = 'notes_note'" not in plain


@pytest.mark.parametrize("name", ["acme", "public"])
def test_inschema_opens_psql_in_the_schema(manage: Manage, name: str):
    ended = manage("inschema", name, "dbshell", "--", "-At", "-c", "SELECT current_schema()").ok()
    assert ended.out == f"{name}\n"


def test_inschema_runs_checks_and_migrates_one_schema(manage: Manage):
    manage("inschema", "acme", "check", "--database", "default").ok()
    printed = manage("inschema", "acme", "migrate").ok().out
    assert "Migrating public:" not in printed
    assert "1 migrated." in printed or "1 up to date." in printed


def test_an_unknown_command_in_a_schema_is_told_as_django_does(manage: Manage):
    ended = manage("inschema", "acme", "nosuchcommand")
    assert ended.code == 1
    assert "Unknown command: 'nosuchcommand'" in ended.err
    assert "Traceback" not in ended.err


def test_loadschemadata_loads_into_every_schema_or_those_named(
    manage: Manage, tmp_path: Path, rows: Rows
):
    fixture = tmp_path / "notes.json"
    fixture.write_text('[{"model": "notes.note", "pk": 7, "fields": {"title": "one"}}]')
    manage("loadschemadata", str(fixture)).ok()
    assert rows("SELECT title FROM acme.notes_note WHERE id = 7") == [("one",)]
    assert rows("SELECT title FROM globex.notes_note WHERE id = 7") == [("one",)]
    fixture.write_text(fixture.read_text().replace("one", "two"))
    manage("loadschemadata", str(fixture), "--schema", "globex").ok()
    assert rows("SELECT title FROM acme.notes_note WHERE id = 7") == [("one",)]
    assert rows("SELECT title FROM globex.notes_note WHERE id = 7") == [("two",)]


def test_loadschemadata_names_the_schema_that_failed_and_does_the_others(
    manage: Manage, tmp_path: Path, rows: Rows
):
    rows("INSERT INTO acme.tags_tag (label) VALUES ('taken')")
    fixture = tmp_path / "tags.json"
    fixture.write_text(
        '[{"model": "notes.note", "pk": 8, "fields": {"title": "no half"}},'
        ' {"model": "tags.tag", "pk": 99, "fields": {"label": "taken"}}]'
    )
    assert "Failed in 1 of 2: acme." in manage("loadschemadata", str(fixture)).refused()
    assert rows("SELECT title FROM acme.notes_note WHERE id = 8") == []
    assert rows("SELECT label FROM globex.tags_tag") == [("taken",)]


def test_schema_exec_runs_each_schema_in_one_transaction(
    manage: Manage, tmp_path: Path, rows: Rows
):
    script = tmp_path / "fill.sql"
    script.write_text(
        "-- 100% of it; as one\n"
        "INSERT INTO notes_note (title, body) VALUES ('by ''file''; 100%', '');\n"
        "INSERT INTO tags_tag (label) VALUES ('one');\n"
    )
    rows("INSERT INTO acme.tags_tag (label) VALUES ('one')")
    refused = manage("schema_exec", str(script)).refused()
    assert "Failed in acme: duplicate key value" in refused
    assert "MigrationError: Failed in 1 of 2: acme. The others are done." in refused
    assert rows("SELECT title FROM acme.notes_note WHERE title LIKE 'by%'") == []
    assert rows("SELECT title FROM globex.notes_note WHERE title LIKE 'by%'") == [
        ("by 'file'; 100%",)
    ]


def test_schema_exec_runs_in_those_schemas_that_are_named(
    manage: Manage, tmp_path: Path, rows: Rows
):
    script = tmp_path / "fill.sql"
    script.write_text("INSERT INTO tags_tag (label) VALUES ('one')")
    assert manage("schema_exec", str(script), "--schema", "acme").ok().out == "acme: done\n"
    assert rows("SELECT label FROM acme.tags_tag") == [("one",)]
    assert rows("SELECT label FROM globex.tags_tag") == []


def test_schema_exec_refuses_a_file_that_ends_its_transaction(
    manage: Manage, tmp_path: Path, rows: Rows
):
    script = tmp_path / "fill.sql"
    script.write_text("INSERT INTO tags_tag (label) VALUES ('one'); COMMIT; SELECT 1;")
    assert "Failed in 2 of 2: acme, globex." in manage("schema_exec", str(script)).refused()
    assert rows("SELECT label FROM acme.tags_tag") == []


def test_processes_of_their_own_say_the_same(manage_apart: Manage):
    _header, *lines = manage_apart("listschemas").ok().out.splitlines()
    assert [line.split()[0] for line in lines] == ["acme", "globex"]
    assert manage_apart("createschema", "acme", "new.example.com").refused() == (
        "SchemaExists: The schema 'acme' is registered already. Choose another name."
    )
    assert "manage.py inschema NAME" in manage_apart("changepassword", "ann").refused()
    ended = manage_apart(
        "inschema", "acme", "dbshell", "--", "-At", "-c", "SELECT current_schema()"
    )
    assert ended.ok().out == "acme\n"

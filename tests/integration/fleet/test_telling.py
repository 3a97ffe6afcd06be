"""What ``migrate`` tells: lines, JSON, a bar on a terminal, and its exit code."""

import json
import re
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import ProgrammingError, connection

from appschema.exceptions import UnknownSchema
from appschema.fleet.turn import taking_turns
from tests.integration.fleet.apart import run, run_on_a_terminal, start
from tests.integration.fleet.conftest import Site, create, migration

NAMES = ["acme", "globex", "hooli", "initech", "umbrella"]
THIRD = {"depends": [("shop", "0002_next")]}
LOCK = 4711
# In all but the first schema it waits for a lock that the test holds.
WAITING = f"""
from appschema import current_schema
def wait(apps, editor):
    if current_schema() != "acme":
        with editor.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared({LOCK})")
"""
WAIT = "migrations.RunPython(functions.wait)"
NUMBER = '"item", "number", models.IntegerField(default=1)'


@pytest.fixture
def shop(site: Site) -> Site:
    """Five schemas at head."""
    site.app("billing", migration(create("Plan")))
    site.app(
        "shop",
        migration(create("Item"), depends=[("billing", "0001_first")], initial=True),
        migration(create("Sale"), depends=[("shop", "0001_first")]),
        functions=WAITING,
    )
    site.place(shared=["billing"])
    site.migrate()
    for name in NAMES:
        site.new(name)
    return site


def add_third(shop: Site, operation: str = f"migrations.AddField({NUMBER})") -> None:
    shop.add("shop", "0003_third", migration(operation, **THIRD))


def spoil(shop: Site, name: str) -> None:
    """Let the next migration fail in one schema, as long as ``mend`` is not called."""
    shop.rows(f"ALTER TABLE {name}.shop_item ADD number text")


def mend(shop: Site, name: str) -> None:
    shop.rows(f"ALTER TABLE {name}.shop_item DROP number")


def in_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def migrated(*words: str) -> tuple[int, str, str]:
    """Migrate in this process; return the exit code, what was printed, and the errors."""
    out, err = StringIO(), StringIO()
    try:
        call_command("migrate", *words, stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}\n{error}"
    return 0, out.getvalue(), err.getvalue()


def statuses(*words: str) -> dict[str, str]:
    """Migrate, and return what became of each schema."""
    _, out, _ = migrated(*words, "--json")
    return {each["schema"]: each["status"] for each in in_json(out) if "schema" in each}


def applied(shop: Site) -> set[str]:
    return {name for name in NAMES if "shop.0003_third" in shop.records(name)}


def test_a_line_for_each_schema_that_was_migrated_and_the_count_at_the_end(shop: Site):
    add_third(shop)
    code, out, err = migrated("--jobs", "1")
    public, rest = out.split("Migrating acme:\n")
    assert "Migrating public:" in public
    assert re.fullmatch(
        r"  Applying shop\.0003_third\.\.\. OK\n"
        r"(?:(?:globex|hooli|initech|umbrella): 1 migration, replayed, \d+\.\d{3} s\n){4}"
        r"Schemas, public among them: 5 migrated, 1 up to date\.\n",
        rest,
    )
    assert (code, err) == (0, "")


def test_failures_are_told_on_the_other_stream_and_the_end_names_them(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    code, out, err = migrated()
    told, end = err.strip().split("\n\n", 1) if "\n\n" in err.strip() else (err, err)
    assert code == 1
    assert 'Failed in hooli: column "number" of relation "shop_item" already exists' in told
    assert "Failed in 1 of 6: hooli. The others are done. Mend the cause and run the same" in end
    assert "hooli" not in out
    assert "Schemas, public among them: 4 migrated, 1 up to date, 1 failed." in out


def test_nothing_to_do_is_told_in_one_line(shop: Site):
    code, out, err = migrated()
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "Schemas, public among them: 6 up to date."
    assert not any(name in out for name in NAMES)


def test_more_is_told_of_schemas_that_are_up_to_date_if_it_is_asked_for(shop: Site):
    _, out, _ = migrated("-v2", "--schema", "acme")
    assert "acme: up to date\n" in out


def test_machines_are_told_in_one_object_a_line_and_a_summary(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    code, out, err = migrated("--json")
    *each, last = in_json(out)
    found = {one.pop("schema"): one for one in each}
    assert code == 1
    assert "Failed in 1 of 6: hooli." in err
    assert set(found) == {"public", *NAMES}
    assert found["public"] == {
        "status": "up to date",
        "migrations": [],
        "how": "",
        "error": None,
        "seconds": found["public"]["seconds"],
    }
    assert found["globex"]["seconds"] > 0
    assert found["globex"] == {
        "status": "migrated",
        "migrations": ["shop.0003_third"],
        "how": "replayed",
        "error": None,
        "seconds": found["globex"]["seconds"],
    }
    assert found["acme"]["how"] == "django"
    assert found["hooli"]["status"] == "failed"
    assert 'column "number" of relation "shop_item" already exists' in found["hooli"]["error"]
    assert last["summary"] == {"migrated": 4, "up to date": 1, "failed": 1, "not begun": 0}
    assert last["seconds"] > 0


def test_on_a_terminal_a_bar_tells_the_rate_and_the_time_left_and_failures_above_it(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    code, shown = run_on_a_terminal(shop, "migrate", "--no-color")
    assert code == 1
    assert re.search(r"\b5/5 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ schemas/s\]", shown), shown
    assert "100%" in shown
    # At the beginning of a line, which the bar has left.
    assert re.search(r"[\r\n]Failed in hooli: ", shown), shown
    assert "globex: 1 migration" not in shown
    assert "Schemas, public among them: 4 migrated, 1 up to date, 1 failed." in shown


def test_exit_codes_of_usage_failure_and_refusal(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    assert run(shop, "migrate", "--nothing")[0] == 2
    code, out, err = run(shop, "migrate")
    assert code == 1
    assert "Schemas, public among them: 4 migrated, 1 up to date, 1 failed." in out
    assert "Failed in 1 of 6: hooli." in err
    code, out, err = migrated("--schema", "nobody")
    assert (code, out) == (1, "")
    assert "There is no schema 'nobody'." in err


def test_check_ends_with_1_as_long_as_anything_is_to_be_done_anywhere(shop: Site):
    assert call("migrate", "--check") == ""
    add_third(shop)
    shop.migrate("--exclude", "hooli")
    with pytest.raises(SystemExit, match="1"):
        call("migrate", "--check")
    shop.migrate()
    assert call("migrate", "--check") == ""


def wait_for_waiting(shop: Site, number: int) -> None:
    """Wait until so many schemas are under way, and wait for the test's lock."""
    deadline = time.monotonic() + 60
    # The server's other databases are those of other tests.
    asked = (
        f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    while shop.rows(asked) != [(number,)]:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_is_under_way_be_finished_and_begins_nothing_else(
    shop: Site, number: signal.Signals
):
    add_third(shop, WAIT)
    with psycopg.connect(shop.url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        words = ("migrate", "--json", "--jobs", "2", "--lock-timeout", "60")
        with start(shop, *words) as process:
            wait_for_waiting(shop, 2)
            process.send_signal(number)
            # It goes on: nothing ends before the lock is released.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
            holder.rollback()
            out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    *each, last = in_json(out)
    assert last["summary"] == {"migrated": 3, "up to date": 1, "failed": 0, "not begun": 2}
    done = {one["schema"] for one in each if one["status"] == "migrated"}
    assert applied(shop) == done
    assert f"Stopped by {number.name}: 3 migrated, 1 up to date, 2 not begun." in err
    assert "Run the same command again to go on." in err
    assert "3 migrated, 1 up to date, 2 not begun" in call("lastrun")
    assert migrated()[0] == 0
    assert applied(shop) == set(NAMES)


def test_a_second_signal_ends_it_at_once_and_the_schemas_under_way_are_as_they_were(shop: Site):
    add_third(shop, WAIT)
    with psycopg.connect(shop.url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        with start(shop, "migrate", "--jobs", "2", "--lock-timeout", "60") as process:
            wait_for_waiting(shop, 2)
            deadline = time.monotonic() + 60
            # Two that come before the first is handled are one.
            while process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert time.monotonic() < deadline
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
    assert process.returncode == -signal.SIGTERM
    assert applied(shop) == {"acme"}


def call(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, no_color=True)
    return out.getvalue()


def test_what_failed_can_be_run_again_by_itself(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    spoil(shop, "acme")
    assert migrated()[0] == 1
    mend(shop, "hooli")
    assert statuses("--only-failed") == {"acme": "failed", "hooli": "migrated"}
    mend(shop, "acme")
    assert statuses("--only-failed") == {"acme": "migrated"}
    assert statuses("--only-failed") == {}


def test_what_failed_and_is_gone_is_not_run_again(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    assert migrated()[0] == 1
    shop.rows("DELETE FROM appschema_publicname")
    shop.rows("DELETE FROM appschema_schema WHERE name = 'hooli'")
    assert statuses("--only-failed") == {}


def test_public_is_run_again_if_it_failed(shop: Site):
    shop.rows("CREATE TABLE billing_tax ()")
    shop.add("billing", "0002_tax", migration(create("Tax"), depends=[("billing", "0001_first")]))
    add_third(shop)
    with pytest.raises(ProgrammingError, match="already exists"):
        shop.migrate()
    shop.rows("DROP TABLE billing_tax")
    assert statuses("--only-failed") == {"public": "migrated"}
    assert applied(shop) == set()


def test_if_the_template_failed_it_is_told_that_the_whole_is_to_be_run_again(site: Site):
    site.app("shop", migration(create("Item")))
    site.place(APPSCHEMA_TEMPLATE="appschema_template")
    site.migrate()
    site.rows("CREATE TABLE appschema_template.shop_sale ()")
    site.add("shop", "0002_next", migration(create("Sale"), depends=[("shop", "0001_first")]))
    assert statuses()["appschema_template"] == "failed"
    assert migrated("--only-failed")[2].strip() == (
        "Schema 'appschema_template', which new schemas come from, failed in the last run. Run"
        " 'manage.py migrate' without --only-failed: it is migrated with the whole fleet only."
    )


def test_only_failed_is_refused_with_schemas(shop: Site):
    assert migrated("--only-failed", "--schema", "acme")[2].strip() == (
        "Give --only-failed without --schema and --shared."
    )


def test_exclude_leaves_schemas_out(shop: Site):
    add_third(shop)
    assert set(statuses("--exclude", "acme", "--exclude", "hooli")) == {
        *("public", "globex", "initech", "umbrella")
    }
    assert applied(shop) == {"globex", "initech", "umbrella"}
    with pytest.raises(UnknownSchema):
        shop.migrate("--exclude", "nobody")


def test_a_canary_goes_first_and_if_it_fails_the_others_are_not_begun(shop: Site):
    add_third(shop)
    spoil(shop, "initech")
    found = statuses("--canary", "initech")
    assert found == {
        **dict.fromkeys(NAMES, "not begun"),
        "public": "up to date",
        "initech": "failed",
    }
    assert applied(shop) == set()
    mend(shop, "initech")
    found = statuses("--canary", "initech")
    assert list(found)[:2] == ["public", "initech"]
    assert applied(shop) == set(NAMES)


def test_fail_fast_begins_no_other_schema_after_a_failure(shop: Site):
    add_third(shop)
    spoil(shop, "acme")
    found = statuses("--fail-fast", "--jobs", "1")
    assert found == {
        **dict.fromkeys(NAMES, "not begun"),
        "public": "up to date",
        "acme": "failed",
    }


def test_max_failures_stops_after_more_than_those(shop: Site):
    add_third(shop)
    for name in ("acme", "globex", "hooli"):
        spoil(shop, name)
    found = statuses("--max-failures", "1", "--jobs", "1")
    assert [found[name] for name in NAMES] == ["failed", "failed", *["not begun"] * 3]
    code, _, err = migrated("--max-failures", "1", "--jobs", "1")
    assert code == 1
    assert "Failed in 2 of 6: acme, globex. 3 were not begun." in err


def test_no_wait_fails_while_another_migrate_is_at_work(shop: Site):
    add_third(shop)
    with ExitStack() as turn:
        turn.enter_context(taking_turns(connection, waits=True, tell=print))
        # The same command run inside by the same connection would be part of it.
        with start(shop, "migrate", "--no-wait") as process:
            _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Another 'manage.py migrate' is at work on this database" in told
    assert applied(shop) == set()


def test_without_it_the_second_says_so_and_waits(shop: Site):
    add_third(shop)
    with ExitStack() as turn:
        turn.enter_context(taking_turns(connection, waits=True, tell=print))
        with start(shop, "migrate") as process:
            assert process.stdout
            assert process.stdout.readline() == (
                "Another 'manage.py migrate' is at work on this database. Waiting for it to end.\n"
            )
            assert process.poll() is None
            assert applied(shop) == set()
            turn.close()
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert applied(shop) == set(NAMES)


def test_the_plan_is_told_once_for_all_schemas_of_one_state(shop: Site):
    add_third(shop)
    shop.migrate("--schema", "acme")
    code, out, _ = migrated("--plan")
    assert code == 0
    assert "Planned operations in acme:\n  No planned migration operations.\n" in out
    assert "Planned operations in globex and 3 like it:\nshop.0003_third\n" in out
    public, *others = in_json(migrated("--plan", "--json")[1])
    assert (public["schemas"], public["plan"]) == (["public"], [])
    assert {each["count"]: each["plan"] for each in others} == {
        1: [],
        4: [{"migration": "shop.0003_third", "backwards": False}],
    }


def test_verify_tells_what_public_did_not_know_and_mends_it(shop: Site):
    shop.rows("DELETE FROM acme.django_migrations WHERE name = '0002_next'")
    shop.rows("INSERT INTO hooli.django_migrations VALUES (99, 'shop', '0009_other', now())")
    with pytest.raises(SystemExit, match="1"):
        call("migrate", "--verify")
    shop.rows("INSERT INTO acme.django_migrations VALUES (2, 'shop', '0002_next', now())")
    shop.rows("DELETE FROM hooli.django_migrations WHERE id = 99")
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("migrate", "--verify", stdout=out)
    assert out.getvalue().splitlines() == [
        "acme: public did not know of shop.0002_next",
        "hooli: public took for applied shop.0009_other",
        "Compared 5 schemas with their own records: 2 differed, and public knows better now.",
    ]
    assert in_json(call("migrate", "--verify", "--json")) == [
        {"summary": {"compared": 5, "differed": 0}}
    ]

"""What a run meets on its way: locks of others, lost connections, and its own end."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from appschema.backends.connection import send_bare
from appschema.exceptions import MigrationError, SchemaBusy
from appschema.fleet import runner
from appschema.fleet.follow import direct, replay, unfinished
from appschema.fleet.know.entries import write_entry
from appschema.fleet.know.ledger import read_ledger
from appschema.fleet.turn import taking_turns
from appschema.fleet.workers import Stop
from appschema.models import AppliedSet, LedgerEntry
from tests.integration.fleet.conftest import Site, create, migration

NAMES = ("acme", "globex", "initech")
FIRST = [("shop", "0001_first")]
ADD_INDEX = 'migrations.AddIndex("thing", models.Index(fields=["title"], name="by_title"))'
CONCURRENTLY = (
    'postgres.AddIndexConcurrently("thing", models.Index(fields=["title"], name="by_title"))'
)
LATER_INDEX = (
    'postgres.AddIndexConcurrently("thing", models.Index(fields=["id", "title"], name="later"))'
)
RAW = "migrations.RunSQL('CREATE INDEX CONCURRENTLY raw ON shop_thing (title)', 'DROP INDEX CONCURRENTLY raw')"
COUNTED = "migrations.RunSQL(\"INSERT INTO shop_thing (title) VALUES ('once')\", '')"


@pytest.fixture
def shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(runner, "FIRST_PAUSE", 0.05)
    site.app("shop", migration(create("Thing")))
    site.place()
    site.migrate()
    for name in NAMES:
        site.new(name)
    return site


@contextmanager
def locked(site: Site, table: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(site.url) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield other


def test_a_table_that_is_in_use_is_tried_again(shop: Site, monkeypatch: pytest.MonkeyPatch):
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    waits: list[float] = []
    with locked(shop, "globex.shop_thing") as other:

        def wait(self: Any, seconds: float) -> None:
            waits.append(seconds)
            other.rollback()

        monkeypatch.setattr("appschema.fleet.workers.Stop.wait", wait)
        shop.migrate("--jobs", "2", "--lock-timeout", "0.1")
    assert len(waits) == 1
    assert {name: shop.records(name)[-1] for name in NAMES} == dict.fromkeys(
        NAMES, "shop.0002_next"
    )


def test_who_keeps_a_table_makes_one_schema_fail_and_says_why(shop: Site):
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    with (
        locked(shop, "globex.shop_thing"),
        pytest.raises(MigrationError, match="Failed in 1 of 4: globex") as caught,
    ):
        shop.migrate("--lock-timeout", "0.05")
    assert "lock timeout" in str(caught.value.__cause__)
    assert shop.records("initech")[-1] == "shop.0002_next"


def test_a_lost_connection_is_made_again(shop: Site, monkeypatch: pytest.MonkeyPatch):
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    lost: list[int] = []

    def send_once_to_nobody(connection: Any, text: str) -> None:
        if not lost and '"globex"' in text:
            lost.append(connection.connection.info.backend_pid)
            shop.rows("SELECT pg_terminate_backend(%s, 5000)", lost[0])
        send_bare(connection, text)

    monkeypatch.setattr(replay, "send_bare", send_once_to_nobody)
    shop.migrate("--jobs", "2")
    assert len(lost) == 1
    assert {name: shop.records(name).count("shop.0002_next") for name in NAMES} == dict.fromkeys(
        NAMES, 1
    )


class Killed(BaseException):
    """Stands for SIGKILL, where a test is to go on."""


@pytest.mark.parametrize("stop_after", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("victim", NAMES[:2])
def test_a_migration_outside_a_transaction_goes_on_where_it_was_interrupted(
    shop: Site, monkeypatch: pytest.MonkeyPatch, stop_after: int, victim: str
):
    shop.add(
        "shop",
        "0002_next",
        migration(
            create("Box"), CONCURRENTLY, COUNTED, RAW, LATER_INDEX, depends=FIRST, atomic=False
        ),
    )
    note = unfinished.Unfinished._note
    done: list[int] = []

    def killed_before_it_is_noted(self: Any, number: int) -> None:
        if self._schema_name == victim and number == stop_after + 1 and not done:
            done.append(number)
            raise Killed
        note(self, number)

    monkeypatch.setattr(unfinished.Unfinished, "_note", killed_before_it_is_noted)
    with pytest.raises(Killed):
        shop.migrate()
    if stop_after in {1, 3, 4}:
        # As CREATE INDEX CONCURRENTLY leaves it when it is interrupted.
        index = {1: "by_title", 3: "raw", 4: "later"}[stop_after]
        shop.rows(
            f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{victim}.{index}'::regclass"
        )
    shop.migrate()
    for name in NAMES:
        assert shop.records(name)[-1] == "shop.0002_next"
        assert shop.rows(f"SELECT title FROM {name}.shop_thing") == [("once",)]
        assert shop.rows(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = %s AND tablename = 'shop_thing'"
            " ORDER BY 1",
            name,
        ) == [("by_title",), ("later",), ("raw",), ("shop_thing_pkey",)]
        assert shop.rows("SELECT FROM pg_index WHERE NOT indisvalid") == []
        assert "shop_box" in shop.tables(name)
    assert LedgerEntry.objects.filter(under_way__isnull=False).count() == 0


def test_two_runs_take_turns(shop: Site):
    with psycopg.connect(shop.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(7310577331450003)")
        with pytest.raises(SchemaBusy, match=r"Another 'manage\.py migrate' is at work"):
            shop.migrate("--no-wait")
        with (
            transaction.atomic(),
            pytest.raises(SchemaBusy),
            taking_turns(connections["default"], waits=False, tell=print),
        ):
            pass
        released = threading.Timer(0.5, other.rollback)
        released.start()
        printed = shop.migrate()
        released.join()
    assert "Another 'manage.py migrate' is at work on this database. Waiting" in printed


@pytest.mark.parametrize("words", [["--verify"], ["shop", "--prune"]])
def test_verify_and_prune_take_turns_with_others(shop: Site, words: list[str]):
    with psycopg.connect(shop.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(7310577331450003)")
        with pytest.raises(SchemaBusy, match=r"Another 'manage\.py migrate' is at work"):
            shop.migrate(*words, "--no-wait")


def test_a_stop_is_waited_for_no_longer_than_it_takes_to_be_requested():
    stop = Stop()
    began = time.monotonic()
    stop.wait(0.12)
    assert time.monotonic() - began >= 0.12
    threading.Timer(0.1, stop.request).start()
    stop.wait(60)
    assert stop.is_requested()
    assert time.monotonic() - began < 30


def test_an_error_at_the_last_commit_of_the_first_schema_is_tried_again(
    shop: Site, monkeypatch: pytest.MonkeyPatch
):
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    failed: list[str] = []

    def fail_once(schema_name: str, *, using: str, rows: str | None = None) -> None:
        if rows is None and not failed:
            failed.append(schema_name)
            with connections[using].cursor() as cursor:
                cursor.execute("DO $$BEGIN RAISE 'met' USING ERRCODE = 'lock_not_available'; END$$")
        write_entry(schema_name, using=using, rows=rows)

    monkeypatch.setattr(direct, "write_entry", fail_once)
    shop.migrate()
    assert failed == ["acme"]
    assert {name: shop.records(name)[-1] for name in NAMES} == dict.fromkeys(
        NAMES, "shop.0002_next"
    )


def test_a_signal_lets_what_is_under_way_be_finished(shop: Site, monkeypatch: pytest.MonkeyPatch):
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    run = replay.Replay.run

    def run_and_be_asked_to_stop(self: Any, name: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        run(self, name)

    monkeypatch.setattr(replay.Replay, "run", run_and_be_asked_to_stop)
    found = signal.getsignal(signal.SIGTERM)
    with pytest.raises(MigrationError, match=r"Stopped by SIGTERM: .*1 not begun") as caught:
        shop.migrate("--jobs", "1")
    assert caught.value.returncode == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is found
    assert [shop.records(name)[-1] for name in NAMES] == ["shop.0002_next"] * 2 + [
        "shop.0001_first"
    ]
    shop.migrate()
    assert shop.records("initech")[-1] == "shop.0002_next"


def test_what_the_ledger_does_not_know_is_read_from_the_schema(shop: Site):
    known = read_ledger("default", NAMES)
    LedgerEntry.objects.filter(schema_name="acme").delete()
    AppliedSet.objects.create(digest="0" * 64, migrations=[])
    # Of a schema of this name that is there no more.
    globex = LedgerEntry.objects.filter(schema_name="globex")
    globex.update(schema_oid=1, applied_id="0" * 64)
    shop.add("shop", "0002_next", migration(ADD_INDEX, depends=FIRST))
    found = read_ledger("default", NAMES)
    assert [each.state.applied for each in found.standings] == [
        each.state.applied for each in known.standings
    ]
    shop.migrate()
    assert {name: shop.records(name)[-1] for name in NAMES} == dict.fromkeys(
        NAMES, "shop.0002_next"
    )


def test_verify_finds_what_was_changed_behind_the_ledger(shop: Site):
    assert "4 schemas" not in shop.migrate("--verify")
    shop.rows("DELETE FROM globex.django_migrations WHERE app = 'shop'")
    with pytest.raises(SystemExit):
        shop.migrate("--verify")
    assert "0 differed" in shop.migrate("--verify")
    assert "0 differed" in shop.migrate("--verify", "--plan")
    assert (
        shop.rows(
            "SELECT FROM appschema_ledgerentry e JOIN appschema_appliedset s ON digest = applied_id"
            " WHERE schema_name = 'globex' AND migrations ? 'shop.0001_first'"
        )
        == []
    )

"""The last run of ``migrate`` is kept, also when it was killed."""

import getpass
import json
import socket
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from appschema.fleet.tell import history
from appschema.models import FleetRun
from tests.integration.fleet.apart import start
from tests.integration.fleet.conftest import Site, create, migration
from tests.integration.fleet.test_telling import (
    LOCK,
    NAMES,
    WAIT,
    add_third,
    applied,
    migrated,
    shop,
    spoil,
    wait_for_waiting,
)

__all__ = ["shop"]


def lastrun(*words: str) -> str:
    out = StringIO()
    call_command("lastrun", *words, stdout=out, no_color=True)
    return out.getvalue()


def in_json() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *each, last = [json.loads(line) for line in lastrun("--json").splitlines()]
    return each, last


def test_it_is_told_who_when_and_what_and_what_failed(shop: Site):
    add_third(shop)
    spoil(shop, "hooli")
    migrated("--exclude", "acme")
    title, by, counts, failed = lastrun().splitlines()
    assert title == "migrate --exclude acme"
    assert by.startswith(f"By {getpass.getuser()}@{socket.gethostname()} at ")
    assert counts == "Schemas, public among them: 3 migrated, 1 up to date, 1 failed."
    assert failed.startswith('Failed in hooli: column "number" of relation "shop_item" already')
    each, last = in_json()
    found = {one["schema"]: one for one in each}
    assert set(found) == {"globex", "hooli", "initech", "umbrella"}
    assert found["globex"]["status"] == "migrated"
    assert found["globex"]["migrations"] == ["shop.0003_third"]
    assert found["globex"]["seconds"] > 0
    assert found["hooli"]["status"] == "failed"
    assert 'column "number"' in found["hooli"]["error"]
    assert last["what"] == title
    assert last["began"] < last["ended"]
    assert last["summary"] == {"migrated": 3, "up to date": 1, "failed": 1, "not begun": 0}


def test_of_a_run_that_was_killed_it_is_told_that_it_has_not_ended(shop: Site):
    add_third(shop, WAIT)
    with psycopg.connect(shop.url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        with start(shop, "migrate", "--jobs", "2", "--lock-timeout", "60") as process:
            wait_for_waiting(shop, 2)
            process.kill()
            process.communicate(timeout=60)
    title, begun, *_ = lastrun().splitlines()
    assert title == "migrate --jobs 2 --lock-timeout 60"
    assert "It has not ended: it is under way still, or was killed." in begun
    assert in_json()[1]["ended"] is None
    assert applied(shop) == {"acme"}
    assert migrated()[0] == 0
    assert applied(shop) == set(NAMES)
    assert "has not ended" not in lastrun()
    assert in_json()[1]["summary"]["migrated"] == 4


def test_what_was_done_is_written_while_it_goes_on(shop: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "_SECONDS_PER_STATEMENT", 0)
    add_third(shop, WAIT)
    seen = []

    class Out(StringIO):
        def write(self, text: str) -> int:
            if ", replayed," in text:
                seen.append(in_json())
            return super().write(text)

    call_command("migrate", "--jobs", "1", stdout=Out(), no_color=True)
    numbers = [(len(each), last["summary"]["migrated"], last["ended"]) for each, last in seen]
    assert numbers == [(1, 1, None), (2, 2, None), (3, 3, None), (4, 4, None)]


def test_a_run_that_was_refused_is_none(shop: Site):
    spoil(shop, "hooli")
    add_third(shop)
    migrated()
    before = lastrun()
    assert migrated("--schema", "nobody")[0] == 1
    assert lastrun() == before


def test_the_last_ten_are_kept(shop: Site):
    for _ in range(12):
        migrated("--schema", "acme")
    assert FleetRun.objects.count() == 10


def test_before_the_first_run_there_is_none(site: Site):
    site.app("shop", migration(create("Item")))
    site.place()
    site.rows("DROP SCHEMA public CASCADE")
    site.rows("CREATE SCHEMA public")
    with pytest.raises(CommandError, match=r"knows of no run of 'manage\.py migrate'\. Run it, or"):
        lastrun()

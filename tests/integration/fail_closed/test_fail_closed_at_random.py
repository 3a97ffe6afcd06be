"""Schemas are maimed behind our back: every operation gives its own rows or an error that says why.

Beside them threads and tasks work on healthy schemas, with the operations of the test of leaks, and notice nothing.
APPSCHEMA_LEAK_SEED repeats a run, whose seed a failure prints.
"""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from appschema.backends import compiler, envelope
from tests.integration.fail_closed.patient import Patient
from tests.integration.leaks import witnesses
from tests.integration.leaks.oracle import LeakError
from tests.integration.leaks.run import Run
from tests.integration.leaks.witnesses import DECOY

FULL = bool(os.environ.get("APPSCHEMA_FULL"))
SEED = os.environ.get("APPSCHEMA_LEAK_SEED") or (secrets.token_hex(4) if FULL else "1")


def treat(conninfo: str, patients: list[Patient], steps: int) -> list[BaseException]:
    """Let each patient be a thread, and return what they raise."""
    raised: list[BaseException] = []

    def be(patient: Patient) -> None:
        try:
            patient.run(steps)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            raised.append(error)

    threads = [threading.Thread(target=be, args=[patient]) for patient in patients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def compare_public(conninfo: str) -> None:
    """What stands in public to be read by mistake is as it was."""
    with psycopg.connect(conninfo, autocommit=True) as operator:

        def ask(sql: str) -> Any:
            return operator.execute(sql).fetchall()

        for schema in ("public", DECOY):
            notes = ask(f"SELECT title, body FROM {schema}.notes_note")
            tags = ask(f"SELECT label FROM {schema}.tags_tag")
            if notes != [("decoy", schema)] or tags != [(schema,)]:
                raise LeakError(f"In {schema} there is now {notes} and {tags}")
        if ask("SELECT is_called FROM public.notes_note_id_seq") != [(False,)]:
            raise LeakError("A number of public's sequence was taken")


def sicken(conninfo: str, *, seed: str, patients: int, steps: int) -> list[Patient]:
    """Run only patients, and raise what goes wrong."""
    sick = [Patient(f"sick_{number}", seed, conninfo) for number in range(patients)]
    try:
        for error in treat(conninfo, sick, steps):
            raise error
        compare_public(conninfo)
    finally:
        for patient in sick:
            patient.end()
    return sick


@pytest.mark.full
def test_what_is_missing_is_refused_and_healthy_schemas_notice_nothing(conninfo: str):
    operations, patients, steps = (10_000, 4, 2_500) if FULL else (300, 3, 100)
    healthy = Run(SEED, operations, conninfo, threads=4, tasks=10)
    raised: list[BaseException] = []

    def be_healthy() -> None:
        try:
            healthy()
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            raised.append(error)

    # Who is healthy cleans up before it begins; nobody else may take its rows away afterwards.
    thread = threading.Thread(target=be_healthy)
    thread.start()
    try:
        sick = sicken(conninfo, seed=SEED, patients=patients, steps=steps)
    finally:
        thread.join()
    for error in raised:
        raise error
    compare_public(conninfo)
    # It has seen both: neither a run in which nothing is ever missing, nor one without an answer.
    assert all(patient.refused > steps / 20 for patient in sick)
    assert all(patient.answered > steps / 20 for patient in sick)


# Without what refuses, the same test fails.


@pytest.mark.parametrize("left", [0, 1], ids=["no locks", "the marker's lock only"])
def test_it_fails_without_the_locks(conninfo: str, left: int, monkeypatch: pytest.MonkeyPatch):
    make = envelope._make

    def make_without(*args: Any) -> envelope.Envelope:
        made = make(*args)
        return replace(made, locked=made.locked[:left])

    monkeypatch.setattr(envelope, "_make", make_without)
    # What is remembered would be sent without locks by the tests after this one.
    monkeypatch.setattr(envelope, "_plain_cached", envelope._plain)
    witnesses.clean(conninfo)
    with pytest.raises(LeakError):
        sicken(conninfo, seed="1", patients=1, steps=200)
    heal(conninfo)


def test_it_fails_without_the_guard_of_the_compilers(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compiler, "_is_suspect", lambda query: False)
    witnesses.clean(conninfo)
    with pytest.raises(LeakError, match="should have raised NoActiveSchema"):
        sicken(conninfo, seed="1", patients=1, steps=200)
    heal(conninfo)


def heal(conninfo: str) -> None:
    """Put public back to what it was before those."""
    with psycopg.connect(conninfo, autocommit=True) as operator:
        operator.execute(
            "DELETE FROM public.notes_note; DELETE FROM public.tags_tag;"
            " INSERT INTO public.notes_note (id, title, body) VALUES (1, 'decoy', 'public');"
            " INSERT INTO public.tags_tag (label) VALUES ('public');"
            " ALTER SEQUENCE public.notes_note_id_seq RESTART"
        )

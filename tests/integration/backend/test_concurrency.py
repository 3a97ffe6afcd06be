"""Threads and tasks that share nothing but the code see their own schema in the database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections, transaction

from appschema import activate, current_schema, schema_context
from appschema.exceptions import NoActiveSchema
from tests.sample.notes.models import Note


def ask() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM place")
        return cursor.fetchone()[0]


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    def run(function: Callable[[], Any]) -> Any:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def test_threads_that_enter_and_leave_each_others_schema_in_turn_keep_their_own():
    step = Barrier(2, timeout=30)

    def worker(own: str, other: str, leaves_first: bool) -> list[str]:
        found = []
        with schema_context(own):
            step.wait()
            with schema_context(other):
                step.wait()
                found.append(ask())
                if not leaves_first:
                    step.wait()
            if leaves_first:
                step.wait()
            step.wait()
            found.append(ask())
        return found

    found = in_threads(
        lambda: worker("alpha", "beta", True), lambda: worker("beta", "alpha", False)
    )
    assert found == [["beta", "alpha"], ["alpha", "beta"]]


def test_one_decorated_function_serves_two_threads_at_once():
    step = Barrier(2, timeout=30)

    @schema_context("beta")
    def decorated() -> Any:
        step.wait()
        found = ask()
        step.wait()
        return found

    def worker(own: str) -> tuple[str, str]:
        with schema_context(own):
            return decorated(), ask()

    found = in_threads(lambda: worker("alpha"), lambda: worker("public"))
    assert found == [("beta", "alpha"), ("beta", "public")]


def test_new_thread_has_no_schema_and_refuses():
    with schema_context("alpha"):
        assert in_threads(current_schema) == [None]
        with pytest.raises(NoActiveSchema):
            in_threads(Note.objects.count)


def test_thread_that_runs_in_a_copied_context_has_its_schema():
    with schema_context("alpha"):
        context = copy_context()
    assert in_threads(lambda: context.run(ask)) == ["alpha"]


@pytest.mark.parametrize("thread_sensitive", [True, False])
def test_sync_to_async_carries_the_schema(thread_sensitive):
    def closing() -> Any:
        try:
            return ask()
        finally:
            if not thread_sensitive:
                connection.close()

    async def main() -> list[str]:
        found = []
        for name in ("alpha", "beta"):
            async with schema_context(name):
                found.append(await sync_to_async(closing, thread_sensitive=thread_sensitive)())
        return found

    assert async_to_sync(main)() == ["alpha", "beta"]


def test_async_to_sync_carries_the_schema_and_gives_back_what_was_activated():
    async def inside() -> Any:
        return await sync_to_async(ask)()

    with schema_context("alpha"):
        assert async_to_sync(inside)() == "alpha"
        assert ask() == "alpha"


def test_tasks_that_interleave_keep_their_schema():
    async def task(name: str) -> list[str]:
        found = []
        async with schema_context(name):
            for _ in range(5):
                found.append(await sync_to_async(ask)())
                await asyncio.sleep(0)
        return found

    async def main() -> list[list[str]]:
        return await asyncio.gather(*(task(name) for name in ("alpha", "beta") * 5))

    assert async_to_sync(main)() == [["alpha"] * 5, ["beta"] * 5] * 5


def test_asynchronous_orm_runs_in_the_schema():
    async def main() -> dict[str, list[str]]:
        for name in ("alpha", "beta"):
            async with schema_context(name):
                await Note.objects.acreate(title=f"of {name}")
        found = {}
        for name in ("alpha", "beta"):
            async with schema_context(name):
                notes = Note.objects.filter(title__startswith="of")
                found[name] = [note.title async for note in notes.aiterator()]
                assert await notes.acount() == 1
                assert (await notes.aget()).title == f"of {name}"
        return found

    assert async_to_sync(main)() == {"alpha": ["of alpha"], "beta": ["of beta"]}


def test_task_made_inside_a_scope_keeps_it_after_the_scope_has_ended():
    async def main() -> Any:
        async with schema_context("alpha"):
            task = asyncio.create_task(sync_to_async(ask)())
        return await task

    assert async_to_sync(main)() == "alpha"


def test_generator_that_is_left_open_lends_nothing_to_the_next_statement():
    @schema_context("beta")
    def titles() -> Any:
        yield ask()
        yield ask()

    with schema_context("alpha"), transaction.atomic():
        generator = titles()
        assert next(generator) == "beta"
        assert ask() == "alpha"
        assert next(generator) == "beta"
        assert ask() == "alpha"
        generator.close()


def test_threads_that_share_one_connection_have_a_schema_each():
    shared = connections["default"]
    shared.inc_thread_sharing()

    def work(name: str) -> set[Any]:
        found = set()
        with schema_context(name):
            for number in range(150):
                with shared.cursor() as cursor:
                    cursor.execute("SELECT name, %s FROM place", [number])
                    found |= {(number, row) for row in cursor.fetchall()}
        return found

    try:
        for scope in (nullcontext, transaction.atomic):
            with scope(), ThreadPoolExecutor(4) as pool:
                for name, seen in zip("abab", pool.map(work, ["alpha", "beta"] * 2), strict=True):
                    own = "alpha" if name == "a" else "beta"
                    assert seen == {(number, (own, number)) for number in range(150)}
    finally:
        shared.dec_thread_sharing()


def test_consumers_that_live_long_and_take_turns_keep_their_own():
    """As those of WebSockets: each is a task, which activates its schema once."""

    async def consume(name: str, messages: asyncio.Queue[str]) -> list[Any]:
        activate(name)
        found = []
        while await messages.get():
            found.append((current_schema(), await sync_to_async(ask)()))
        return found

    async def main() -> Any:
        gates: list[asyncio.Queue[str]] = [asyncio.Queue(), asyncio.Queue()]
        names = ("alpha", "beta")
        tasks = [asyncio.create_task(consume(*pair)) for pair in zip(names, gates, strict=True)]
        for message in ("one", "two", ""):
            for gate in gates:
                gate.put_nowait(message)
                await asyncio.sleep(0)
        return await asyncio.gather(*tasks), current_schema()

    expected = [[(name, name)] * 2 for name in ("alpha", "beta")]
    assert async_to_sync(main)() == (expected, None)


def test_work_that_an_event_loop_gives_to_a_bare_executor_has_no_schema_and_is_refused():
    async def main() -> None:
        with schema_context("alpha"):
            await asyncio.get_running_loop().run_in_executor(None, Note.objects.count)

    with pytest.raises(NoActiveSchema):
        async_to_sync(main)()


def test_exception_leaves_the_schema_that_was_there():
    with schema_context("alpha"):
        with pytest.raises(ZeroDivisionError), schema_context("beta"):
            _ = 1 / 0
        assert ask() == "alpha"
    assert ask() == "public"

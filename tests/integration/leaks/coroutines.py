"""What a task of asyncio does at random: operations of its own, and those of threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from appschema import schema_context
from tests.integration.leaks.operations import (
    REFUSED,
    PlannedError,
    StoppedError,
    Worker,
    check_notes,
)
from tests.integration.leaks.oracle import LeakError, Scopes
from tests.sample.notes.models import Note


@dataclass
class Task:
    """One task; its ``worker`` keeps what it must see, and makes its choices."""

    worker: Worker

    async def step(self) -> None:
        worker = self.worker
        if worker.random.random() < 0.5:
            await self._step_in_thread()
        else:
            if worker.left <= 0 or worker.is_stopped():
                raise StoppedError
            worker.left -= 1
            (act,) = worker.random.choices(list(ACTS), list(ACTS.values()))
            if worker.depth < 4 or not act.__name__.startswith("block_"):
                worker.note(f"async {act.__name__}")
                await act(self)
        worker.check_context()
        if worker.random.random() < 0.3:
            await asyncio.sleep(0)
            worker.check_context()

    async def _step_in_thread(self) -> None:
        worker = self.worker
        if worker.random.random() < 0.7:
            await sync_to_async(worker.step)()
            return
        worker.note("in another thread")
        worker.abroad = True
        try:
            await sync_to_async(worker.step, thread_sensitive=False)()
        finally:
            worker.abroad = False

    async def steps(self) -> None:
        self.worker.depth += 1
        try:
            for _ in range(self.worker.random.randint(1, 4)):
                await self.step()
            if self.worker.random.random() < 0.3:
                self.worker.note("raise")
                raise PlannedError
        finally:
            self.worker.depth -= 1

    async def leave_all(self) -> None:
        await sync_to_async(self.worker.leave_all)()


async def attempt(task: Task, kind: str, act: Callable[[], Awaitable[Any]]) -> Any:
    refusal = task.worker.refusal(kind)
    if refusal is None:
        return await act()
    try:
        found = await act()
    except refusal:
        return REFUSED
    raise LeakError(f"This should have raised {refusal.__name__}, and answered {found!r}")


async def block_async_schema(task: Task) -> None:
    name = task.worker.pick()
    try:
        async with schema_context(name):
            with task.worker.scopes.scope(name):
                await task.steps()
    except PlannedError as error:
        if not task.worker.catches(error):
            raise


async def block_decorated_coroutine(task: Task) -> None:
    name = task.worker.pick_sound()

    @schema_context(name)
    async def decorated() -> None:
        with task.worker.scopes.scope(name):
            await task.steps()

    try:
        await decorated()
    except PlannedError as error:
        if not task.worker.catches(error):
            raise


async def iterate(task: Task) -> None:
    """``async for`` over a queryset, in chunks, while the schema changes between the rows."""
    worker = task.worker
    if not worker.is_sound:
        return
    name = worker.scopes.current
    rows: QuerySet[Note, str] = worker.notes().values_list("body", flat=True)
    async for body in rows.aiterator(chunk_size=2):
        worker.expect(body, name, "async for reads")
        async with schema_context(worker.pick_sound()):
            await asyncio.sleep(0)


async def read_all(task: Task) -> None:
    async def act() -> list[tuple[str, str]]:
        return [row async for row in task.worker.notes().values_list("title", "body")]

    found = await attempt(task, "isolated", act)
    if found is not REFUSED:
        check_notes(task.worker, found)


async def acreate(task: Task) -> None:
    worker = task.worker
    if worker.is_sound and len(worker.rows.of(worker.place)) < 6:
        title, where = worker.title(), worker.place
        await worker.notes().acreate(title=title, body=where)
        worker.rows.add(where, title)


async def achange(task: Task) -> None:
    worker = task.worker
    own = sorted(worker.rows.of(worker.place))
    if not worker.is_sound or not own:
        return
    where, old = worker.place, worker.random.choice(own)
    if worker.random.random() < 0.5:
        new = worker.title()
        row = await worker.notes().aget(title=old)
        row.title = new
        await row.asave()
        worker.rows.rename(where, old, new)
    else:
        found, _ = await worker.notes().filter(title=old).adelete()
        worker.expect(found, 1, "Rows deleted")
        worker.rows.remove(where, old)


async def awhere(task: Task) -> None:
    """In a thread of any kind the schema is that of the task."""
    worker = task.worker
    if worker.refusal("SQL") is None:
        ask = sync_to_async(worker.where, thread_sensitive=worker.random.random() < 0.5)
        worker.expect(await ask(), worker.place, "A thread of a task asked in")
        worker.expect(await asyncio.to_thread(worker.where), worker.place, "A thread asked in")


async def step_generators(task: Task) -> None:
    """A decorated asynchronous generator, closed late, and one that lends its scope."""
    worker = task.worker
    if worker.refusal("SQL") is not None:
        return
    name, lent = worker.pick_sound(), worker.pick_sound()

    @schema_context(name)
    async def decorated() -> AsyncGenerator[str, None]:
        for _ in range(3):
            yield await sync_to_async(worker.where)()

    async def lending() -> AsyncGenerator[str, None]:
        async with schema_context(lent):
            for _ in range(3):
                yield await sync_to_async(worker.where)()

    one, two = decorated(), lending()
    before = worker.place
    worker.expect(await anext(one), name, "A decorated generator ran in")
    worker.check_context()
    worker.expect(await anext(two), lent, "A generator that holds a scope ran in")
    worker.expect(await anext(one), name, "A decorated generator ran in")
    worker.expect(await sync_to_async(worker.where)(), lent, "A lent scope is")
    await one.aclose()
    await two.aclose()
    worker.expect(await sync_to_async(worker.where)(), before, "After the generators it is")


async def have_children(task: Task) -> None:
    """Tasks that a task starts begin in its schema, and change only their own."""
    worker = task.worker
    parent = Scopes(list(worker.scopes.entries))

    async def child(first: str, second: str) -> None:
        worker.expect(parent.current, worker.scopes.current, "The parent went on to")
        async with schema_context(first):
            found = await sync_to_async(worker.where, thread_sensitive=False)()
            worker.expect(found, first, "A child asked in")
            async with schema_context(second):
                titles = [row async for row in worker.notes().values_list("body", flat=True)[:5]]
                worker.expect(set(titles), {second}, "A child read")
            found = await sync_to_async(worker.where)()
            worker.expect(found, first, "A child asked in")

    async def cancelled(name: str) -> None:
        async with schema_context(name):
            await asyncio.Event().wait()

    lost = asyncio.create_task(cancelled(worker.pick_sound()))
    children = [child(worker.pick_sound(), worker.pick_sound()) for _ in range(3)]
    await asyncio.gather(*children)
    lost.cancel()
    await asyncio.wait([lost])


ACTS: dict[Callable[[Task], Awaitable[None]], int] = {
    block_async_schema: 6,
    block_decorated_coroutine: 3,
    iterate: 3,
    read_all: 5,
    acreate: 4,
    achange: 4,
    awhere: 4,
    step_generators: 2,
    have_children: 2,
}

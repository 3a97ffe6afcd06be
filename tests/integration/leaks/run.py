"""One run: threads and tasks at once, each a worker with a seed of its own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from tests.integration.leaks import witnesses
from tests.integration.leaks.coroutines import Task
from tests.integration.leaks.operations import (
    PlannedError,
    Setting,
    StoppedError,
    Worker,
    close_connection,
)
from tests.integration.leaks.oracle import LeakError

POOL = 4


@dataclass
class Run:
    """``operations`` in all, by so many threads and tasks. ``report`` tells of the first failure."""

    seed: str
    operations: int
    conninfo: str
    threads: int = 8
    tasks: int = 50
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        self.failure: tuple[Worker, BaseException] | None = None
        self.workers: list[Worker] = []
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Raise ``LeakError`` for a leak, and anything else that went wrong as it is."""
        witnesses.clean(self.conninfo)
        share = self.operations // (2 if self.threads and self.tasks else 1)
        of_threads = [self._worker(f"w{n}", share // self.threads) for n in range(self.threads)]
        of_tasks = [self._worker(f"w1{n:02}", share // self.tasks) for n in range(self.tasks)]
        actors = [threading.Thread(target=self._be_thread, args=[each]) for each in of_threads]
        if of_tasks:
            actors.append(threading.Thread(target=self._be_loop, args=[of_tasks]))
        with _switching_often():
            for actor in actors:
                actor.start()
            for actor in actors:
                actor.join()
        if self.failure:
            worker, error = self.failure
            if "leak: " in str(error):  # said by a trigger or a block in the database
                error = LeakError(str(error)).with_traceback(error.__traceback__)
            error.add_note(self._report(worker))
            raise error
        try:
            witnesses.compare(self.conninfo, [worker.rows for worker in self.workers])
        except LeakError as error:
            error.add_note(f"seed {self.seed!r}")
            raise

    def _worker(self, name: str, left: int) -> Worker:
        self.workers.append(Worker(name, self.seed, left, self.setting, self._is_stopped))
        return self.workers[-1]

    def _is_stopped(self) -> bool:
        return self.failure is not None

    def _fail(self, worker: Worker, error: BaseException) -> None:
        with self._lock:
            self.failure = self.failure or (worker, error)

    def _report(self, worker: Worker) -> str:
        trail = "\n".join(f"    {line}" for line in worker.trail)
        return (
            f"Worker {worker.name} of seed {self.seed!r}, {self.threads} threads and {self.tasks}"
            f" tasks, {self.operations} operations. To run it again set"
            f" APPSCHEMA_LEAK_SEED={self.seed}. What it did last:\n{trail}"
        )

    def _be_thread(self, worker: Worker) -> None:
        try:
            close_connection(worker)
            while True:
                try:
                    worker.step()
                except PlannedError as error:
                    raise LeakError("A block let an error out") from error
        except StoppedError:
            self._end(worker)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._fail(worker, error)
            worker.abandon()
        finally:
            self._close()

    def _close(self) -> None:
        """Close the connection of the thread that calls."""
        connections[self.setting.alias].close()

    def _end(self, worker: Worker) -> None:
        try:
            worker.leave_all()
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._fail(worker, error)

    def _be_loop(self, workers: list[Worker]) -> None:
        asyncio.run(self._run_tasks(workers))

    async def _run_tasks(self, workers: list[Worker]) -> None:
        pool = ThreadPoolExecutor(POOL)
        asyncio.get_running_loop().set_default_executor(pool)
        await asyncio.gather(
            *(self._be_task(worker, own=not number % 7) for number, worker in enumerate(workers))
        )
        await sync_to_async(self._close)()
        barrier = threading.Barrier(POOL)
        for done in [pool.submit(self._close_in_pool, barrier) for _ in range(POOL)]:
            await asyncio.wrap_future(done)

    def _close_in_pool(self, barrier: threading.Barrier) -> None:
        self._close()
        barrier.wait()

    async def _be_task(self, worker: Worker, *, own: bool) -> None:
        """Be a request of an ASGI server (``own``: with a thread of its own), or a bare task."""
        if own:
            async with ThreadSensitiveContext():
                await self._do_task(worker)
                await sync_to_async(self._close)()
        else:
            # On a connection that other tasks use too.
            worker.without = frozenset({"close_connection"})
            await self._do_task(worker)

    async def _do_task(self, worker: Worker) -> None:
        task = Task(worker)
        try:
            while True:
                await task.step()
        except StoppedError:
            await sync_to_async(self._end)(worker)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._fail(worker, error)
            await sync_to_async(worker.abandon)()


@contextmanager
def _switching_often() -> Iterator[None]:
    """Let threads take turns more often than Python does by itself."""
    found = sys.getswitchinterval()
    sys.setswitchinterval(found / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(found)

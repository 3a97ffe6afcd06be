"""Workers: threads with a connection each, which take the next schema when they are done with one."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections

from appschema.backends.wrapper import DatabaseWrapperMixin

from .result import Result

Act = Callable[[str], Result]
T = TypeVar("T")

_LOOKS_AFTER = 0.05
"""Seconds after which a thread that waits looks whether a stop was requested."""


class Stop:
    """Whether no other schema is to be begun, and why."""

    def __init__(self) -> None:
        # Not an Event, whose lock a signal handler could meet in the hands of the thread that it interrupts.
        self._is_requested = False
        self.signal: int | None = None
        """The signal that asked for it, if one did."""

    def is_requested(self) -> bool:
        """Tell whether no other schema is to be begun."""
        return self._is_requested

    def request(self) -> None:
        """Let the schemas under way be finished, and begin no other."""
        self._is_requested = True

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until a stop is requested."""
        end = time.monotonic() + seconds
        while not self._is_requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOKS_AFTER))


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[None]:
    """Let SIGINT and SIGTERM request a stop; the second one ends the process as it does without this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def receive(number: int, frame: Any) -> None:
        signal.signal(number, found[number])
        stop.signal = number
        stop.request()

    found: dict[int, Any] = {}
    for number in map(int, (signal.SIGINT, signal.SIGTERM)):
        found[number] = signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)


def work_on(names: Iterable[str], act: Act, *, jobs: int, stop: Stop) -> Iterator[Result]:
    """Yield the result of *act* for each name, by *jobs* workers. *act* raises nothing.

    After a stop the results of those that were not begun say so.
    """

    def unless_stopped(name: str) -> Result:
        return Result(name, is_begun=False) if stop.is_requested() else act(name)

    return share_out(names, unless_stopped, jobs=jobs)


def share_out(names: Iterable[str], act: Callable[[str], T], *, jobs: int) -> Iterator[T]:
    """Yield what *act* returns for each name, as *jobs* workers are done with it.

    One worker is the caller's own thread, with its connections and its transaction.
    """
    if jobs <= 1:
        for name in names:
            yield act(name)
            renew_connections()
        return
    yield from _work_in_threads(iter(names), act, jobs)


def renew_connections() -> None:
    """Close connections whose server processes have learnt of too many schemas."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapperMixin):
            connection.renew_if_spent()


def _work_in_threads(names: Iterator[str], act: Callable[[str], T], jobs: int) -> Iterator[T]:
    results: queue.Queue[T | BaseException | None] = queue.Queue(maxsize=10 * jobs)
    lock = threading.Lock()
    given_up = threading.Event()

    def work() -> None:
        try:
            while not given_up.is_set():
                with lock:
                    name = next(names, None)
                if name is None:
                    break
                results.put(act(name))
                renew_connections()
            results.put(None)
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the results
            results.put(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        yield from _results(results, len(threads))
    finally:
        given_up.set()
        for thread in threads:
            while thread.is_alive():
                _empty(results)
                thread.join(0.01)


def _results(results: queue.Queue[T | BaseException | None], working: int) -> Iterator[T]:
    while working:
        result = results.get()
        if result is None:
            working -= 1
        elif isinstance(result, BaseException):
            raise result
        else:
            yield result


def _empty(results: queue.Queue[Any]) -> None:
    # A worker may wait for room in it.
    while not results.empty():
        results.get_nowait()

"""Work in other threads, in the schema of whoever gave it.

Tasks of asyncio, ``sync_to_async`` and ``asyncio.to_thread`` see the schema in which they were
started by themselves, and a thread of one's own with ``in_current_schema``. The threads of an
executor outlive what they are given, so each piece of work has to bring its schema.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections

from .context import in_current_schema

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPoolExecutor(futures.ThreadPoolExecutor):
    """Python's, whose work runs in the schema in which it was submitted.

    The thread's connections are kept or closed before and after each piece of work as they are
    around a request: by ``CONN_MAX_AGE``.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[T]:
        """Submit *fn*; it runs in the schema that is current now."""
        return super().submit(_renewing(in_current_schema(fn)), *args, **kwargs)


def _renewing(function: Callable[P, T]) -> Callable[P, T]:
    def work(*args: Any, **kwargs: Any) -> T:
        # The thread may have waited for work longer than the server lets a connection idle.
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return work

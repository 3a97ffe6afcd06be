"""One variant of the request benchmark in a process of its own, asked by lines on stdin.

``benchmarks.requests`` starts it; what it answers is one line of JSON for each line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

HOSTS = [f"s{number}.example.com" for number in range(50)]


def environ(host: str, path: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


class Wsgi:
    """Calls the WSGI handler as a server does."""

    def __init__(self) -> None:
        self._application = get_wsgi_application()

    def time(self, path: str, hosts: list[str]) -> list[float]:
        return [self._one(host, path) for host in hosts]

    def _one(self, host: str, path: str) -> float:
        statuses: list[str] = []
        request = environ(host, path)
        start = time.perf_counter()
        response = self._application(request, lambda status, headers: statuses.append(status))
        for _ in response:
            pass
        response.close()
        spent = time.perf_counter() - start
        check(statuses == ["200 OK"], host, path, statuses)
        return spent


class Asgi:
    """Calls the ASGI handler as a server does, in one event loop."""

    def __init__(self) -> None:
        self._application = get_asgi_application()
        self._loop = asyncio.new_event_loop()

    def time(self, path: str, hosts: list[str]) -> list[float]:
        return self._loop.run_until_complete(self._all(path, hosts))

    async def _all(self, path: str, hosts: list[str]) -> list[float]:
        return [await self._one(host, path) for host in hosts]

    async def _one(self, host: str, path: str) -> float:
        messages: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", host.encode())],
            "client": ("127.0.0.1", 1),
            "server": (host, 80),
        }
        asked = False
        finished = asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:  # The client stays until it has the whole answer.
                await finished.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        start = time.perf_counter()
        await self._application(scope, receive, send)
        spent = time.perf_counter() - start
        finished.set()
        check(messages[0].get("status") == 200, host, path, messages)
        return spent


def check(good: bool, *what: Any) -> None:
    if not good:
        raise SystemExit(f"The answer is not 200: {what!r}.")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.request_site.settings")
    handler = Asgi() if os.environ["BENCHMARK_MODE"] == "asgi" else Wsgi()
    kinds: dict[str, Callable[[], None]] = {}
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = None
        if order["do"] == "set up":
            import_module("benchmarks.request_site.set_up").set_up(HOSTS)
        elif order["do"] == "time":
            cpu = time.process_time()
            times = handler.time(order["path"], order["hosts"])
            answer = {"times": times, "cpu": time.process_time() - cpu}
        elif order["do"] == "kinds":
            kinds = import_module("benchmarks.request_site.kinds").KINDS
            answer = list(kinds)
        elif order["do"] == "kind":
            kinds[order["name"]]()
        print(json.dumps(answer), flush=True)  # noqa: T201 - it is how the worker answers


if __name__ == "__main__":
    main()

"""Requests through Django's own WSGI and ASGI handlers, as a server would make them."""

import asyncio
import json
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    cookies: SimpleCookie
    body: str

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def shown(self) -> dict[str, Any]:
        assert self.status == 200, self
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def paths(self) -> dict[str, str]:
        """The paths of the cookies that it sets."""
        return {name: cookie["path"] for name, cookie in self.cookies.items()}


Ask = Callable[..., Answer]


def _answer(status: int, pairs: list[tuple[str, str]], body: str) -> Answer:
    cookies = SimpleCookie()
    for name, value in pairs:
        if name.title() == "Set-Cookie":
            cookies.load(value)
    return Answer(status, {name.title(): value for name, value in pairs}, cookies, body)


def wsgi(
    url: str,
    *,
    host: str = "example.com",
    method: str = "GET",
    script_name: str = "",
    address: str = "127.0.0.1",
    **headers: str,
) -> Answer:
    path, _, query = url.partition("?")
    environ = RequestFactory().generic(method, "/", headers={"host": host, **headers}).environ
    environ |= {
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SCRIPT_NAME": script_name,
        "REMOTE_ADDR": address,
    }
    started: list[Any] = []
    note: Any = lambda *arguments: started.extend(arguments)  # noqa: E731
    response = WSGIHandler()(environ, note)
    body = b"".join(response).decode()
    response.close()
    return _answer(int(started[0].split()[0]), started[1], body)


async def asgi_later(
    url: str,
    *,
    host: str = "example.com",
    method: str = "GET",
    script_name: str = "",
    address: str = "127.0.0.1",
    **headers: str,
) -> Answer:
    path, _, query = url.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": script_name + unquote_to_bytes(path).decode(),
        "root_path": script_name,
        "query_string": query.encode(),
        "http_version": "1.1",
        "client": (address, 4711),
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in {"host": host, **headers}.items()
        ],
    }
    communicator = ApplicationCommunicator(ASGIHandler(), scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    start = await communicator.receive_output(20)
    body, more = b"", True
    while more:
        part = await communicator.receive_output(20)
        body, more = body + part.get("body", b""), part.get("more_body", False)
    await communicator.wait(20)
    pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return _answer(start["status"], pairs, body.decode())


def asgi(url: str, **more: Any) -> Answer:
    return asyncio.run(asgi_later(url, **more))

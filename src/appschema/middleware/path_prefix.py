"""Requests that are recognised by the beginning of their path.

The prefix is handed on as WSGI and Django know it, as SCRIPT_NAME: the site of a schema is mounted
at ``/t/acme``. URLs are then made right by Django itself; no URLconf is built for a schema, and
no cache of URLs is cleared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, set_script_prefix
from django.utils.encoding import escape_uri_path, iri_to_uri

from appschema.conf import get_config
from appschema.names import normalise_public_name

from .base import GetResponse, MovedResponse, SchemaMiddleware


class PathPrefixMiddleware(SchemaMiddleware):
    """Recognise a request by what follows APPSCHEMA_PATH_PREFIX in its path.

    With the prefix ``/t/``, ``/t/acme/orders/`` is served as ``/orders/`` of the public name
    ``acme``, and URLs that are made meanwhile begin with ``/t/acme/``. Cookies for the whole site,
    those whose path is ``/``, get that path instead. Other spellings of the prefix, and
    one without a slash at its end, are redirected to the one. A path without the prefix is
    not recognised.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self.get_response = self._mount_async if self._is_async else self._mount
        self._get_response = get_response

    def get_public_name(self, request: HttpRequest) -> str | None:
        found = _split(request.path_info)
        return found.name if found else None

    def get_url(self, request: HttpRequest, public_name: str) -> str | None:
        found = _split(request.path_info)
        return found and _url(request, public_name, found.rest)

    def _mount(self, request: HttpRequest) -> HttpResponseBase:
        mount = _mount_of(request)
        if not isinstance(mount, _Mount):
            return mount or cast(HttpResponseBase, self._get_response(request))
        with mount.active():
            mount.enter(request)
            return mount.keep(cast(HttpResponseBase, self._get_response(request)))

    async def _mount_async(self, request: HttpRequest) -> HttpResponseBase:
        mount = _mount_of(request)
        if not isinstance(mount, _Mount):
            return mount or await cast(Awaitable[HttpResponseBase], self._get_response(request))
        with mount.active():
            mount.enter(request)
            return mount.keep(await cast(Awaitable[HttpResponseBase], self._get_response(request)))


class _Split(NamedTuple):
    name: str
    rest: str | None
    """What follows the name, from its slash on; None without one."""


def _split(path_info: str) -> _Split | None:
    prefix = get_config().path_prefix
    if prefix is None or not path_info.startswith(prefix):
        return None
    name, slash, rest = path_info[len(prefix) :].partition("/")
    return _Split(name, slash + rest if slash else None) if name else None


def _url(request: HttpRequest, public_name: str, rest: str | None) -> str:
    base = str(request.META.get("SCRIPT_NAME", "")).rstrip("/")
    path = f"{base}{get_config().path_prefix}{public_name}{rest or '/'}"
    query = request.META.get("QUERY_STRING", "")
    return escape_uri_path(path) + (f"?{iri_to_uri(query)}" if query else "")


def _mount_of(request: HttpRequest) -> _Mount | MovedResponse | None:
    """Return where the schema's site is mounted, a redirect to there, or None for no mount."""
    found = _split(request.path_info)
    if found is None or request.schema is None:  # type: ignore[attr-defined]
        return None
    name = normalise_public_name(found.name)
    if found.rest is None or found.name != name:
        # Browsers compare the paths of cookies letter by letter.
        return MovedResponse(_url(request, name, found.rest))
    return _Mount(f"{get_config().path_prefix}{name}", found.rest)


class _Mount:
    """The site of one schema, for one request: its prefix, set and unset."""

    def __init__(self, prefix: str, path_info: str) -> None:
        # Django puts the current prefix before a relative STATIC_URL or MEDIA_URL when it is first
        # read, and remembers it for the process: it must not be that of a schema.
        _ = settings.STATIC_URL, settings.MEDIA_URL
        self._prefix = prefix
        self._path_info = path_info
        self._script_prefix = f"{get_script_prefix().rstrip('/')}{prefix}/"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let ``reverse`` begin with the prefix, in this thread or task."""
        before = get_script_prefix()
        set_script_prefix(self._script_prefix)
        try:
            yield
        finally:
            set_script_prefix(before)

    def enter(self, request: HttpRequest) -> None:
        """Move the prefix from the path to SCRIPT_NAME, as WSGI lets a dispatcher do."""
        script_name = str(request.META.get("SCRIPT_NAME", "")).rstrip("/") + self._prefix
        request.META["SCRIPT_NAME"] = script_name
        request.META["PATH_INFO"] = request.path_info = self._path_info
        if hasattr(request, "script_name"):  # under ASGI
            request.script_name = script_name
        if cookies := request.META.get("HTTP_COOKIE"):
            request.META["HTTP_COOKIE"] = _nearest(cookies)
            vars(request).pop("COOKIES", None)

    def keep(self, response: HttpResponseBase) -> HttpResponseBase:
        """Give the cookies of the site its path; the body is made under the prefix as well."""
        for name, cookie in response.cookies.items():
            # Browsers refuse a cookie of such a name with any other path than "/".
            if cookie["path"] == "/" and not name.startswith("__Host-"):
                cookie["path"] = escape_uri_path(self._script_prefix)
        response.close = partial(self._run, response.close)  # type: ignore[method-assign]
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            each: Any = self._each_async if response.is_async else self._each
            response.streaming_content = each(response.streaming_content)
        return response

    def _run(self, function: Callable[[], object]) -> None:
        with self.active():
            function()

    def _each(self, content: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self.active():
                try:
                    part = next(content)
                except StopIteration:
                    return
            yield part

    async def _each_async(self, content: AsyncIterator[Any]) -> AsyncIterator[Any]:
        while True:
            with self.active():
                try:
                    part = await anext(content)
                except StopAsyncIteration:
                    return
            yield part


def _nearest(cookies: str) -> str:
    """Leave the first cookie of each name, which is that of the longest path.

    Browsers send it first (RFC 6265, 5.4). Django takes the last one, which is the site's that is
    served from public.
    """
    first: dict[str, str] = {}
    for each in cookies.split(";"):
        first.setdefault(each.partition("=")[0].strip(), each.strip())
    return "; ".join(first.values())

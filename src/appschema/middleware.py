"""The middleware that picks the schema of each request.

Derive from ``SchemaMiddleware`` and override ``get_public_name`` to recognise requests by
anything else than the host name.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import get_resolver

from .conf import get_config
from .context import schema_context
from .exceptions import InvalidPublicName, NoSchemaError
from .models import Schema
from .names import PUBLIC, normalise_public_name
from .resolver import is_remembered, resolve_normal

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class SchemaMiddleware:
    """Serve each request in the schema of its public name; put it first in MIDDLEWARE.

    ``request.schema`` is the ``Schema``, or None for a request that is served from public.
    An unknown name is answered with 404, or the redirect to APPSCHEMA_SCHEMA_REDIRECT; a
    malformed one with 400.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # What the URLconf imports may build querysets that all requests share. Django would import
        # it inside the first request, and they would belong to that visitor's schema.
        with schema_context(None):
            for urlconf in (None, get_config().public_urlconf):
                _ = get_resolver(urlconf).url_patterns

    def get_public_name(self, request: HttpRequest) -> str:
        """Return the public name of *request*; override this one. It must not do I/O."""
        raise NotImplementedError(
            f"{type(self).__name__} must override get_public_name(request) and return a str."
        )

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._respond_async(request)
        name = self._normal_name(request)
        try:
            schema = self._find(name)
        except NoSchemaError:
            return self._refuse()
        with self._enter(request, schema) as scope:
            response = cast(HttpResponseBase, self.get_response(request))
            return _keep(response, scope)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        name = self._normal_name(request)
        try:
            # Only a look-up in the database is worth a thread.
            if name in get_config().public_names or is_remembered(name):
                schema = self._find(name)
            else:
                schema = await sync_to_async(self._find)(name)
        except NoSchemaError:
            return self._refuse()
        with self._enter(request, schema) as scope:
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            return _keep(response, scope)

    def _normal_name(self, request: HttpRequest) -> str:
        try:
            return normalise_public_name(self.get_public_name(request))
        except InvalidPublicName as error:
            raise BadRequest(str(error)) from error

    def _find(self, name: str) -> Schema | None:
        return None if name in get_config().public_names else resolve_normal(name)

    def _enter(self, request: HttpRequest, schema: Schema | None) -> schema_context:
        request.schema = schema  # type: ignore[attr-defined]
        if schema is None:
            if urlconf := get_config().public_urlconf:
                request.urlconf = urlconf
            return schema_context(PUBLIC)
        return schema_context(schema.name)

    def _refuse(self) -> HttpResponseBase:
        """Answer a request for no schema; call it while its NoSchemaError is being handled."""
        if target := get_config().schema_redirect:
            return HttpResponseRedirect(target)
        raise  # noqa: PLE0704 - the error that is being handled


def _keep(response: HttpResponseBase, scope: schema_context) -> HttpResponseBase:
    """Let what the server asks of *response* later run in the request's schema as well.

    That is the body that is streamed, and closing, with which ``request_finished`` is sent.
    """
    response.close = partial(_run_in, scope.schema_name, response.close)  # type: ignore[method-assign]
    # The file of a FileResponse, which the server may send by itself, asks no database.
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        each: Any = _each_async if response.is_async else _each
        steps = schema_context(scope.schema_name)(each)
        response.streaming_content = steps(response.streaming_content)
    return response


def _run_in(schema_name: str | None, function: Callable[[], object]) -> None:
    with schema_context(schema_name):
        function()


def _each(content: Iterable[Any]) -> Iterator[Any]:
    yield from content


async def _each_async(content: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for part in content:
        yield part


class FqdnMiddleware(SchemaMiddleware):
    """Recognise a request by its fully qualified host name, as ALLOWED_HOSTS lets it through."""

    def get_public_name(self, request: HttpRequest) -> str:
        return request.get_host()

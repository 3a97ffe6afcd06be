"""What all middlewares that pick a schema do, whatever they recognise a request by."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import get_resolver
from django.utils.encoding import iri_to_uri

from appschema.conf import get_config
from appschema.context import request_context, schema_context
from appschema.exceptions import InvalidPublicName, NoSchemaError, SchemaUnavailable
from appschema.models import Schema
from appschema.names import PUBLIC, normalise_public_name
from appschema.resolver import is_remembered, resolve_normal, resolve_with_primary

from .notice import unavailable

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class SchemaMiddleware:
    """Serve each request in the schema of its public name; put it first in MIDDLEWARE.

    ``request.schema`` is the ``Schema``, or None for a request that is served from public. Others
    are answered here:

    * an unknown name, or that of a dropped schema, with 404 or the redirect to APPSCHEMA_SCHEMA_REDIRECT;
    * that of an inactive schema with 503 and its notice if it has one, else as an unknown one;
    * a malformed name with 400.

    A request that is not recognised is served from public if its host is in APPSCHEMA_PUBLIC_NAMES.
    Otherwise it is answered as one for an unknown name.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response: Callable[[HttpRequest], Any] = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # What the URLconf imports may build querysets that all requests share. Django would import
        # it inside the first request, and they would belong to that visitor's schema.
        with schema_context(None):
            for urlconf in (None, get_config().public_urlconf):
                _ = get_resolver(urlconf).url_patterns

    def get_public_name(self, request: HttpRequest) -> str | None:
        """Return the public name of *request*, or None if it is not recognised.

        Override this one. It must not do I/O.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override get_public_name(request) and return a str."
        )

    def get_url(self, request: HttpRequest, public_name: str) -> str | None:
        """Return the URL at which *request* would have had *public_name*, or None if none is known.

        Override this one too for APPSCHEMA_REDIRECT_TO_PRIMARY. What it returns must be recognised
        by that very name, or the browser is sent in a circle.
        """
        return None

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        exempt = get_config().exempt_paths
        if exempt and request.path_info in exempt:
            return self.serve_exempt(request)
        return self.serve(request, self.get_public_name(request))

    def serve(
        self, request: HttpRequest, public_name: str | None
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve *request* under the name by which this way has recognised it."""
        if self._is_async:
            return self._serve_async(request, public_name)
        try:
            name = self._normal(request, public_name)
            schema, primary = self._find(name)
        except SchemaUnavailable as error:
            return unavailable(error.notice)
        except NoSchemaError:
            return self._refuse()
        if primary and (url := self._moved(request, name, primary)):
            return MovedResponse(url)
        with self._enter(request, schema) as scope:
            return _keep(self.get_response(request), scope)

    async def _serve_async(self, request: HttpRequest, public_name: str | None) -> HttpResponseBase:
        try:
            name = self._normal(request, public_name)
            # Only a look-up in the database is worth a thread.
            if name in get_config().public_names or is_remembered(name):
                schema, primary = self._find(name)
            else:
                schema, primary = await sync_to_async(self._find)(name)
        except SchemaUnavailable as error:
            return unavailable(error.notice)
        except NoSchemaError:
            return self._refuse()
        if primary and (url := self._moved(request, name, primary)):
            return MovedResponse(url)
        with self._enter(request, schema) as scope:
            return _keep(await self.get_response(request), scope)

    def serve_exempt(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve *request* with no schema active."""
        request.get_host()  # raises for a host that ALLOWED_HOSTS lacks
        request.schema = None  # type: ignore[attr-defined]
        if self._is_async:
            return self._serve_exempt_async(request)
        with request_context(None) as scope:
            return _keep(self.get_response(request), scope)

    async def _serve_exempt_async(self, request: HttpRequest) -> HttpResponseBase:
        with request_context(None) as scope:
            return _keep(await self.get_response(request), scope)

    def _normal(self, request: HttpRequest, public_name: str | None) -> str:
        try:
            if public_name is not None:
                return normalise_public_name(public_name)
            host = normalise_public_name(request.get_host())
        except InvalidPublicName as error:
            raise BadRequest(str(error)) from error
        if host in get_config().public_names:
            return host
        raise NoSchemaError(host)

    def _find(self, name: str) -> tuple[Schema | None, str | None]:
        """Return the schema, None for public, and its primary name if that is to be asked for."""
        config = get_config()
        if name in config.public_names:
            return None, None
        if config.redirect_to_primary:
            return resolve_with_primary(name)
        return resolve_normal(name), None

    def _moved(self, request: HttpRequest, name: str, primary: str) -> str | None:
        # A name that public has taken since would not lead to the schema.
        if primary == name or primary in get_config().public_names:
            return None
        return self.get_url(request, primary)

    def _enter(self, request: HttpRequest, schema: Schema | None) -> schema_context:
        request.schema = schema  # type: ignore[attr-defined]
        if schema is None:
            if urlconf := get_config().public_urlconf:
                request.urlconf = urlconf
            return request_context(PUBLIC)
        return request_context(schema.name)

    def _refuse(self) -> HttpResponseBase:
        """Answer a request for no schema; call it while its NoSchemaError is being handled."""
        if target := get_config().schema_redirect:
            return HttpResponseRedirect(target)
        raise  # noqa: PLE0704 - the error that is being handled


class MovedResponse(HttpResponse):
    """A redirect that keeps the method and the body, however long the URL is.

    Browsers would remember it for good without the header, and go in a circle once the other name
    is the primary one.
    """

    status_code = 308

    def __init__(self, url: str) -> None:
        super().__init__(headers={"Location": iri_to_uri(url), "Cache-Control": "no-cache"})

    @property
    def url(self) -> str:
        """Where to, as Django's own redirects have it, which its test client follows."""
        return str(self["Location"])


def _keep(response: HttpResponseBase, scope: schema_context) -> HttpResponseBase:
    """Let what the server asks of *response* later run in the request's schema as well.

    That is the body that is streamed, and closing, with which ``request_finished`` is sent.
    """
    response.close = _CloseIn(scope, response)  # type: ignore[method-assign]
    if isinstance(response, StreamingHttpResponse) and not _is_of_a_file(response):
        each: Any = _each_async if response.is_async else _each
        response.streaming_content = scope(each)(response.streaming_content)
    return response


def _is_of_a_file(response: StreamingHttpResponse) -> bool:
    """Tell whether a file is sent, which the server may do by itself and which asks no database."""
    return isinstance(response, FileResponse) and hasattr(response.file_to_stream, "fileno")


class _CloseIn:
    """Closes a response in a scope, and lets go of it."""

    __slots__ = ("_close", "_response", "_scope")

    def __init__(self, scope: schema_context, response: HttpResponseBase) -> None:
        self._scope, self._response, self._close = scope, response, response.close

    def __call__(self) -> None:
        # They hold each other: left so, the response would wait with its content for the garbage
        # collector. Another middleware may have put its own around this one.
        if vars(self._response).get("close") is self:
            del self._response.close
        with self._scope:
            self._close()


def _each(content: Iterable[Any]) -> Iterator[Any]:
    yield from content


async def _each_async(content: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for part in content:
        yield part

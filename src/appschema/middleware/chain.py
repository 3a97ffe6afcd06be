"""Several ways to recognise a request, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from appschema.conf import get_config

from .base import GetResponse, SchemaMiddleware
from .header import HeaderMiddleware, varying
from .hosts import HostMiddleware


class ChainMiddleware(SchemaMiddleware):
    """Try the middlewares of APPSCHEMA_CHAIN in their order; the first that answers serves.

    A way answers by returning a public name, be it of a schema or not: what follows is then not
    asked, so that there is one look-up at most. It does not answer by returning None.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self.ways = [_make(path, get_response) for path in get_config().chain]
        hosts = tuple(way for way in self.ways if isinstance(way, HostMiddleware))
        for way in hosts:
            way.hosts = hosts
        self._asks_header = any(isinstance(way, HeaderMiddleware) for way in self.ways)

    def get_public_name(self, request: HttpRequest) -> str | None:
        names = (way.get_public_name(request) for way in self.ways)
        return next((name for name in names if name is not None), None)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        response = self._answer(request)
        return varying(response) if self._asks_header else response

    def _answer(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info in get_config().exempt_paths:
            return self.serve_exempt(request)
        for way in self.ways:
            name = way.get_public_name(request)
            if name is not None:
                return way.serve(request, name)
        return self.serve(request, None)


def _make(path: str, get_response: GetResponse) -> SchemaMiddleware:
    found = import_string(path)
    if not (isinstance(found, type) and issubclass(found, SchemaMiddleware)):
        raise ImproperlyConfigured(
            f"APPSCHEMA_CHAIN holds {path!r}, which is no SchemaMiddleware. Derive it from that."
        )
    return found(get_response)

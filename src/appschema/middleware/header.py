"""Requests that are recognised by a header, which a gateway sets."""

from __future__ import annotations

from collections.abc import Awaitable
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from appschema.conf import Network, get_config

from .base import SchemaMiddleware


class HeaderMiddleware(SchemaMiddleware):
    """Recognise a request by the public name in the header APPSCHEMA_HEADER.

    Who chooses the header chooses the schema: the gateway must overwrite what a client sends
    in it. From other addresses than those of APPSCHEMA_HEADER_FROM, if any are given, the
    header is passed over, and the request is not recognised.

    Answers say in ``Vary`` that they depend on the header, for caches behind the gateway.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return varying(super().__call__(request))

    def get_public_name(self, request: HttpRequest) -> str | None:
        config = get_config()
        if config.header is None:
            return None
        key = f"HTTP_{config.header.upper().replace('-', '_')}"
        name: str | None = request.META.get(key)
        if name is None or (config.header_from and not _is_from(request, config.header_from)):
            return None
        return name


def varying(
    response: HttpResponseBase | Awaitable[HttpResponseBase],
) -> HttpResponseBase | Awaitable[HttpResponseBase]:
    """Return *response* with APPSCHEMA_HEADER in its ``Vary``, whether the header was there or not."""
    header = get_config().header
    if header is None:
        return response
    if isinstance(response, HttpResponseBase):
        patch_vary_headers(response, [header])
        return response
    return _varying_later(response, header)


async def _varying_later(response: Awaitable[HttpResponseBase], header: str) -> HttpResponseBase:
    found = await response
    patch_vary_headers(found, [header])
    return found


def _is_from(request: HttpRequest, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address
    # A socket that takes IPv6 and IPv4 tells the latter's addresses so.
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)

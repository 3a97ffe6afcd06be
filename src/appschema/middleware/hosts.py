"""Requests that are recognised by their host: by the whole name, or by a sub-domain."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

from appschema.conf import get_config
from appschema.exceptions import InvalidPublicName
from appschema.names import normalise_public_name

from .base import GetResponse, SchemaMiddleware


class HostMiddleware(SchemaMiddleware):
    """What the two ways have in common: a host leads to a public name, and a public name to a host.

    Both are functions of their arguments only, so that a redirect to another host can be
    followed in thought before it is sent.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self.hosts: tuple[HostMiddleware, ...] = (self,)
        """All ways by host of a chain, in its order, or this one alone."""

    def name_of(self, host: str) -> str | None:
        """Return the public name of *host*, which is in its normal spelling, or None."""
        raise NotImplementedError

    def host_of(self, public_name: str, host: str) -> str | None:
        """Return the host that leads to *public_name*, near *host*, or None."""
        raise NotImplementedError

    def get_url(self, request: HttpRequest, public_name: str) -> str | None:
        given = request.get_host()
        host = normalise_public_name(given)
        port = split_domain_port(given)[1]
        for way in (self, *(each for each in self.hosts if each is not self)):
            target = way.host_of(public_name, host)
            if target is not None and target != host and self._leads_to(target, public_name):
                at = f"{target}:{port}" if port else target
                return f"{request.scheme}://{at}{request.get_full_path()}"
        return None

    def _leads_to(self, host: str, public_name: str) -> bool:
        names = (way.name_of(host) for way in self.hosts)
        found = next((name for name in names if name is not None), None)
        return found == public_name and validate_host(host, settings.ALLOWED_HOSTS)


class FqdnMiddleware(HostMiddleware):
    """Recognise a request by its fully qualified host name, as ALLOWED_HOSTS lets it through.

    It answers for every request, so that in a chain it stands last.
    """

    def get_public_name(self, request: HttpRequest) -> str:
        return request.get_host()

    def name_of(self, host: str) -> str | None:
        return host

    def host_of(self, public_name: str, host: str) -> str | None:
        # 'acme' beside 'acme.example.com' is the name of a sub-domain, not of a host.
        return public_name if "." in public_name or "." not in host else None


class SubdomainMiddleware(HostMiddleware):
    """Recognise a request by the sub-domain of one of APPSCHEMA_BASE_DOMAINS.

    The public name of ``acme.example.com`` is ``acme``, that of ``shop.acme.example.com`` is
    ``shop.acme``. A base domain itself is served from public, as is what APPSCHEMA_PUBLIC_NAMES
    lists, be it ``www`` or a whole host. Other hosts are not recognised.
    """

    def get_public_name(self, request: HttpRequest) -> str | None:
        try:
            return self.name_of(normalise_public_name(request.get_host()))
        except InvalidPublicName:
            return request.get_host()  # the base refuses it, in words

    def name_of(self, host: str) -> str | None:
        config = get_config()
        if host in config.public_names:
            return host
        base = _base_of(host)
        return host[: -len(base) - 1] if base else None

    def host_of(self, public_name: str, host: str) -> str | None:
        domains = get_config().base_domains
        if "." in public_name or not domains:
            return None
        return f"{public_name}.{_base_of(host) or domains[0]}"


def _base_of(host: str) -> str | None:
    """Return the longest base domain that *host* is a sub-domain of."""
    found = [each for each in get_config().base_domains if host.endswith(f".{each}")]
    return max(found, key=len, default=None)

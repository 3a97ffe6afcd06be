"""The settings of appschema: every one of them, its type and its default.

This is the only module that reads ``django.conf.settings`` for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .exceptions import InvalidSchemaName
from .names import PUBLIC, SPARE_PREFIX, normalise_public_name, validate_schema_name

_PREFIX = "APPSCHEMA_"
_PATH_PREFIX = re.compile(r"(?:/[^/?#]+)*/")
_HEADER = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

Network = IPv4Network | IPv6Network
_LISTS = (
    "shared_apps",
    "both_apps",
    "default_path",
    "public_names",
    "roles_shared_rights",
    "fixtures",
    "post_migrate",
)
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class Config:
    """The settings as values. Field ``shared_apps`` is the setting ``APPSCHEMA_SHARED_APPS``."""

    shared_apps: tuple[str, ...] = ()
    """Apps whose tables live once, in public: labels, module paths or AppConfig paths."""

    both_apps: tuple[str, ...] = ()
    """Apps whose tables live in public and in every schema."""

    default_path: tuple[str, ...] = (PUBLIC,)
    """What follows the schema in search_path; it must hold public."""

    extensions_schema: str = PUBLIC
    """Where CREATE EXTENSION in an isolated app's migration puts the extension."""

    schema_redirect: str | None = None
    """Where a request with an unknown or inactive public name is sent; None answers 404."""

    public_names: frozenset[str] = field(default_factory=frozenset)
    """Public names that are served from public."""

    public_urlconf: str | None = None
    """The URLconf of requests that are served from public; None means ROOT_URLCONF."""

    base_domains: tuple[str, ...] = ()
    """Domains whose sub-domains are public names; they are public themselves."""

    path_prefix: str | None = None
    """What stands before the public name in a path: ``/t/`` for ``/t/acme/``."""

    header: str | None = None
    """The header by which a gateway tells the public name of a request."""

    header_from: tuple[Network, ...] = ()
    """The addresses from which that header is believed; none given means any."""

    chain: tuple[str, ...] = ()
    """Middlewares, as dotted paths, of which the first that knows a request serves it."""

    redirect_to_primary: bool = False
    """Redirect from other public names of a schema to its primary one."""

    exempt_paths: frozenset[str] = field(default_factory=frozenset)
    """Paths that are served with no schema active, on any host."""

    resolver_max_age: float = 30.0
    """Seconds for which a process may answer a known public name from memory."""

    resolver_size: int = 10_000
    """How many public names a process remembers."""

    drop_grace: timedelta = timedelta(days=7)
    """How long a dropped schema can be had back before it may be purged."""

    template: str | None = "appschema_template"
    """The schema that new ones are copied from; None: each new schema is migrated."""

    spares: int = 0
    """How many ready schemas ``provisionschemas`` keeps, for new customers to be given."""

    fixtures: tuple[str, ...] = ()
    """Fixtures, as ``loaddata`` takes them, whose rows each new schema has."""

    post_migrate: tuple[str, ...] = ()
    """Receivers of post_migrate, as dotted paths, that run in each schema with every ``migrate``."""

    lock_timeout: float = 5.0
    """Seconds for which making a schema waits for locks that others hold."""

    connection_schemas: int | None = 100
    """After how many schemas a connection is renewed, between two requests; None: never."""

    refuse_crossing: bool = True
    """Raise ``WrongSchema`` for an instance or a queryset of one schema that is used under another."""

    roles: bool = False
    """Send every statement under a PostgreSQL role that has rights on its own schema only."""

    roles_shared_rights: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")
    """What the roles of schemas may do with the tables of shared apps."""


@cache
def get_config() -> Config:
    """Return the settings, read once and again after ``override_settings``.

    Raises ``ImproperlyConfigured`` for a value of the wrong type.
    """
    values: dict[str, Any] = {
        name.removeprefix(_PREFIX).lower(): getattr(settings, name)
        for name in (_PREFIX + each.upper() for each in Config.__dataclass_fields__)
        if hasattr(settings, name)
    }
    for name in _LISTS:
        if name in values:
            values[name] = _strings(name, values[name])
    for name in ("schema_redirect", "public_urlconf", "extensions_schema"):
        if not isinstance(value := values.get(name), str | None):
            raise ImproperlyConfigured(f"{_PREFIX}{name.upper()} is a str or None, not {value!r}.")
    for name in ("resolver_max_age", "resolver_size", "lock_timeout"):
        value = values.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ImproperlyConfigured(
                f"{_PREFIX}{name.upper()} is a number above zero, not {value!r}."
            )
    value = values.get("connection_schemas")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ImproperlyConfigured(
            f"{_PREFIX}CONNECTION_SCHEMAS is a number above zero or None, not {value!r}."
        )
    value = values.get("drop_grace", timedelta())
    if not isinstance(value, timedelta) or value < timedelta():
        raise ImproperlyConfigured(
            f"{_PREFIX}DROP_GRACE is a datetime.timedelta that is not negative, not {value!r}."
        )
    for name in ("refuse_crossing", "roles"):
        if not isinstance(value := values.get(name, True), bool):
            raise ImproperlyConfigured(f"{_PREFIX}{name.upper()} is True or False, not {value!r}.")
    if wrong := set(values.get("roles_shared_rights", ())).difference(_RIGHTS):
        raise ImproperlyConfigured(
            f"{_PREFIX}ROLES_SHARED_RIGHTS holds {min(wrong)!r}. Use {', '.join(map(repr, _RIGHTS))}."
        )
    if "public_names" in values:
        values["public_names"] = frozenset(map(normalise_public_name, values["public_names"]))
    _read_routes(values)
    _read_sources(values)
    return Config(**values)


def find_unknown() -> dict[str, str | None]:
    """Return the settings with our prefix that are none of ours, each with the one nearest to it."""
    ours = [_PREFIX + each.upper() for each in Config.__dataclass_fields__]
    unknown = [each for each in dir(settings) if each.startswith(_PREFIX) and each not in ours]
    return {each: next(iter(get_close_matches(each, ours, 1, 0.75)), None) for each in unknown}


def _read_sources(values: dict[str, Any]) -> None:
    """Read where new schemas come from."""
    spares = values.get("spares", 0)
    if isinstance(spares, bool) or not isinstance(spares, int) or spares < 0:
        raise ImproperlyConfigured(
            f"{_PREFIX}SPARES is a number that is not negative, not {spares!r}."
        )
    if (name := values.get("template")) is None:
        return
    try:
        validate_schema_name(name)
    except InvalidSchemaName as error:
        raise ImproperlyConfigured(f"{_PREFIX}TEMPLATE is {name!r}. {error}") from error
    if name.lower().startswith(SPARE_PREFIX):
        raise ImproperlyConfigured(
            f"{_PREFIX}TEMPLATE is {name!r}, as a spare may be called. Choose another name."
        )


def _read_routes(values: dict[str, Any]) -> None:
    """Read what the middlewares beside FqdnMiddleware need."""
    for name in ("base_domains", "header_from", "chain", "exempt_paths"):
        if name in values:
            values[name] = _strings(name, values[name])
    for name in ("path_prefix", "header"):
        if not isinstance(value := values.get(name), str | None):
            raise ImproperlyConfigured(f"{_PREFIX}{name.upper()} is a str or None, not {value!r}.")
    if not isinstance(value := values.get("redirect_to_primary", False), bool):
        raise ImproperlyConfigured(f"{_PREFIX}REDIRECT_TO_PRIMARY is True or False, not {value!r}.")
    if (prefix := values.get("path_prefix")) is not None and not _PATH_PREFIX.fullmatch(prefix):
        raise ImproperlyConfigured(
            f"{_PREFIX}PATH_PREFIX is {prefix!r}. It begins and ends with one '/', as '/t/' does."
        )
    if (header := values.get("header")) is not None and not _HEADER.fullmatch(header):
        raise ImproperlyConfigured(
            f"{_PREFIX}HEADER is {header!r}, which is no name of a header. Write it as 'X-Schema'."
        )
    if wrong := [path for path in values.get("exempt_paths", ()) if not path.startswith("/")]:
        raise ImproperlyConfigured(
            f"{_PREFIX}EXEMPT_PATHS holds {wrong[0]!r}. A path begins with '/': {'/' + wrong[0]!r}."
        )
    if "exempt_paths" in values:
        values["exempt_paths"] = frozenset(values["exempt_paths"])
    if "header_from" in values:
        values["header_from"] = tuple(map(_network, values["header_from"]))
    if "base_domains" in values:
        values["base_domains"] = tuple(map(normalise_public_name, values["base_domains"]))
        values["public_names"] = values.get("public_names", frozenset()).union(
            values["base_domains"]
        )


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{_PREFIX}HEADER_FROM holds {text!r}, which is no address: {error}. Write '10.0.0.7',"
            " or '10.0.0.0/8'."
        ) from error


def _strings(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ImproperlyConfigured(
            f"{_PREFIX}{name.upper()} is a list of str, not {value!r}."
            + (f" Write [{value!r}]." if isinstance(value, str) else "")
        )
    items = tuple(value)
    if wrong := [item for item in items if not isinstance(item, str)]:
        raise ImproperlyConfigured(f"{_PREFIX}{name.upper()} holds {wrong[0]!r}, which is no str.")
    return items


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting.startswith(_PREFIX):
        get_config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="appschema.conf")

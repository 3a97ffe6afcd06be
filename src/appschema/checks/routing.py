"""By what requests are recognised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from appschema.conf import Config, get_config
from appschema.exceptions import AppSchemaError
from appschema.middleware import (
    ChainMiddleware,
    FqdnMiddleware,
    HeaderMiddleware,
    PathPrefixMiddleware,
    SchemaMiddleware,
    SubdomainMiddleware,
)

_NEEDED_BY_ROUTES: tuple[tuple[type[SchemaMiddleware], str, object], ...] = (
    (SubdomainMiddleware, "base_domains", ["example.com"]),
    (PathPrefixMiddleware, "path_prefix", "/t/"),
    (HeaderMiddleware, "header", "X-Schema"),
    (ChainMiddleware, "chain", ["appschema.middleware.FqdnMiddleware"]),
)


@register()
def check_routing(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the middleware, and the settings of the ways to recognise a request."""
    try:
        config = get_config()
    except (ImproperlyConfigured, AppSchemaError):
        return []  # check_settings tells it
    return [*_check_middleware(), *_check_routes(config)]


def _check_middleware() -> Iterator[CheckMessage]:
    for position, path in enumerate(settings.MIDDLEWARE):
        found = import_class(path)
        if found is not None and issubclass(found, SchemaMiddleware):
            if position:
                yield Warning(
                    f"{path!r} is number {position + 1} in MIDDLEWARE, so"
                    f" {settings.MIDDLEWARE[0]!r} runs with no schema active.",
                    hint="Put it first, unless what stands before it must not see a schema.",
                    id="appschema.W001",
                )
            return


def _check_routes(config: Config) -> Iterator[CheckMessage]:
    named = [("MIDDLEWARE", path) for path in settings.MIDDLEWARE]
    routes = [
        (setting, path, found)
        for setting, path in (*named, *(("APPSCHEMA_CHAIN", path) for path in config.chain))
        if (found := import_class(path)) and issubclass(found, SchemaMiddleware)
    ]
    for setting, path, found in routes:
        for kind, needed, example in _NEEDED_BY_ROUTES:
            if issubclass(found, kind) and not getattr(config, needed):
                name = f"APPSCHEMA_{needed.upper()}"
                yield Error(
                    f"{path!r} is in {setting} and {name} is not set, so that it recognises no"
                    " request.",
                    hint=f"Set {name}, for example to {example!r}.",
                    id="appschema.E012",
                )
        if issubclass(found, PathPrefixMiddleware):
            yield from _check_path_prefix(path)
        if issubclass(found, HeaderMiddleware) and config.header and not config.header_from:
            yield Warning(
                f"The header {config.header!r} is believed from any address: who reaches this server"
                " without the gateway chooses the schema.",
                hint="Set APPSCHEMA_HEADER_FROM to the addresses of the gateway.",
                id="appschema.W009",
            )
    yield from _check_chain(config)


def _check_chain(config: Config) -> Iterator[CheckMessage]:
    for path in config.chain:
        found = import_class(path)
        if found is None or not issubclass(found, SchemaMiddleware):
            yield Error(
                f"APPSCHEMA_CHAIN holds {path!r}, which is no SchemaMiddleware.",
                hint="Derive it from 'appschema.middleware.SchemaMiddleware'.",
                id="appschema.E014",
            )
        elif issubclass(found, ChainMiddleware):
            yield Error(
                f"APPSCHEMA_CHAIN holds {path!r}, which is a chain itself.",
                hint="Name the middlewares of which it is to be made.",
                id="appschema.E014",
            )
        elif issubclass(found, FqdnMiddleware) and path != config.chain[-1]:
            yield Error(
                f"{path!r} answers for every request, so that what follows it in APPSCHEMA_CHAIN is"
                " never asked.",
                hint="Put it last.",
                id="appschema.E014",
            )


def _check_path_prefix(path: str) -> Iterator[CheckMessage]:
    for setting in ("SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH", "LANGUAGE_COOKIE_PATH"):
        if (value := getattr(settings, setting)) != "/":
            yield Error(
                f"{setting} is {value!r}, so that {path!r} leaves this cookie's path to it and all"
                " schemas have the cookie in common.",
                hint=f"Leave {setting} at '/': each schema's own path takes its place.",
                id="appschema.E013",
            )
    for setting in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME"):
        if (name := getattr(settings, setting)).startswith("__Host-"):
            yield Error(
                f"{setting} is {name!r}. Browsers take a cookie of such a name with the path '/'"
                " only, so that the schemas of one host overwrite each other's.",
                hint="Use the prefix '__Secure-'.",
                id="appschema.E013",
            )
    if not apps.is_installed("django.contrib.auth"):
        return
    for setting in ("LOGIN_URL", "LOGIN_REDIRECT_URL", "LOGOUT_REDIRECT_URL"):
        target = getattr(settings, setting)
        if isinstance(target, str) and target.startswith("/"):
            yield Warning(
                f"{setting} is {target!r}, a path that is not below any schema's prefix.",
                hint="Give the name of a URL pattern, or silence this check if the page is served"
                " from public.",
                id="appschema.W010",
            )


def import_class(path: str) -> type[Any] | None:
    """Return the class that a setting names, or None if there is none."""
    try:
        found = import_string(path)
    except ImportError:
        return None  # Django itself says so when it loads the middleware
    return found if isinstance(found, type) else None

"""The system checks: what is wrong with a project's settings, and the mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.cache import caches
from django.core.cache.backends.base import default_key_func
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands
from django.core.signing import Signer
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import FileField, Model
from django.utils.module_loading import import_string

from .backends.roles import DatabaseRoles
from .conf import Config, get_config
from .context import as_owner, schema_context
from .exceptions import AppSchemaError
from .fleet.selection import select_schemas
from .isolation.cache import make_key
from .isolation.storage import SchemaStorage
from .middleware import (
    ChainMiddleware,
    FqdnMiddleware,
    HeaderMiddleware,
    PathPrefixMiddleware,
    SchemaMiddleware,
    SubdomainMiddleware,
)
from .names import PUBLIC
from .placement import APP_LABEL, Placement, get_placement, names_app
from .router import is_ours

OLDEST_POSTGRESQL = 15


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings, the placement of apps and the models across it."""
    try:
        config = get_config()
    except (ImproperlyConfigured, AppSchemaError) as error:
        return [
            Error(
                str(error), hint="See the reference of settings in the docs.", id="appschema.E001"
            )
        ]
    return [
        *_check_apps(config),
        *_check_path(config),
        *_check_relations(get_placement()),
        *_check_engine(),
        *_check_middleware(),
        *_check_routes(config),
        *_check_commands(),
    ]


@register()
def check_isolation(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings of Django on which it depends that schemas are apart."""
    try:
        placement = get_placement()
    except (ImproperlyConfigured, AppSchemaError):
        return []  # check_settings tells it
    return [
        *_check_sessions(placement),
        *_check_signing(),
        *_check_caches(),
        *_check_files(placement),
        *_check_cookies(placement),
    ]


@register(Tags.database)
def check_server(
    app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the version of the server; only with ``check --database``, and before migrate."""
    errors: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if is_ours(connection) and connection.get_database_version() < (OLDEST_POSTGRESQL,):
            version = ".".join(map(str, connection.get_database_version()))
            errors.append(
                Error(
                    f"The database {alias!r} is PostgreSQL {version}; appschema supports"
                    f" {OLDEST_POSTGRESQL} and later.",
                    hint="Upgrade the server.",
                    id="appschema.E008",
                )
            )
    return errors


@register(Tags.database)
def check_roles(
    app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the roles of the schemas; only with ``check --database``, and before migrate."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if not (is_ours(connections[alias]) and get_config().roles):
            continue
        roles = DatabaseRoles(connections[alias])
        with as_owner():
            names = select_schemas(alias)
            # Before the first migrate nothing is missing: it makes what the database has once.
            faults = roles.faults(names) if names or roles.are_made() else ()
            found += [
                Warning(
                    fault,
                    hint="Run 'manage.py schemaroles --enable', which makes what is missing.",
                    id="appschema.W008",
                )
                for fault in faults
            ]
    return found


def _check_apps(config: Config) -> Iterator[CheckMessage]:
    configs = list(apps.get_app_configs())
    seen: dict[str, str] = {}
    for setting, entries in (
        ("APPSCHEMA_SHARED_APPS", config.shared_apps),
        ("APPSCHEMA_BOTH_APPS", config.both_apps),
    ):
        for entry in entries:
            found = next((each for each in configs if names_app(entry, each)), None)
            if found is None:
                yield Error(
                    f"{setting} holds {entry!r}, which is no installed app.",
                    hint=_near(entry, configs),
                    id="appschema.E002",
                )
            elif found.label in seen:
                yield Error(
                    f"{setting} holds {entry!r}, but {seen[found.label]} has the app"
                    f" {found.label!r} already.",
                    hint="Leave one of the two entries.",
                    id="appschema.E003",
                )
            else:
                seen[found.label] = setting
            if found and found.label == APP_LABEL and setting == "APPSCHEMA_BOTH_APPS":
                yield Error(
                    "APPSCHEMA_BOTH_APPS holds 'appschema', whose registry lives once, in public.",
                    hint="Remove the entry; appschema is always shared.",
                    id="appschema.E003",
                )


def _near(entry: str, configs: Iterable[AppConfig]) -> str:
    last = entry.rsplit(".", 1)[-1]
    close = [each.name for each in configs if last in (each.label, each.name.rsplit(".", 1)[-1])]
    if close:
        return f"Did you mean {close[0]!r}?"
    return (
        "Give the app's label, its module path or the path of its AppConfig, as in INSTALLED_APPS."
    )


def _check_path(config: Config) -> Iterator[CheckMessage]:
    if PUBLIC not in config.default_path:
        yield Error(
            f"APPSCHEMA_DEFAULT_PATH is {list(config.default_path)!r} and lacks 'public', where the"
            " shared tables are.",
            hint=f"Set it to {[*config.default_path, PUBLIC]!r}.",
            id="appschema.E004",
        )


def _check_relations(placement: Placement) -> Iterator[CheckMessage]:
    for model in apps.get_models(include_auto_created=True):
        if not placement.in_public(model._meta.app_label):
            continue
        for field in model._meta.local_fields:
            target = field.related_model if field.is_relation else None
            if not (isinstance(target, type) and issubclass(target, Model)):
                continue
            constrained = getattr(field, "db_constraint", False)
            if constrained and not placement.in_public(target._meta.app_label):
                yield Error(
                    f"{model._meta.label}.{field.name} is a foreign key of a table in public to"
                    f" {target._meta.label!r}, whose tables live in the schemas.",
                    hint=f"Make {target._meta.app_label!r} a shared or both app, or"
                    f" {model._meta.app_label!r} an isolated one.",
                    obj=model,
                    id="appschema.E005",
                )


def _check_engine() -> Iterator[CheckMessage]:
    engines = {alias: each["ENGINE"] for alias, each in connections.settings.items()}
    if any(is_ours(connections[alias]) for alias in engines):
        if not is_ours(connections[DEFAULT_DB_ALIAS]):
            yield Warning(
                f"The database {DEFAULT_DB_ALIAS!r} has the ENGINE {engines[DEFAULT_DB_ALIAS]!r},"
                " which carries no schema; only other databases do.",
                hint="Isolated models must be routed to a database whose ENGINE is appschema's.",
                id="appschema.W002",
            )
        return
    yield Error(
        f"No database has an ENGINE of appschema; 'default' has {engines[DEFAULT_DB_ALIAS]!r}."
        " Schemas exist in PostgreSQL only.",
        hint="Set DATABASES['default']['ENGINE'] to 'appschema.backends.postgresql' or"
        " 'appschema.backends.postgis'.",
        id="appschema.E006",
    )


def _check_commands() -> Iterator[CheckMessage]:
    """Django takes a command from the first app that has one of that name."""
    ours: set[str] = set()
    for app_config in reversed(list(apps.get_app_configs())):
        commands = set(find_commands(str(Path(app_config.path) / "management")))
        if app_config.label == APP_LABEL:
            ours = commands
        elif hidden := sorted(commands & ours):
            yield Error(
                f"{app_config.name!r} stands before 'appschema' in INSTALLED_APPS and has a command"
                f" {hidden[0]!r} of its own, which is run instead of appschema's.",
                hint="Put 'appschema' before it.",
                id="appschema.E007",
            )


def _check_middleware() -> Iterator[CheckMessage]:
    for position, path in enumerate(settings.MIDDLEWARE):
        try:
            found = import_string(path)
        except ImportError:
            continue  # Django itself says so when it loads the middleware
        if isinstance(found, type) and issubclass(found, SchemaMiddleware):
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
        if (found := _import_class(path)) and issubclass(found, SchemaMiddleware)
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


_NEEDED_BY_ROUTES: tuple[tuple[type[SchemaMiddleware], str, object], ...] = (
    (SubdomainMiddleware, "base_domains", ["example.com"]),
    (PathPrefixMiddleware, "path_prefix", "/t/"),
    (HeaderMiddleware, "header", "X-Schema"),
    (ChainMiddleware, "chain", ["appschema.middleware.FqdnMiddleware"]),
)


def _check_chain(config: Config) -> Iterator[CheckMessage]:
    for path in config.chain:
        found = _import_class(path)
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


def _session_store() -> type[Any] | None:
    try:
        found = getattr(import_module(settings.SESSION_ENGINE), "SessionStore", None)
    except ImportError:
        return None  # Django itself says so when it loads the middleware
    return found if isinstance(found, type) else None


def _check_sessions(placement: Placement) -> Iterator[CheckMessage]:
    paths = list(settings.MIDDLEWARE)
    middleware = [(path, found) for path in paths if (found := _import_class(path))]
    sessions = _first(middleware, SessionMiddleware)
    ours = _first(middleware, SchemaMiddleware)
    if sessions is None:
        return
    if ours is not None and paths.index(sessions) < paths.index(ours):
        yield Error(
            f"{sessions!r} stands before {ours!r} in MIDDLEWARE, so that it looks for each session"
            " with no schema active and finds none.",
            hint=f"Put {ours!r} first.",
            id="appschema.E011",
        )
    store = _session_store()
    if store is None:
        return
    if not issubclass(store, SessionBase):
        yield Error(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, whose SessionStore is not derived from"
            " Django's SessionBase. A session cookie of one schema could be used in another.",
            hint="Derive it from 'django.contrib.sessions.backends.base.SessionBase'.",
            id="appschema.E009",
        )
    elif own := [name for name in _OF_KEYS if _overrides(store, name)]:
        yield Error(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, whose SessionStore has a"
            f" {own[0]}() of its own, which may not keep the keys of sessions to their schema.",
            hint="Leave the method to Django's SessionBase.",
            id="appschema.E009",
        )
    users, model = _user_label(), getattr(store, "get_model_class", None)
    if users is None or model is None or not apps.is_installed("django.contrib.sessions"):
        return
    label = model()._meta.app_label
    hint = f"Place {label!r} as {users!r} is placed."
    if placement.in_public(users) and not placement.in_public(label):
        yield Warning(
            f"The users of {users!r} are in public and the sessions of {label!r} are not: nobody can"
            " log in there.",
            hint=hint,
            id="appschema.W007",
        )
    if placement.in_schemas(users) and not placement.in_schemas(label):
        yield Warning(
            f"The users of {users!r} are in the schemas, and the sessions of {label!r} of all of them"
            " are in one table in public.",
            hint=hint,
            id="appschema.W007",
        )


# What a SessionStore may not do by itself: see isolation/sessions.py.
_OF_KEYS = ("_validate_session_key", "_get_new_session_key", "_aget_new_session_key")


def _overrides(store: type[Any], name: str) -> bool:
    return getattr(store, name) is not getattr(SessionBase, name)


def _import_class(path: str) -> type[Any] | None:
    try:
        found = import_string(path)
    except ImportError:
        return None  # Django itself says so when it loads the middleware
    return found if isinstance(found, type) else None


def _first(middleware: Iterable[tuple[str, type[Any]]], kind: type[Any]) -> str | None:
    return next((path for path, found in middleware if issubclass(found, kind)), None)


def _user_label() -> str | None:
    try:
        return get_user_model()._meta.app_label
    except ImproperlyConfigured:
        return None  # no users are installed


def _check_signing() -> Iterator[CheckMessage]:
    found = _import_class(settings.SIGNING_BACKEND)
    # Compared by the function, since Signer itself is what isolation/signing.py reaches.
    if found is not None and getattr(found, "signature", None) is not Signer.signature:
        yield Error(
            f"SIGNING_BACKEND is {settings.SIGNING_BACKEND!r}, which makes signatures in its own way."
            " A signed cookie of one schema could be used in another.",
            hint="Derive it from 'django.core.signing.TimestampSigner' and leave signature() to it.",
            id="appschema.E010",
        )


def _check_caches() -> Iterator[CheckMessage]:
    for alias, values in settings.CACHES.items():
        function = values.get("KEY_FUNCTION")
        if function in (default_key_func, _DEFAULT_KEY_FUNCTION):
            continue  # it is written down that all schemas share this one
        if isinstance(caches[alias], DummyCache) or len(set(_keys_of(alias))) == 2:
            continue
        if function is None:
            message = f"The cache {alias!r} has no KEY_FUNCTION, so that schemas share its entries."
        elif function in (make_key, _MAKE_KEY):
            yield Warning(
                f"The cache {alias!r} has the BACKEND {values['BACKEND']!r}, which does not use"
                " KEY_FUNCTION, so that schemas share its entries.",
                hint="Use a BACKEND that leaves make_key() to Django's BaseCache.",
                id="appschema.W003",
            )
            continue
        else:
            message = (
                f"The cache {alias!r} has the KEY_FUNCTION {function!r}, which makes the same key in"
                " each schema, so that schemas share its entries."
            )
        yield Warning(
            message,
            hint=f"Set CACHES[{alias!r}]['KEY_FUNCTION'] to {_MAKE_KEY!r}; or, if nothing in it is"
            f" a customer's, to {_DEFAULT_KEY_FUNCTION!r}.",
            id="appschema.W003",
        )


_MAKE_KEY = "appschema.isolation.cache.make_key"
_DEFAULT_KEY_FUNCTION = "django.core.cache.backends.base.default_key_func"


def _keys_of(alias: str) -> Iterator[str]:
    for name in ("a", "b"):
        with schema_context(name):
            yield caches[alias].make_key("key")


def _check_files(placement: Placement) -> Iterator[CheckMessage]:
    for model in apps.get_models():
        label = model._meta.app_label
        for field in model._meta.local_fields:
            if not isinstance(field, FileField):
                continue
            # isinstance() looks through Django's lazy default_storage.
            by_schema = isinstance(field.storage, SchemaStorage)
            if placement.in_schemas(label) and not by_schema:
                yield Warning(
                    f"{model._meta.label}.{field.name} keeps the files of all schemas in one place.",
                    hint="Set the BACKEND of its storage in STORAGES to"
                    " 'appschema.isolation.storage.SchemaStorage', and give what stands there now as"
                    " its OPTIONS.",
                    obj=model,
                    id="appschema.W004",
                )
            elif not placement.in_schemas(label) and by_schema:
                yield Warning(
                    f"{model._meta.label}.{field.name} belongs to rows that all schemas share, and its"
                    " files are kept by schema: one that is saved in one is not found in another.",
                    hint="Give the field a storage of its own that is not a SchemaStorage.",
                    obj=model,
                    id="appschema.W005",
                )


def _check_cookies(placement: Placement) -> Iterator[CheckMessage]:
    users = _user_label()
    if users is None or users in placement.shared:
        return
    for setting in ("SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN"):
        if (domain := getattr(settings, setting)) is not None:
            yield Warning(
                f"{setting} is {domain!r}: browsers send the cookie of one schema's host to the hosts"
                " of others, which replace it by their own.",
                hint=f"Set {setting} to None.",
                id="appschema.W006",
            )

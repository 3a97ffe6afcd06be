"""What Django shares between schemas unless its settings say otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.cache import caches
from django.core.cache.backends.base import default_key_func
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer
from django.db.models import FileField

from appschema.context import schema_context
from appschema.exceptions import AppSchemaError
from appschema.isolation.cache import make_key
from appschema.isolation.storage import SchemaStorage
from appschema.middleware import (
    SchemaMiddleware,
)
from appschema.placement import Placement, get_placement

from .routing import import_class


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


def _session_store() -> type[Any] | None:
    try:
        found = getattr(import_module(settings.SESSION_ENGINE), "SessionStore", None)
    except ImportError:
        return None  # Django itself says so when it loads the middleware
    return found if isinstance(found, type) else None


def _check_sessions(placement: Placement) -> Iterator[CheckMessage]:
    paths = list(settings.MIDDLEWARE)
    middleware = [(path, found) for path in paths if (found := import_class(path))]
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


def _first(middleware: Iterable[tuple[str, type[Any]]], kind: type[Any]) -> str | None:
    return next((path for path, found in middleware if issubclass(found, kind)), None)


def _user_label() -> str | None:
    try:
        return get_user_model()._meta.app_label
    except ImproperlyConfigured:
        return None  # no users are installed


def _check_signing() -> Iterator[CheckMessage]:
    found = import_class(settings.SIGNING_BACKEND)
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

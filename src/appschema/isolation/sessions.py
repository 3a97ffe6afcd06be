"""A session belongs to the schema in which it was begun, with every engine.

The key of a session ends in a stamp that can be made in its schema only. A key with another
stamp is no key: Django then begins a new session, and neither reads, overwrites nor deletes what
is stored under it, be it in a shared table, in a cache, in a file or in an engine of the project.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.sessions.backends import base
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, SessionBase
from django.utils.crypto import constant_time_compare, get_random_string

from appschema.context import current_schema, schema_context

from .signing import salted_hmac

STAMP_LENGTH = 12
"""Of a key's 32 characters; the other 20 are random, which are 103 bits."""

_django_init = SessionBase.__init__
_django_validate = SessionBase._validate_session_key  # type: ignore[attr-defined]
_django_get_session = SessionBase._get_session  # type: ignore[attr-defined]
_django_aget_session = SessionBase._aget_session  # type: ignore[attr-defined]


def stamp(head: str, secret: str | bytes | None = None) -> str:
    """Return the stamp of the current schema on a session key that begins with *head*."""
    mac = salted_hmac("appschema.isolation.sessions", head, secret, algorithm="sha256").digest()
    return "".join(VALID_KEY_CHARS[byte % len(VALID_KEY_CHARS)] for byte in mac[:STAMP_LENGTH])


def new_key(length: int, allowed_chars: str) -> str:
    """Return a stamped key, for ``get_random_string`` in Django's module of sessions."""
    head = get_random_string(length - STAMP_LENGTH, allowed_chars)
    return head + stamp(head)


def bind_sessions() -> None:
    """Make Django's base of all sessions stamp its keys and refuse those of other schemas.

    A subclass of each engine, to be named in SESSION_ENGINE, would leave out the engines of
    projects, and a project that has not changed the setting.
    """
    # _get_new_session_key() and _aget_new_session_key() call it, and nothing else in there.
    vars(base)["get_random_string"] = new_key
    patched: dict[str, Any] = {
        "__init__": _init,
        "_validate_session_key": _validate_session_key,
        "_get_session": _get_session,
        "_aget_session": _aget_session,
        # Django's property holds the function itself, not its name.
        "_session": property(_get_session),
    }
    for name, function in patched.items():
        setattr(SessionBase, name, function)


def _init(self: Any, session_key: str | None = None) -> None:
    self._schema_name = current_schema()
    _django_init(self, session_key)


def _validate_session_key(self: Any, key: str | None) -> bool:
    if not _django_validate(self, key):
        return False
    if type(self)._get_session_key is not SessionBase._get_session_key:
        return True  # signed_cookies: the key is the session itself, and has been signed
    assert key is not None
    head, found = key[:-STAMP_LENGTH], key[-STAMP_LENGTH:]
    return any(
        constant_time_compare(found, stamp(head, secret))
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


# A session is loaded late, perhaps inside a schema_context() of a view, where its key would be
# none, and the visitor's login be lost.


def _get_session(self: Any, no_load: bool = False) -> Any:
    if self._schema_name == current_schema():
        return _django_get_session(self, no_load)
    with schema_context(self._schema_name):
        return _django_get_session(self, no_load)


async def _aget_session(self: Any, no_load: bool = False) -> Any:
    with schema_context(self._schema_name):
        return await _django_aget_session(self, no_load)

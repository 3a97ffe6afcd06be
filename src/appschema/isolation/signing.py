"""A signature belongs to the schema in which it was made.

Users of two schemas can have the same id and the same password hash, and Django signs with one
SECRET_KEY: without this, a signed cookie, a password reset link or a login of one schema would
be good in another. While no schema is active, a signature is Django's own; it is good in no
schema, and none of a schema's is good there.
"""

from __future__ import annotations

import hmac
from importlib import import_module
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac as _django_salted_hmac
from django.utils.encoding import force_bytes

from appschema.context import current_schema

# Each of them has imported salted_hmac by its name, and offers no setting for the key:
# - signing: Signer, dumps(), loads(), and with them signed cookies, messages in cookies and the
#   data of sessions (SIGNING_BACKEND is used for cookies only);
# - tokens: PasswordResetTokenGenerator, and what projects derive from it;
# - base_user: get_session_auth_hash(), which ties a login to the password.
_SIGNERS = ("django.core.signing", "django.contrib.auth.tokens", "django.contrib.auth.base_user")


def salted_hmac(key_salt: Any, value: Any, secret: Any = None, **kwargs: Any) -> hmac.HMAC:
    """Do as ``django.utils.crypto.salted_hmac``, with the current schema's key.

    For signatures that a project makes by itself.
    """
    schema_name = current_schema()
    if schema_name is not None:
        # A key of its own, not a longer salt or value: those, a caller's data could imitate.
        root = force_bytes(settings.SECRET_KEY if secret is None else secret)
        secret = hmac.digest(root, b"appschema:" + schema_name.encode(), "sha256")
    return _django_salted_hmac(key_salt, value, secret, **kwargs)


def sign_by_schema() -> None:
    """Make Django sign with the current schema's key."""
    for name in _SIGNERS:
        vars(import_module(name))["salted_hmac"] = salted_hmac

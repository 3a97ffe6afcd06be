"""The names of schemas and the public names that lead to them.

Everything that turns a name into SQL, or a host into a name, goes through here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

from .exceptions import InvalidPublicName, InvalidSchemaName

PUBLIC = "public"
"""The schema of the shared tables."""

MARKER_TABLE = "django_migrations"
"""The table by which a provisioned schema is told from any other: it is created together
with the schema, and every envelope takes a lock on it."""

MAX_NAME_BYTES = 63
"""PostgreSQL truncates longer identifiers without an error (NAMEDATALEN - 1)."""

OWN_PREFIX = "appschema_"
"""What the names of schemas begin with that belong to appschema: no customer's does."""

SPARE_PREFIX = f"{OWN_PREFIX}spare_"
"""What the names of spares begin with."""

ROLE_PREFIX = "appschema/"
"""What the names of all our PostgreSQL roles begin with."""

_RESERVED = frozenset({PUBLIC, "information_schema", "pg_catalog", "pg_toast", "pg_temp"})
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
# Python's codec is IDNA 2003, which makes another host of these: strasse of straße.
_OTHER_IN_IDNA_2003 = re.compile("[ßς\u200c\u200d]")
_PORT = re.compile(r":[0-9]{0,5}\Z")


def validate_schema_name(name: object) -> str:
    """Return *name* if a customer's schema may bear it, else raise ``InvalidSchemaName``.

    Letters and digits of any script, ``_`` and ``-`` are allowed, at most 63 bytes in
    UTF-8. Case counts: ``acme`` and ``Acme`` are two schemas, since names are always quoted.
    """
    if not isinstance(name, str):
        raise InvalidSchemaName(
            f"A schema name is a str, not {type(name).__name__} ({name!r})."
            " Give the name of the schema, for a registry row its 'name'."
        )
    if not name:
        raise InvalidSchemaName("A schema name cannot be empty. Give a name such as 'acme'.")
    if (size := len(name.encode("utf-8", "surrogatepass"))) > MAX_NAME_BYTES:
        raise InvalidSchemaName(
            f"The schema name {name!r} has {size} bytes and PostgreSQL would cut it at"
            f" {MAX_NAME_BYTES}. Shorten it."
        )
    wrong = sorted({char for char in name if not (char.isalnum() or char in "_-")})
    if wrong or name.startswith("-"):
        raise InvalidSchemaName(
            f"The schema name {name!r} holds {', '.join(map(repr, wrong)) or repr('-')}"
            f"{' at its start' if not wrong else ''}."
            " Use letters, digits, '_' and '-' only."
        )
    if unicodedata.normalize("NFC", name) != name:
        raise InvalidSchemaName(
            f"The schema name {name!r} is not in Unicode's composed form (NFC), so that another"
            " name could look the same. Normalise it."
        )
    if name.lower().startswith("pg_") or name.lower() in _RESERVED:
        raise InvalidSchemaName(
            f"The schema name {name!r} is reserved by PostgreSQL or appschema. Choose another."
        )
    return name


def validate_active_name(name: object) -> str:
    """Return *name* if it can be activated: a customer's schema, or ``public``."""
    return PUBLIC if name == PUBLIC else validate_schema_name(name)


def is_own_name(name: str) -> bool:
    """Tell whether a schema of this name belongs to appschema itself, in any case of letters."""
    return name.lower().startswith(OWN_PREFIX)


def quote_identifier(name: str) -> str:
    """Return *name* as a quoted SQL identifier; never folded, never interpreted."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return *text* as an SQL string; a backslash in it is a backslash."""
    return "'" + text.replace("'", "''") + "'"


def quote_option(text: str) -> str:
    """Return *text* as it stands in the startup options of a session: ``-c name=value``."""
    return text.replace("\\", "\\\\").replace(" ", "\\ ")


def marker_table(schema_name: str) -> str:
    """Return the schema's table ``MARKER_TABLE``, quoted and qualified."""
    return f"{quote_identifier(schema_name)}.{quote_identifier(MARKER_TABLE)}"


def role_name(database: str, part: str) -> str:
    """Return the name of the PostgreSQL role of a schema of this database.

    Roles belong to the whole cluster, so that the name carries the database's. ``part`` is the
    schema's name, ``public``, or a word behind ``@``, which no schema's name holds. A name that
    PostgreSQL would cut ends in a hash, and has no further slash, so that it is never that of
    another schema.
    """
    name = f"{ROLE_PREFIX}{database}/{part}"
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2s(name.encode(), digest_size=12).hexdigest()
    readable = f"{database}.{part}".replace("/", ".").encode()
    room = MAX_NAME_BYTES - len(ROLE_PREFIX) - len(digest) - 1
    return f"{ROLE_PREFIX}{readable[:room].decode(errors='ignore')}~{digest}"


def normalise_public_name(name: object) -> str:
    """Return the one spelling under which a public name is stored and looked up.

    Lower case, no port, no trailing dot, international names in their ASCII form.
    Raises ``InvalidPublicName`` for what cannot be a host name.
    """
    if not isinstance(name, str):
        raise InvalidPublicName(f"A public name is a str, not {type(name).__name__} ({name!r}).")
    return _normalise(name)


@lru_cache(maxsize=4096)  # It is asked for with every request, and most hosts come again.
def _normalise(name: str) -> str:
    host = _PORT.sub("", name.strip()).removesuffix(".").lower()
    if not host.isascii():
        if found := _OTHER_IN_IDNA_2003.search(host):
            raise InvalidPublicName(
                f"The public name {name!r} holds {found[0]!r}, which Python and browsers encode"
                " differently. Give its ASCII form, as a browser sends it (xn--...)."
            )
        try:
            host = host.encode("idna").decode("ascii").removesuffix(".")
        except UnicodeError as error:
            raise InvalidPublicName(
                f"The public name {name!r} is not a valid international host name: {error}."
            ) from error
    if len(host) > 253 or ".." in host or not _HOST.fullmatch(host):
        raise InvalidPublicName(
            f"The public name {name!r} is not a valid host name."
            " Use labels of letters, digits, '-' and '_', separated by dots."
        )
    return host

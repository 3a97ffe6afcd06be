"""Where a text names the schema that it belongs to, and that schema's own role.

A snapshot is the same whatever its schema is called, so its texts hold slots in place of the
name. A slot begins with NUL, which is the one character that no text of PostgreSQL can hold.
"""

from __future__ import annotations

import re

from appschema.exceptions import InvalidSchemaName
from appschema.names import MAX_NAME_BYTES, quote_identifier

SCHEMA = "\0s"
"""The schema's name as an identifier, quoted."""

NAME = "\0n"
"""The schema's name as it stands in a string: ``= 'acme'``."""

ROLE = "\0r"
"""The schema's own role, quoted."""

_SLOT = re.compile("\0([snr])")
_WORDS = {"s": "«schema»", "n": "«schema»", "r": "«role of the schema»"}
# A slot may stand in a string, in a body between dollars, and in a format of format().
_UNFIT = re.compile(r"""['"\\$%\0]""")


def fill(text: str, schema_name: str, role: str | None) -> str:
    """Return *text* with these names in its slots; ``role`` is needed where it has such a slot."""
    values = {"s": quote_identifier(schema_name), "n": schema_name}
    if role is not None:
        values["r"] = quote_identifier(role)
    return _SLOT.sub(lambda found: values[found[1]], text)


def describe(text: str) -> str:
    """Return *text* as a person can read it."""
    return _SLOT.sub(lambda found: _WORDS[found[1]], text)


def refuse_unfit(schema_name: str) -> None:
    """Raise ``InvalidSchemaName`` for a name that would end the text around a slot."""
    if not schema_name or len(schema_name.encode()) > MAX_NAME_BYTES or _UNFIT.search(schema_name):
        raise InvalidSchemaName(
            f"The schema name {schema_name!r} cannot be written into the texts of functions: it is"
            " empty, longer than 63 bytes, or holds a quote, '\\', '$' or '%'. Choose another."
        )

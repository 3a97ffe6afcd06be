"""PostgreSQL's errors, as if the envelope were not there."""

from __future__ import annotations

import re

import psycopg
from psycopg import pq

from appschema.context import current_schema
from appschema.exceptions import RoleMissing, SchemaMissing
from appschema.names import MARKER_TABLE, PUBLIC, ROLE_PREFIX

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


def schema_error(error: psycopg.Error) -> Exception:
    """Return the error to raise for *error*: by its name, if a schema or its role is missing."""
    message = error.diag.message_primary or ""
    if error.sqlstate in ("3F000", "42P01") and (schema_name := current_schema()):
        # The server's language has its own words and quotation marks (lc_messages), around the name.
        name = rf"[^\w\s]\s?{re.escape(schema_name)}(?:\.{MARKER_TABLE})?\s?[^\w\s.]"
        if re.search(name, message):
            return SchemaMissing(schema_name)
    # SET ROLE says 22023 for a role that is not there, and 42501 for one that may not be taken.
    if error.sqlstate in ("22023", "42501") and ROLE_PREFIX in message:
        return RoleMissing(current_schema() or PUBLIC)
    return error


def hide_prefix(error: psycopg.Error, prefix: str) -> None:
    """Make the error point into the user's statement instead of the whole message."""
    position = int(error.diag.statement_position or 0)
    if not prefix or position <= len(prefix):
        return
    fields: dict[int, bytes | None] = {field: _field(error, field) for field in pq.DiagnosticField}
    fields[pq.DiagnosticField.STATEMENT_POSITION] = str(position - len(prefix)).encode()
    error._info = fields
    lines = prefix.count("\n")
    text = _LINE.sub(lambda line: f"LINE {int(line[1]) - lines}:", str(error), count=1)
    error.args = (text, *error.args[1:])


def _field(error: psycopg.Error, field: pq.DiagnosticField) -> bytes | None:
    result = error.pgresult
    return result.error_field(field) if result is not None else None

"""SQL that makes a schema, for any name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

from appschema.names import quote_identifier, quote_literal

from .slots import ROLE, describe, fill, refuse_unfit

_SETTINGS = {
    "check_function_bodies": "off",
    "client_min_messages": "warning",
    "DateStyle": "ISO, YMD",
    "default_table_access_method": "heap",
    "default_tablespace": "",
    "IntervalStyle": "postgres",
    "row_security": "off",
    "standard_conforming_strings": "on",
    "xmloption": "content",
}
_BEFORE = "appschema.before"
_VERSION = 1


@dataclass(frozen=True)
class Script:
    """SQL that makes a schema of any name, in the order in which it is to be sent.

    The name is no text to be replaced: the statements hold slots for it.
    """

    schema: tuple[str, ...] = ()
    """The schema and the table that marks it as provisioned."""

    structure: tuple[str, ...] = ()
    """Types, functions, sequences and tables."""

    rows: tuple[str, ...] = ()
    """Their rows, and the values of sequences."""

    dependents: tuple[str, ...] = ()
    """Constraints, indexes, views, triggers, comments, rights, and foreign keys in the schema."""

    outside: tuple[str, ...] = ()
    """Foreign keys to tables of other schemas, which lock those tables until the commit."""

    def render(self, schema_name: str, role: str | None = None) -> str:
        """Return one text, to be sent as one message without parameters.

        It needs PostgreSQL's simple protocol (Django's default), and makes the schema, or fails
        as a whole. The search path and other settings are afterwards what they were before.
        ``role`` is the schema's own role (with APPSCHEMA_ROLES), and must exist; without one its
        rights are left out, and whoever makes the role gives them. Raises
        ``InvalidSchemaName`` for a name that cannot stand in all the places that want it, and
        ``ValueError`` without a role if there are policies for it.
        """
        refuse_unfit(schema_name)
        begin, end = _frame(schema_name)
        statements = (*self.schema, *self.structure, *self.rows, *self.dependents, *self.outside)
        if role is None:
            statements = tuple(each for each in statements if not _is_for_role(each))
            if for_role := [each for each in statements if ROLE in each]:
                raise ValueError(
                    f"The schema has a policy for its own role: {describe(for_role[0])!r}. Give the name"
                    " of the copy's role."
                )
        return (
            ";\n".join([begin, *(fill(each, schema_name, role) for each in statements), end])
            + ";\n"
        )

    def with_rows(self, rows: tuple[str, ...]) -> Self:
        """Return this script with other rows, as ``read_rows`` gives them."""
        return replace(self, rows=tuple(rows))

    def dumps(self) -> str:
        """Return the script as text that can be kept in a table or a file."""
        parts = {name: [_escape(each) for each in part] for name, part in asdict(self).items()}
        return json.dumps({"version": _VERSION, **parts}, ensure_ascii=False)

    @classmethod
    def loads(cls, text: str) -> Self:
        """Return the script that ``dumps`` has written. Raises ``ValueError`` for anything else."""
        parts = json.loads(text)
        if not isinstance(parts, dict) or parts.pop("version", None) != _VERSION:
            raise ValueError(
                "The text is no script of this version of appschema. Make it anew with write_schema()."
            )
        return cls(**{name: tuple(map(_unescape, part)) for name, part in parts.items()})


def _frame(schema_name: str) -> tuple[str, str]:
    """Return what keeps the settings and sets others, and what puts them back."""
    # Not SAVEPOINT or SET ... FROM CURRENT: the path that was there before is not in this text.
    names = ", ".join(quote_literal(name) for name in ("search_path", *_SETTINGS))
    keep = (
        f"SELECT pg_catalog.set_config('{_BEFORE}', pg_catalog.json_object_agg(name,"
        " pg_catalog.current_setting(name))::text, true)"
        f" FROM pg_catalog.unnest(ARRAY[{names}]) AS name"
    )
    begin = [
        keep,
        *(f"SET LOCAL {name} TO {quote_literal(value)}" for name, value in _SETTINGS.items()),
        f"SET LOCAL search_path TO {quote_identifier(schema_name)}, pg_catalog, pg_temp",
    ]
    end = (
        "SELECT pg_catalog.set_config(key, value, true) FROM pg_catalog.json_each_text("
        f"pg_catalog.current_setting('{_BEFORE}')::json)"
    )
    return ";\n".join(begin), end


def _is_for_role(statement: str) -> bool:
    return ROLE in statement and statement.startswith(
        ("GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES")
    )


def _escape(statement: str) -> str:
    # PostgreSQL's jsonb refuses NUL.
    return statement.replace("%", "%%").replace("\0", "%.")


def _unescape(statement: str) -> str:
    return "%".join(each.replace("%.", "\0") for each in statement.split("%%"))

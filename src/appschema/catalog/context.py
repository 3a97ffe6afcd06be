"""What all objects of one snapshot are made with."""

from __future__ import annotations

import json
from typing import Any

from appschema.names import quote_identifier

from .answers import Answers
from .canonical import canonical
from .own_names import OwnNames
from .slots import ROLE
from .snapshot import Grant, Key, Sequence


class Context:
    """The schema's own names, and which key belongs to which oid."""

    def __init__(self, schema_name: str, own_role: str, answers: Answers) -> None:
        self.schema_name, self.answers = schema_name, answers
        self.own = OwnNames(schema_name, answers.names_of_objects())
        self.keys: dict[tuple[str, int], Key] = {}
        self.identities: dict[tuple[int, int], Sequence] = {}
        """The sequences of identity columns, by the table's oid and the column's number."""
        self._own_role = quote_identifier(own_role)

    def know(self, catalog: str, oid: int | None, key: Key) -> None:
        """Note which object it is that others depend on by this oid."""
        if oid:
            self.keys[catalog, oid] = key

    def text(self, text: str | None, where: str) -> Any:
        """Return a deparsed text as a snapshot keeps it."""
        return None if text is None else canonical(self.own.in_deparsed(text, where))

    def grants(self, rights: Any, column: str | None = None) -> tuple[Grant, ...]:
        """Return the rights that a query has found in an ACL."""
        return tuple(
            Grant(privilege, self.grantee(grantee), is_grantable, is_revoked, column)
            for privilege, grantee, is_grantable, is_revoked in from_json(rights)
        )

    def grantee(self, name: str) -> str:
        """Return SQL for a role that the server has named, quoted only where it must be."""
        if name in {"PUBLIC", "CURRENT_USER"}:
            return name
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        quoted = quote_identifier(plain)
        return ROLE if quoted == self._own_role else quoted


def from_json(value: Any) -> Any:
    """Return the value of a JSON column, which some connections load and some do not."""
    return json.loads(value) if isinstance(value, str) else value or ()

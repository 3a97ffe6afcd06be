"""Find where a text names the schema that it belongs to, and put slots there.

Three kinds of text are told apart. What the server *deparses* (views, defaults, constraints)
names own objects without their schema, so that only its strings can hold the name. *Code* (the
bodies of functions) is as its author wrote it. A *string* may be code, or only data.

In code the name is taken for the schema's

* before a dot: ``acme.t``, also in strings with SQL in them, and in ``'acme.t'::regclass``;
* behind the word SCHEMA, and in a value of search_path, also in ``set_config('search_path', ...)``.

Where the name is also that of an alias or a variable, what follows the dot decides: it is the
schema's before an object of the schema; an alias's before any other name. If both may be, the
text cannot be rewritten, and ``UnsupportedObject`` says so. Comments stay as they are. A string
that is just the name, or names something that the schema does not have, may be data: it stays,
and becomes a ``Doubt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from appschema.exceptions import UnsupportedObject

from .slots import NAME, SCHEMA
from .snapshot import Doubt
from .tokens import Token, join, last_code, next_code, tokenise

_STRINGS = frozenset({"string", "escaped", "unicode", "dollar"})


@dataclass
class OwnNames:
    """A schema's name and the names of its objects; gathers what is doubtful."""

    schema_name: str
    objects: frozenset[str]
    """Of tables, views, sequences, indexes, types and functions."""
    doubts: list[Doubt] = field(default_factory=list)

    def in_code(self, text: str, where: str) -> str:
        """Return code, such as a function's body, with slots."""
        return self._rewritten(text, where, _Kind.CODE)

    def in_deparsed(self, text: str, where: str) -> str:
        """Return what the server has deparsed, with slots."""
        return self._rewritten(text, where, _Kind.DEPARSED)

    def without_own(self, text: str, *words: str) -> str:
        """Return a definition without the qualifier that stands behind one of these words.

        Some of the server's functions qualify the object itself, whatever the search path.
        """
        tokens = tokenise(text)
        for position, token in enumerate(tokens):
            before, dot = last_code(tokens, position), next_code(tokens, position)
            if (
                token.identifier == self.schema_name
                and before >= 0
                and tokens[before].text.upper() in words
                and _is(tokens, dot, ".")
            ):
                return join(tokens[:position] + tokens[dot + 1 :])
        return text

    def doubt(self, where: str, text: str) -> None:
        """Note what a person should look at."""
        if (doubt := Doubt(where, text)) not in self.doubts:
            self.doubts.append(doubt)

    def may_be_in(self, text: str) -> bool:
        """Tell whether the name may be in a text; the cheap look before the exact one."""
        return self.schema_name.lower().replace('"', '""') in text.lower()

    def _rewritten(self, text: str, where: str, kind: _Kind) -> str:
        return _Text(self, where, kind, text).rewritten() if self.may_be_in(text) else text


class _Kind(Enum):
    DEPARSED = "what the server deparses"
    CODE = "what an author wrote"
    STRING = "what may be code or data"


class _Text:
    """One text, or one string in another."""

    def __init__(self, own: OwnNames, where: str, kind: _Kind, text: str) -> None:
        self.own, self.where, self.kind = own, where, kind
        self.tokens = tokenise(text)
        self.path_values = dict(_path_values(self.tokens))

    def rewritten(self) -> str:
        return join([Token(each.kind, self._new(at)) for at, each in enumerate(self.tokens)])

    def _new(self, at: int) -> str:
        token = self.tokens[at]
        if token.kind in _STRINGS:
            return self._string(at) if self.own.may_be_in(token.text) else token.text
        is_schema = token.identifier == self.own.schema_name and self._means_schema(at)
        return SCHEMA if is_schema else token.text

    def _means_schema(self, at: int) -> bool:
        dot = next_code(self.tokens, at)
        if self.kind is _Kind.DEPARSED:
            return _is(self.tokens, dot, ".") and self._is_deparsed_qualifier(at, dot)
        if at in self.path_values or self._is_behind_schema(at):
            return True
        return _is(self.tokens, dot, ".") and self._qualifies(at, dot)

    def _qualifies(self, at: int, dot: int) -> bool:
        following = next_code(self.tokens, dot)
        name = self.tokens[following].identifier if following < len(self.tokens) else None
        is_known = name in self.own.objects
        if _is(self.tokens, last_code(self.tokens, at), "."):
            if is_known:  # behind the database's name, or it is a column
                self._doubt(at)
            return False
        if is_known and self.kind is _Kind.CODE and self._is_bare_somewhere:
            raise UnsupportedObject(
                f"In {self.where}, {self.own.schema_name!r} is the schema's name and that of an alias,"
                f" a variable or a table too, so that {self._around(at)!r} may mean either. Give the"
                " other one another name.",
                (self.where,),
            )
        if is_known or (self.kind is _Kind.CODE and not self._is_bare_somewhere):
            return True
        if self.kind is _Kind.STRING:
            self._doubt(at)
        return False

    @cached_property
    def _is_bare_somewhere(self) -> bool:
        """The name stands alone somewhere, as that of an alias or a variable does."""
        return any(
            token.identifier == self.own.schema_name
            and at not in self.path_values
            and not _is(self.tokens, last_code(self.tokens, at), ".")
            and not _is(self.tokens, next_code(self.tokens, at), ".")
            and not self._is_behind_schema(at)
            for at, token in enumerate(self.tokens)
        )

    def _is_behind_schema(self, at: int) -> bool:
        before = last_code(self.tokens, at)
        return before >= 0 and self.tokens[before].text.upper() == "SCHEMA"

    def _is_deparsed_qualifier(self, at: int, dot: int) -> bool:
        """The server qualifies own functions and operators that others would be taken for."""
        before = last_code(self.tokens, at)
        word = last_code(self.tokens, before)
        if _is(self.tokens, before, "(") and _is(self.tokens, word, "OPERATOR"):
            return True
        name = next_code(self.tokens, dot)
        return _is(self.tokens, next_code(self.tokens, name), "(")

    def _string(self, at: int) -> str:
        token = self.tokens[at]
        opening, content, closing = _open(token)
        if token.kind in {"escaped", "unicode"}:
            self.own.doubt(self.where, token.text)
            return token.text
        plain = content.replace("''", "'") if token.kind == "string" else content
        if at in self.path_values:
            new = self._path(plain, self.path_values[at])
        elif plain == self.own.schema_name:
            if self._is_behind_schema(at):  # SET SCHEMA 'acme'
                new = NAME
            else:
                self._doubt(at)
                return token.text
        else:
            is_code = token.kind == "dollar" and self.kind is _Kind.CODE
            kind = _Kind.CODE if is_code else _Kind.STRING
            new = _Text(self.own, self.where, kind, plain).rewritten()
        return opening + (new.replace("'", "''") if token.kind == "string" else new) + closing

    def _path(self, value: str, is_list: bool) -> str:
        """Return a value of search_path: one name, or a list of names in one string."""
        if not is_list:
            return NAME if value == self.own.schema_name else value
        tokens = tokenise(value)
        return join(
            [
                Token(each.kind, SCHEMA if each.identifier == self.own.schema_name else each.text)
                for each in tokens
            ]
        )

    def _doubt(self, at: int) -> None:
        self.own.doubt(self.where, self._around(at))

    def _around(self, at: int) -> str:
        """Return a piece of the text to find the place by."""
        start, end = max(0, at - 6), min(len(self.tokens), at + 7)
        return " ".join(join(self.tokens[start:end]).split())


def _path_values(tokens: list[Token]) -> Iterator[tuple[int, bool]]:
    """Yield where values of search_path stand, and whether they are lists in one string."""
    for at, token in enumerate(tokens):
        following = next_code(tokens, at)
        if token.identifier == "search_path":
            if _is(tokens, following, "=") or _is(tokens, following, "TO"):
                yield from _listed(tokens, next_code(tokens, following))
        elif token.text == "'search_path'" and _is(tokens, following, ","):
            yield next_code(tokens, following), True


def _listed(tokens: list[Token], at: int) -> Iterator[tuple[int, bool]]:
    while at < len(tokens):
        yield at, False
        comma = next_code(tokens, at)
        if not _is(tokens, comma, ","):
            return
        at = next_code(tokens, comma)


def _is(tokens: list[Token], at: int, text: str) -> bool:
    return 0 <= at < len(tokens) and tokens[at].text.upper() == text


def _open(token: Token) -> tuple[str, str, str]:
    """Return what a string begins with, holds and ends with."""
    if token.kind == "dollar":
        tag = token.text[: token.text.index("$", 1) + 1]
        return tag, token.text[len(tag) : -len(tag)], tag
    start = token.text.index("'") + 1 if "'" in token.text else token.text.index('"') + 1
    return token.text[:start], token.text[start:-1], token.text[-1]

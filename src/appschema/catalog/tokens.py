"""The tokens of SQL, and of the languages whose tokens are SQL's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<space>    \s+ )
    | (?P<comment>  --[^\n\r]* )
    | (?P<block>    /\* )
    | (?P<escaped>  [eE]'(?:[^'\\]|\\.|'')*' )
    | (?P<unicode>  [uU]&(?:'(?:[^']|'')*'|"(?:[^"]|"")*") )
    | (?P<string>   [bBxXnN]?'(?:[^']|'')*' )
    | (?P<quoted>   "(?:[^"]|"")*" )
    | (?P<dollar>   \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<word>     [^\W\d][\w$]* )
    | (?P<number>   \d[\w.]* )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_EDGE = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """One token; joined again, the texts of all are the text that was read."""

    kind: str
    """``space``, ``comment``, ``string``, ``escaped``, ``unicode``, ``dollar``, ``quoted``,
    ``word``, ``number`` or ``other`` (one character)."""

    text: str

    @property
    def identifier(self) -> str | None:
        """The name that it stands for, None if it is no identifier. Keywords are names here."""
        if self.kind == "word":
            # PostgreSQL folds ASCII, in a database of UTF-8.
            return "".join(c.lower() if c.isascii() else c for c in self.text)
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return None

    @property
    def is_space(self) -> bool:
        return self.kind in {"space", "comment"}


def tokenise(text: str) -> list[Token]:
    """Return the tokens of *text*."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while found := _TOKEN.match(text, position):
        kind = found.lastgroup or "other"
        if kind == "tag":
            kind = "dollar"
        end = found.end()
        if kind == "block":
            kind, end = "comment", _end_of_comment(text, position)
        yield Token(kind, text[position:end])
        position = end


def _end_of_comment(text: str, start: int) -> int:
    """Return the position after a block comment; PostgreSQL's may be nested."""
    depth = 0
    for edge in _EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def join(tokens: list[Token]) -> str:
    """Return the text of *tokens*."""
    return "".join(token.text for token in tokens)


def next_code(tokens: list[Token], position: int) -> int:
    """Return where the next token after *position* is that is no space; the length if none is."""
    position += 1
    while position < len(tokens) and tokens[position].is_space:
        position += 1
    return position


def last_code(tokens: list[Token], position: int) -> int:
    """Return where the last token before *position* is that is no space; -1 if none is."""
    position -= 1
    while position >= 0 and tokens[position].is_space:
        position -= 1
    return position

"""What can be told of a statement from its text.

The texts are those that go to PostgreSQL, as bytes. Whatever decides that a statement needs no
envelope is decided by an exact reading of quotes and comments; the cheap patterns only decide
that such a reading is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

_ENDING = rb"rollback|abort|commit|end|prepare\s+transaction"
_OPENING = rb"begin|start|savepoint|release"
# A keyword leads a statement only after the start, a semicolon or the end of a comment.
_MAYBE_CONTROL = re.compile(
    rb"(?:\A|;|\*/|[\n\r])\s*(?:%b|%b|prepare)\b" % (_ENDING, _OPENING), re.IGNORECASE
)
_ENDS = re.compile(rb"(?:%b)\b" % _ENDING, re.IGNORECASE)
_CONTROLS = re.compile(rb"(?:%b|%b)\b" % (_ENDING, _OPENING), re.IGNORECASE)
_OPENS_BODY = re.compile(
    rb"create\s+(?:or\s+replace\s+)?(?:function|procedure)\b.*"
    rb"\bbegin\s+atomic\b(?!\s*end\s*\Z)",
    re.IGNORECASE | re.DOTALL,
)
_CLOSES_BODY = re.compile(rb"end\b", re.IGNORECASE)
_MAYBE_PATH = re.compile(rb"search_path|set_config|\breset\b|\bschema\b", re.IGNORECASE)
_SETS_PATH = re.compile(
    rb"""\bset\s+(?:(?:local|session)\s+)?(?:"?search_path\b|schema\s+')""", re.IGNORECASE
)
# Who takes a path back wants the schema's again, not the session's, which is public's.
_RESETS_PATH = re.compile(
    rb"""(?:reset\s+(?:"?search_path\b|all\b)
       |set\s+(?:(?:local|session)\s+)?"?search_path"?\s*(?:=|\bto\b)\s*default\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_CONFIGURES_NULL = re.compile(
    rb"""\bset_config"?\s*\([^,;]*,[\s(]*(?:cast[\s(]*)?null\b""",
    re.IGNORECASE,
)
_CALLS = re.compile(rb"(?:call|do)\b", re.IGNORECASE)
_SETS_CONFIG = re.compile(rb"\bset_config\b", re.IGNORECASE)
_CREATE_EXTENSION = re.compile(rb"create\s+extension\b", re.IGNORECASE)
_GOES_ALONE = re.compile(
    rb"vacuum\b|(?:create\s+(?:unique\s+)?|drop\s+)index\s+concurrently\b"
    rb"|reindex\b.*\bconcurrently\b",
    re.IGNORECASE | re.DOTALL,
)
_OF_THE_SERVER = re.compile(
    rb"discard\b|alter\s+system\b|(?:create|alter|drop)\s+(?:database|tablespace|subscription)\b",
    re.IGNORECASE,
)
_LEXEMES = re.compile(
    rb"""
      (?P<quoted> (?<![A-Za-z0-9_$\x80-\xff]) [eE]'(?:[^'\\]|\\.|'')*'
                  # Behind a new line the string may go on, and its backslashes still escape.
                  (?:(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:\s|--[^\n\r]*+[\n\r])*+
                     '(?:[^'\\]|\\.|'')*')*
                | '(?:[^']|'')*'
                | "(?:[^"]|"")*"
                | (?<![A-Za-z0-9_$\x80-\xff]) \$(?P<tag>(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?)\$
                  .*? \$(?P=tag)\$ )
    | (?P<comment> --[^\n\r]* )
    | (?P<block> /\* )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
_LIKE_A_COMMENT = re.compile(rb"--[^\n\r]*|/\*.*?\*/", re.DOTALL)
_NEWLINE = re.compile(rb"[\n\r]")
_BLOCK_EDGE = re.compile(rb"/\*|\*/")

LONGEST_REMEMBERED = 10_000
"""What is found of longer texts, in bytes, is not remembered."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The facts of one message that decide about its envelope."""

    blank: bool = False
    """There is nothing to run: only white space and comments."""

    controls: bool = False
    """It only begins, ends or marks a transaction."""

    controls_within: bool = False
    """Some statement of it begins, ends or marks a transaction."""

    ends_transaction: bool = False
    """It ends a transaction or rolls back to a savepoint, so a path that was set may be undone."""

    continues: bool = False
    """Other statements follow the one that ends a transaction, in the same message."""

    sets_path: bool = False
    """It may set a search_path of its own for what follows."""

    sets_config: bool = False
    """It calls set_config(), which sets what its parameters name."""

    creates_extension: bool = False
    """It creates extensions, and nothing else."""

    calls: bool = False
    """It runs a procedure or a block, which may commit."""

    resets_path: bool = False
    """It takes back a search_path that it or an earlier statement has set."""

    goes_alone: bool = False
    """PostgreSQL refuses it beside other statements."""

    of_the_server: bool = False
    """It means the session, the database or the server, and resolves no name in a schema."""


def read_statement(text: bytes) -> Statement:
    """Return what can be told of *text*; the answer for short texts is remembered."""
    return _read_cached(text) if len(text) <= LONGEST_REMEMBERED else _read(text)


def _read(text: bytes) -> Statement:
    statement = _read_controls(text)
    return replace(statement, **_read_path(text)) if _MAYBE_PATH.search(text) else statement


def _read_controls(text: bytes) -> Statement:
    if not _MAYBE_CONTROL.search(text):
        lead = _skip_space(text)
        if lead == len(text):
            return Statement(blank=True)
        return Statement(
            calls=bool(_CALLS.match(text, lead)),
            creates_extension=bool(_CREATE_EXTENSION.match(text, lead))
            and all(map(_CREATE_EXTENSION.match, split_statements(text))),
            goes_alone=bool(_GOES_ALONE.match(text, lead)) and is_one(text),
            of_the_server=bool(_OF_THE_SERVER.match(text, lead)) and is_one(text),
        )
    pieces = split_statements(text)
    heads = [_code(each) for each in pieces]
    ends = [bool(_ENDS.match(each)) for each in heads]
    controls = [bool(_CONTROLS.match(each)) for each in heads]
    first_end = ends.index(True) if True in ends else len(pieces)
    return Statement(
        blank=not pieces,
        controls=bool(pieces) and all(controls),
        controls_within=any(controls),
        ends_transaction=any(ends),
        continues=not all(controls[first_end:]),
        calls=any(map(_CALLS.match, heads)),
    )


def _read_path(text: bytes) -> dict[str, bool]:
    pieces = [_uncommented(each) for each in split_statements(text)]
    resets = [_resets_path(each) for each in pieces]
    resets_path = any(resets)
    return {
        "sets_path": not resets_path and any(map(_SETS_PATH.search, pieces)),
        "sets_config": not resets_path and any(map(_SETS_CONFIG.search, pieces)),
        "resets_path": resets_path,
    }


def _resets_path(piece: bytes) -> bool:
    if not _CALLS.match(piece):
        return bool(_RESETS_PATH.match(piece)) or configures_null(piece)
    # What a block holds is one text in quotes, in which comments are not told from strings here:
    # what looks like one may be none.
    return any(
        _RESETS_PATH.search(each) or configures_null(each)
        for each in (piece, _LIKE_A_COMMENT.sub(b" ", piece))
    )


def configures_null(text: bytes) -> bool:
    """Tell whether *text* gives set_config() a NULL for the path, which takes it back."""
    found = _CONFIGURES_NULL.search(_uncommented(text))
    return found is not None and b"search_path" in found[0].lower()


def is_one(text: bytes) -> bool:
    """Tell whether *text* is of one statement only."""
    return len(split_statements(text)) == 1


_read_cached = lru_cache(maxsize=4096)(_read)


def _skip_space(text: bytes, start: int = 0) -> int:
    """Return where the first statement begins, after white space, comments and semicolons."""
    position = start
    while position < len(text):
        if text[position : position + 1].isspace() or text[position : position + 1] == b";":
            position += 1
        elif text.startswith(b"--", position):
            newline = _NEWLINE.search(text, position)
            position = newline.end() if newline else len(text)
        elif text.startswith(b"/*", position):
            position = _end_of_comment(text, position)
        else:
            break
    return position


def _end_of_comment(text: bytes, start: int) -> int:
    """Return the position after a block comment; PostgreSQL's may be nested."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge.group() == b"/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _lexemes(text: bytes) -> Iterator[tuple[str | None, int, int]]:
    """Yield the kind, start and end of each quoted text, comment and semicolon."""
    position = 0
    while found := _LEXEMES.search(text, position):
        block = found.lastgroup == "block"
        position = _end_of_comment(text, found.start()) if block else found.end()
        yield found.lastgroup, found.start(), position


def split_statements(text: bytes) -> list[bytes]:
    """Return the statements of *text* without the white space and comments that lead them."""
    ends = [start for kind, start, _ in _lexemes(text) if kind == "end"]
    statements: list[bytes] = []
    in_body = False
    begin = 0
    for end in [*ends, len(text)]:
        piece = text[begin:end]
        begin = end + 1
        stripped = piece[_skip_space(piece) :]
        if in_body:
            # Of a function in the SQL standard's form, whose END is no COMMIT.
            statements[-1] += b";" + piece
            in_body = not _CLOSES_BODY.match(stripped)
        elif stripped:
            statements.append(stripped)
            in_body = bool(_OPENS_BODY.match(_code(stripped)))
    return statements


def _code(text: bytes) -> bytes:
    """Return *text* with a space for each quoted text and each comment."""
    return _without(text, lambda kind: True)


def _uncommented(text: bytes) -> bytes:
    """Return *text* with a space for each comment."""
    return _without(text, lambda kind: kind in ("comment", "block"))


def _without(text: bytes, is_left_out: Callable[[str | None], bool]) -> bytes:
    parts = []
    begin = 0
    for kind, start, end in _lexemes(text):
        if is_left_out(kind):
            parts.append(text[begin:start])
            begin = end
    return b" ".join([*parts, text[begin:]])

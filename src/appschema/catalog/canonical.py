"""What PostgreSQL deparses differently once it has read its own text again.

``x IN ('a', 'b')`` on a varchar is shown as ``(ARRAY['a'::character varying, ...])::text[]``, and
what is made of that text as ``ARRAY[('a'::character varying)::text, ...]``, which then stays.
"""

from __future__ import annotations

from .tokens import Token, join, tokenise

_OPEN, _CLOSE = frozenset("(["), frozenset(")]")


def canonical(text: str) -> str:
    """Return deparsed SQL in the form in which PostgreSQL shows it the second time."""
    if "(ARRAY[" not in text:
        return text
    tokens = tokenise(text)
    at = 0
    while at < len(tokens):
        if found := _cast_array(tokens, at):
            end, new = found
            tokens[at:end] = new
        at += 1
    return join(tokens)


def _cast_array(tokens: list[Token], at: int) -> tuple[int, list[Token]] | None:
    """Return where ``(ARRAY[...])::type[]`` ends that begins here, and what it becomes."""
    if [each.text for each in tokens[at : at + 3]] != ["(", "ARRAY", "["]:
        return None
    close = _closing(tokens, at + 2)
    if [each.text for each in tokens[close + 1 : close + 4]] != [")", ":", ":"]:
        return None
    brackets = close + 4
    while brackets < len(tokens) and _may_be_of_type(tokens[brackets]):
        brackets += 1
    if [each.text for each in tokens[brackets : brackets + 2]] != ["[", "]"]:
        return None
    name = tokens[close + 4 : brackets]
    elements = _elements(tokens[at + 3 : close])
    if not name or any(each[0].text in {"ARRAY", "["} for each in elements if each):
        return None
    new = [tokens[at + 1], tokens[at + 2]]
    for number, element in enumerate(elements):
        if number:
            new += [Token("other", ","), Token("space", " ")]
        new += [Token("other", "("), *element, Token("other", ")")]
        new += [Token("other", ":"), Token("other", ":"), *name]
    return brackets + 2, [*new, tokens[close]]


def _may_be_of_type(token: Token) -> bool:
    return token.kind in {"word", "quoted", "number", "space"} or token.text in set("().,")


def _closing(tokens: list[Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at].text in _OPEN) - (tokens[at].text in _CLOSE)
        if not depth:
            return at
    return len(tokens)


def _elements(tokens: list[Token]) -> list[list[Token]]:
    """Return what stands between the commas of this depth."""
    elements: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if token.text == "," and not depth:
            elements.append([])
        elif elements[-1] or not token.is_space:
            elements[-1].append(token)
    return elements

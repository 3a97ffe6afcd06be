"""What differs between two schemas, object by object, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from .order import describe_key
from .slots import describe
from .snapshot import Composite, Domain, Grant, Key, SchemaSnapshot, Table, View

# Objects of their own, which are compared by themselves.
_PARTS = frozenset({"columns", "constraints", "indexes", "triggers", "rules", "policies"})

_ORDER = "order_of_columns"


@dataclass(frozen=True)
class Difference:
    """One thing in which two schemas differ."""

    key: Key
    """The object: its kind, the name of its table if it has one, and its own name."""

    aspect: str | None
    """Which of its attributes differs; None if only one of the schemas has the object."""

    one: Any
    """The value in the first schema; None if it lacks the object."""

    other: Any
    """The value in the second schema; None if it lacks the object."""

    text: str
    """A sentence."""

    def __str__(self) -> str:
        return self.text


def compare(one: SchemaSnapshot, other: SchemaSnapshot) -> tuple[Difference, ...]:
    """Return in what *other* differs from *one*; nothing if and only if the two are equal."""
    return tuple(_differences(one, other))


def _differences(one: SchemaSnapshot, other: SchemaSnapshot) -> Iterator[Difference]:
    ours, theirs = dict(_objects(one)), dict(_objects(other))
    for key in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(key), theirs.get(key)
        if mine is None or its is None:
            has, lacks = (one, other) if its is None else (other, one)
            text = (
                f"{_upper(describe_key(key))} is in schema {has.name!r} and not in {lacks.name!r}."
            )
            yield Difference(key, None, mine, its, text)
            continue
        for aspect, value in mine.items():
            if aspect == _ORDER and set(value) != set(its.get(aspect, value)):
                continue  # A column too many has a difference of its own.
            if value != its.get(aspect):
                yield _difference(key, aspect, value, its.get(aspect), one.name, other.name)
        for aspect, value in its.items():
            if aspect not in mine:
                yield _difference(key, aspect, None, value, one.name, other.name)


def _difference(key: Key, aspect: str, one: Any, other: Any, *names: str) -> Difference:
    """Return how one attribute differs."""
    what = aspect.replace("_", " ")
    text = (
        f"{_upper(describe_key(key))}: {what} is {_shown(one)} in schema {names[0]!r}"
        f" and {_shown(other)} in {names[1]!r}."
    )
    return Difference(key, aspect, one, other, text)


def _objects(snapshot: SchemaSnapshot) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Yield each object's key and attributes."""
    yield (
        ("schema", "itself"),
        {
            "comment": snapshot.comment,
            "grants": snapshot.grants,
            "default_privileges": snapshot.default_privileges,
        },
    )
    plain = (snapshot.collations, snapshot.routines, snapshot.sequences, snapshot.statistics)
    for each in (one for kind in plain for one in kind):
        yield each.key, _attributes(each)
    for holder in (*snapshot.types, *snapshot.relations):
        yield holder.key, _attributes(holder)
        yield from _parts(holder)


def _parts(holder: Any) -> Iterator[tuple[Key, dict[str, Any]]]:
    if isinstance(holder, Composite | Table | View):
        for column in holder.columns:
            yield ("column", holder.name, column.name), _attributes(column)
    if isinstance(holder, Domain | Table):
        for constraint in holder.constraints:
            yield constraint.key, _attributes(constraint)
    for name in ("indexes", "triggers", "rules", "policies"):
        for each in getattr(holder, name, ()):
            yield each.key, _attributes(each)


def _attributes(each: Any) -> dict[str, Any]:
    found = {
        field.name: getattr(each, field.name)
        for field in fields(each)
        if field.compare and field.name not in _PARTS
    }
    found["class"] = type(each).__name__.lower()
    if isinstance(each, Composite | Table | View):
        found[_ORDER] = tuple(column.name for column in each.columns)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Grant):
        verb = "REVOKE" if value.is_revoked else "GRANT"
        column = f" ({value.column})" if value.column else ""
        return f"{verb} {value.privilege}{column} {describe(value.grantee)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return repr(describe(value)) if isinstance(value, str) else repr(value)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]

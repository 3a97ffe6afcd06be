"""What must be true, kept without asking appschema or the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class LeakError(AssertionError):
    """Something was read, written or run in another schema than the current one."""


@dataclass
class Scopes:
    """The scopes that one worker has open, by the documented rule: each takes its own entry out."""

    entries: list[tuple[object, str | None]] = field(default_factory=list)

    @property
    def current(self) -> str | None:
        return self.entries[-1][1] if self.entries else None

    def enter(self, token: object, name: str | None) -> None:
        self.entries.append((token, name))

    def leave(self, token: object) -> None:
        self.entries = [entry for entry in self.entries if entry[0] is not token]

    def activate(self, name: str | None) -> None:
        token = self.entries.pop()[0] if self.entries else None
        self.entries.append((token, name))

    @contextmanager
    def scope(self, name: str | None) -> Iterator[None]:
        token = object()
        self.enter(token, name)
        try:
            yield
        finally:
            self.leave(token)


@dataclass
class Rows:
    """The rows that one worker has in each schema, and how many it ever inserted there.

    Every row is a title, unique in the run. A worker touches no rows but its own.
    """

    titles: dict[str, frozenset[str]] = field(default_factory=dict)
    inserted: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> frozenset[str]:
        return self.titles.get(name, frozenset())

    def add(self, name: str, *titles: str) -> None:
        self.titles[name] = self.of(name) | set(titles)
        self.inserted[name] = self.inserted.get(name, 0) + len(titles)

    def remove(self, name: str, title: str) -> None:
        self.titles[name] = self.of(name) - {title}

    def rename(self, name: str, old: str, new: str) -> None:
        self.titles[name] = self.of(name) - {old} | {new}

    def copy(self) -> Rows:
        return Rows(dict(self.titles), dict(self.inserted))

    def restore(self, before: Rows) -> None:
        self.titles, self.inserted = dict(before.titles), dict(before.inserted)

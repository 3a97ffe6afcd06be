"""The migrations of each app, and in which states of a fleet they are applied."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.migrations.loader import MigrationLoader

from .ledger import Key
from .states import FleetState


@dataclass(frozen=True)
class Row:
    """One migration in a matrix of states."""

    name: str
    marks: tuple[str, ...]
    """For each state ``X``; ``-`` if only what it replaces is recorded; a space."""
    note: str = ""


def make_matrix(
    states: Sequence[FleetState], labels: Iterable[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Yield for each app its rows, in the order of its graph; at the end what is not on disk."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for label in labels:
        yield label, _rows(loader, states, label)


def _rows(loader: MigrationLoader, states: Sequence[FleetState], label: str) -> list[Row]:
    rows = []
    for key in _of_app(loader, label):
        replaces = [(app, name) for app, name in loader.disk_migrations[key].replaces]
        marks = tuple(_mark(key, replaces, state.applied) for state in states)
        note = f"({len(replaces)} squashed migrations)" if replaces else ""
        rows.append(Row(key[1], marks, note))
        if any(mark == " " for mark in marks) and any(
            set(replaces) & state.applied for state in states
        ):
            # Applied in part somewhere: its parts tell what is left.
            rows += [
                Row(name, tuple(_mark((app, name), [], state.applied) for state in states))
                for app, name in replaces
            ]
    unknown = {key for state in states for key in state.unknown if key[0] == label}
    for key in sorted(unknown):
        marks = tuple(_mark(key, [], state.applied) for state in states)
        rows.append(Row(key[1], marks, "(not in this code)"))
    return rows


def _of_app(loader: MigrationLoader, label: str) -> list[Key]:
    found: dict[Key, None] = {}
    for leaf in loader.graph.leaf_nodes(label):
        plan = loader.graph.forwards_plan(leaf)
        found.update(dict.fromkeys(key for key in plan if key[0] == label))
    return list(found)


def _mark(key: Key, replaces: Collection[Key], applied: frozenset[Key]) -> str:
    if key in applied:
        return "X"
    return "-" if replaces and all(each in applied for each in replaces) else " "

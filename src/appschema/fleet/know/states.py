"""Which states the schemas of a fleet are at: a fleet of thousands has few.

From the ledger, with a number of statements that does not depend on the number of schemas.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from appschema.exceptions import MigrationError
from appschema.placement import get_placement

from .entries import is_kept
from .lag import find_missing
from .ledger import Key, Ledger, read_ledger


@dataclass(frozen=True)
class FleetState:
    """Schemas in which the same migrations are applied."""

    schemas: tuple[str, ...]
    applied: frozenset[Key]
    missing: tuple[Key, ...]
    """What is on disk and not applied, in the order in which it would be."""
    unknown: tuple[Key, ...]
    """What is applied and not on disk: of newer code, or of an app that has forgotten it."""

    def __str__(self) -> str:
        return f"{len(self.missing)} to apply" if self.missing else "up to date"

    def as_dict(self) -> dict[str, Any]:
        """Return what a machine is told."""
        return {
            "missing": list(map(".".join, self.missing)),
            "unknown": list(map(".".join, self.unknown)),
        }


@dataclass(frozen=True)
class FleetStates:
    """The states that there are, those of most schemas first."""

    states: tuple[FleetState, ...]
    absent: frozenset[str] = frozenset()
    """Registered schemas that the database does not have."""
    interrupted: frozenset[str] = frozenset()
    """Those in which a migration outside a transaction was interrupted, or is under way."""
    drifting: frozenset[str] = frozenset()
    """Those whose differences were accepted."""

    @cached_property
    def _by_name(self) -> dict[str, FleetState]:
        return {name: state for state in self.states for name in state.schemas}

    def find(self, schema_name: str) -> FleetState | None:
        """Return the state of a schema; None if nothing is known of it."""
        return self._by_name.get(schema_name)

    def tell(self, schema_name: str) -> str:
        """Return in a few words what is to be said of a schema."""
        if schema_name in self.absent:
            return "not in the database"
        state = self.find(schema_name)
        words = [str(state)] if state else ["-"]
        words += ["interrupted"] * (schema_name in self.interrupted)
        words += ["drifts"] * (schema_name in self.drifting)
        return ", ".join(words)


def read_states(using: str, labels: Collection[str] | None = None) -> FleetStates:
    """Return the states of all registered schemas; with *labels*, as far as those apps go.

    Raises ``MigrationError`` where nothing was migrated yet.
    """
    if not is_kept(connections[using]):
        raise MigrationError(
            "What is applied in the schemas is not known before the first migrate of public. Run"
            " 'manage.py migrate --shared'."
        )
    ledger = read_ledger(using, writes=False)
    members, absent = _members(ledger, labels)
    loader = MigrationLoader(None, ignore_no_migrations=True)
    states = [_state(loader, labels, applied, names) for applied, names in members.items()]
    known = [(each.schema_name, each.state) for each in ledger.standings if each.state]
    return FleetStates(
        tuple(sorted(states, key=lambda each: -len(each.schemas))),
        frozenset(absent),
        frozenset(name for name, state in known if state.under_way),
        frozenset(name for name, state in known if state.drift),
    )


def placed_labels() -> list[str]:
    """Return the labels of the apps whose tables are in schemas."""
    placement = get_placement()
    return [each.label for each in apps.get_app_configs() if placement.in_schemas(each.label)]


def _members(
    ledger: Ledger, labels: Collection[str] | None
) -> tuple[dict[frozenset[Key], list[str]], list[str]]:
    shown = {
        digest: frozenset(key for key in applied if labels is None or key[0] in labels)
        for digest, applied in ledger.sets.items()
    }
    members: dict[frozenset[Key], list[str]] = {}
    absent = []
    for each in ledger.standings:
        if each.state is None:
            absent.append(each.schema_name)
        else:
            members.setdefault(shown[each.state.applied], []).append(each.schema_name)
    return members, absent


def _state(
    loader: MigrationLoader,
    labels: Collection[str] | None,
    applied: frozenset[Key],
    names: list[str],
) -> FleetState:
    placed = set(placed_labels())
    wanted = placed if labels is None else placed & set(labels)
    missing = find_missing(loader, applied, wanted.__contains__)
    unknown = sorted(applied - loader.disk_migrations.keys())
    return FleetState(tuple(names), applied, tuple(missing), tuple(unknown))

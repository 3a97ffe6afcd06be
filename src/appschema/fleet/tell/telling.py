"""What a run tells while it goes on: a bar on a terminal, lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from appschema.fleet.know.ledger import Falsehood
from appschema.fleet.plan import SchemaPlan
from appschema.fleet.result import NOT_BEGUN, REPLAYED, UP_TO_DATE, Result

from .history import describe_error

Write = Callable[[str], Any]

_NAMES_TOLD = 5


class Teller(Protocol):
    """Tells of each result, and of the end."""

    def expect(self, number: int) -> None:
        """So many more schemas are to be done."""

    def tell(self, result: Result) -> None:
        """Tell of one schema."""

    def say(self, sentence: str) -> None:
        """Tell something else that a person wants to know."""

    def close(self) -> None:
        """All is done, or given up."""


class Lines:
    """A line for each schema that was migrated; those of public are Django's."""

    def __init__(self, write: Write, write_error: Write, *, verbosity: int) -> None:
        self._write = write
        self._write_error = write_error
        self._verbosity = verbosity

    def expect(self, number: int) -> None:
        """Nothing is told of what is to come."""

    def tell(self, result: Result) -> None:
        """Write a line."""
        if result.error is not None:
            self._write_error(f"\nFailed in {result.schema_name}: {describe_error(result.error)}")
        elif (
            (self._verbosity >= 1 and result.how == REPLAYED)
            or self._verbosity > 1
            or (self._verbosity == 1 and ":" in result.how)
        ):
            self._write(describe(result))

    def say(self, sentence: str) -> None:
        """Write it."""
        if self._verbosity >= 1:
            self._write(sentence)

    def close(self) -> None:
        """Nothing is left open."""


class Bar:
    """A bar with the rate and the time that is left; all else that is told stands above it."""

    def __init__(self, write: Write, write_error: Write) -> None:
        self._write = write
        self._write_error = write_error
        self._bar: Any = None

    def expect(self, number: int) -> None:
        """Lengthen the bar, or begin it: not before, since public's lines are Django's."""
        if self._bar is None:
            from tqdm import tqdm  # noqa: PLC0415 - an extra, which not everybody has

            self._bar = tqdm(total=0, unit=" schemas", dynamic_ncols=True)
        self._bar.total += number
        self._bar.refresh()

    def tell(self, result: Result) -> None:
        """Move the bar."""
        if result.error is not None:
            self._above(
                self._write_error, f"Failed in {result.schema_name}: {describe_error(result.error)}"
            )
        self.move()

    def move(self) -> None:
        """Move the bar by one schema; public and what was not begun were not expected."""
        if self._bar is not None and self._bar.n < self._bar.total:
            self._bar.update()

    def say(self, sentence: str) -> None:
        """Write it above the bar."""
        self._above(self._write, sentence)

    def _above(self, write: Write, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        write(text)
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class JsonLines:
    """One object in one line for each schema, as it is done."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def expect(self, number: int) -> None:
        """Nothing is told of what is to come."""

    def tell(self, result: Result) -> None:
        """Write a line."""
        self._write(json.dumps(as_dict(result)))

    def say(self, sentence: str) -> None:
        """Machines are not told."""

    def close(self) -> None:
        """Nothing is left open."""


def has_bar() -> bool:
    """Tell whether the library for the bar is installed."""
    return find_spec("tqdm") is not None


def describe(result: Result) -> str:
    """Return a line about a schema."""
    if result.status in (UP_TO_DATE, NOT_BEGUN):
        return f"{result.schema_name}: {result.status}"
    number = len(result.applied)
    what = f"{number} migration{'s' if number != 1 else ''}" if number else "rows of models"
    how = f", {result.how}" if result.how else ""
    return f"{result.schema_name}: {what}{how}, {result.seconds:.3f} s"


def tell_names(names: Sequence[str]) -> str:
    """Return how many schemas there are, and the first of them."""
    number = len(names)
    more = f", ... and {number - _NAMES_TOLD} more" if number > _NAMES_TOLD else ""
    return f"{number} schema{'s' if number != 1 else ''}: {', '.join(names[:_NAMES_TOLD])}{more}"


def as_dict(result: Result) -> dict[str, Any]:
    """Return what a machine is told of a schema."""
    return {
        "schema": result.schema_name,
        "status": result.status,
        "migrations": list(result.applied),
        "seconds": round(result.seconds, 4),
        "how": result.how,
        "error": describe_error(result.error) or None,
    }


def plan_as_dict(plan: SchemaPlan, members: Sequence[str]) -> dict[str, Any]:
    """Return what a machine is told of a plan, and of the schemas that it is for."""
    steps = [
        {"migration": str(migration), "backwards": backwards} for migration, backwards in plan.steps
    ]
    return {"count": len(members), "schemas": list(members), "plan": steps}


def describe_falsehood(each: Falsehood) -> str:
    """Return in words what public believed of a schema."""
    told = [
        f"{what} {', '.join(sorted(map('.'.join, keys)))}"
        for what, keys in (
            ("public did not know of", each.found - each.told),
            ("public took for applied", each.told - each.found),
        )
        if keys
    ]
    return f"{each.schema_name}: {'; '.join(told)}"


def falsehood_as_dict(each: Falsehood) -> dict[str, Any]:
    """Return what a machine is told of it."""
    return {
        "schema": each.schema_name,
        "unknown": sorted(map(".".join, each.found - each.told)),
        "untrue": sorted(map(".".join, each.told - each.found)),
    }

"""What a run tells while it goes on: a bar on a terminal, lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from .history import describe_error
from .result import UP_TO_DATE, Result

Write = Callable[[str], Any]


class Teller(Protocol):
    """Tells of each result, and of the end."""

    def expect(self, number: int) -> None:
        """So many more schemas are to be done."""

    def tell(self, result: Result) -> None:
        """Tell of one schema."""

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
            (self._verbosity >= 1 and result.how.startswith("replayed"))
            or self._verbosity > 1
            or (self._verbosity == 1 and ":" in result.how)
        ):
            self._write(describe(result))

    def close(self) -> None:
        """Nothing is left open."""


class Bar:
    """A bar with the rate and the time that is left; failures stand above it."""

    def __init__(self, write_error: Write) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - an extra, which not everybody has

        self._bar = tqdm(total=0, unit=" schemas", dynamic_ncols=True, leave=True)
        self._write_error = write_error

    def expect(self, number: int) -> None:
        """Lengthen the bar."""
        self._bar.total += number
        self._bar.refresh()

    def tell(self, result: Result) -> None:
        """Move the bar."""
        if result.error is not None:
            self._bar.clear()
            self._write_error(f"Failed in {result.schema_name}: {describe_error(result.error)}")
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
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

    def close(self) -> None:
        """Nothing is left open."""


def has_bar() -> bool:
    """Tell whether the library for the bar is installed."""
    return find_spec("tqdm") is not None


def describe(result: Result) -> str:
    """Return a line about a schema."""
    if result.status == UP_TO_DATE:
        return f"{result.schema_name}: up to date"
    number = len(result.applied)
    what = f"{number} migration{'s' if number != 1 else ''}" if number else "rows of models"
    return f"{result.schema_name}: {what}, {result.how}, {result.seconds:.3f} s"


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

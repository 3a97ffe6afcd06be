"""What is told of the results of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from appschema.exceptions import MigrationError
from appschema.fleet.result import FAILED, NOT_BEGUN, STATUSES, Result

_NAMES_TOLD = 20


class Tally:
    """Counts results as they come, and keeps no more of them than is told at the end."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._failed: list[str] = []
        self._first: Exception | None = None

    def count(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results that are counted."""
        for result in results:
            self.counts[result.status] += 1
            if result.error is not None:
                self._first = self._first or result.error
                if len(self._failed) <= _NAMES_TOLD:
                    self._failed.append(result.schema_name)
            yield result

    def __str__(self) -> str:
        told = (f"{self.counts[each]} {each}" for each in STATUSES if self.counts[each])
        return ", ".join(told) or "no schemas"

    def raise_for_failures(self) -> None:
        """Raise if there was a failure; a single one as it is, with its traceback."""
        failed, total = self.counts[FAILED], self.counts.total()
        if not failed:
            return
        assert self._first is not None
        if total == 1:
            raise self._first
        names = ", ".join(self._failed[:_NAMES_TOLD]) + (", ..." if failed > _NAMES_TOLD else "")
        left = self.counts[NOT_BEGUN]
        others = f"{left} were not begun." if left else "The others are done."
        raise MigrationError(
            f"Failed in {failed} of {total}: {names}. {others}"
            " Mend the cause and run the same command again."
        ) from self._first


def raise_for_failures(results: Iterable[Result], write: Callable[[str], object]) -> list[Result]:
    """Return the results if all are good; tell each failure as it comes, and raise at the end.

    A single failure is raised as it is, with its traceback.
    """
    done, tally = [], Tally()
    for result in tally.count(results):
        done.append(result)
        if result.error is not None:
            write(f"\nFailed in {result.schema_name}: {result.error}")
    tally.raise_for_failures()
    return done

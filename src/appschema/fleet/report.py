"""What is told of the results of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from appschema.exceptions import MigrationError

from .execute import Result


def raise_for_failures(results: Iterable[Result], write: Callable[[str], object]) -> list[Result]:
    """Return the results if all are good; tell each failure as it comes, and raise at the end.

    A single failure is raised as it is, with its traceback.
    """
    done = []
    for result in results:
        done.append(result)
        if result.error is not None:
            write(f"\nFailed in {result.schema_name}: {result.error}")
    failed = [result for result in done if result.error is not None]
    if failed and len(done) == 1:
        raise failed[0].error  # type: ignore[misc]
    if failed:
        names = ", ".join(result.schema_name for result in failed)
        raise MigrationError(
            f"Failed in {len(failed)} of {len(done)}: {names}. The others are done."
            " Mend the cause and run the same command again."
        ) from failed[0].error
    return done

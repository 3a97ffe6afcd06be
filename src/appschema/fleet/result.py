"""What became of one schema."""

from __future__ import annotations

from dataclasses import dataclass

DJANGO, REPLAYED = "django", "replayed"

MIGRATED, UP_TO_DATE, FAILED, NOT_BEGUN = "migrated", "up to date", "failed", "not begun"
STATUSES = (MIGRATED, UP_TO_DATE, FAILED, NOT_BEGUN)


@dataclass(frozen=True)
class Result:
    """What became of one schema."""

    schema_name: str
    applied: tuple[str, ...] = ()
    """The migrations, as ``app.name``."""
    error: Exception | None = None
    seconds: float = 0.0
    how: str = ""
    """``django`` or ``replayed``, with a reason if it was to be replayed; empty if nothing was done."""
    is_begun: bool = True
    """False if the run was stopped before."""

    @property
    def status(self) -> str:
        """One of ``STATUSES``."""
        if not self.is_begun:
            return NOT_BEGUN
        if self.error is not None:
            return FAILED
        return MIGRATED if self.applied or self.how else UP_TO_DATE

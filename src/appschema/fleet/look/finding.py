"""A finding: one thing that is wrong in a database, where, and how it is mended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; a command prints it."""

    level: str
    """``error``: something fails, or could show what it must not. ``warning``: it can wait."""

    kind: str
    """A word for machines, such as ``schema-missing``; docs/how-to/check-a-live-database.md has all."""

    where: str
    """The schema's name, or ``the server``."""

    what: str
    """A sentence."""

    mend: str
    """The next command, SQL or setting."""


error = partial(Finding, ERROR)
warning = partial(Finding, WARNING)

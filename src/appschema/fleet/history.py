"""The last runs of ``migrate``: who, when, what, and what became of each schema."""

from __future__ import annotations

import getpass
import socket
from collections import Counter
from typing import Any

from django.db import connections
from django.utils import timezone

from appschema.context import as_owner, schema_context
from appschema.models import FleetResult, FleetRun
from appschema.names import PUBLIC

from .ledger import is_kept
from .result import FAILED, UP_TO_DATE, Result

RUNS_KEPT = 10
_RESULTS_PER_STATEMENT = 100


class RunLog:
    """Writes one run down while it goes on, so that one that is killed leaves its trace."""

    def __init__(self, using: str, what: str) -> None:
        self._using = using
        self._run = FleetRun(who=_who(), what=what, began=timezone.now())
        self._waiting: list[FleetResult] = []
        self.counts: Counter[str] = Counter()

    def note(self, result: Result) -> None:
        """Note what became of a schema; those with nothing to do are only counted."""
        self.counts[result.status] += 1
        if result.status != UP_TO_DATE:
            self._waiting.append(
                FleetResult(
                    schema_name=result.schema_name,
                    status=result.status,
                    applied=list(result.applied),
                    seconds=result.seconds,
                    error=describe_error(result.error),
                )
            )
        if len(self._waiting) >= _RESULTS_PER_STATEMENT:
            self._write()

    def end(self) -> None:
        """Write what is left, and forget the oldest runs."""
        self._run.ended = timezone.now()
        self._run.counts = dict(self.counts)
        self._write()
        with schema_context(PUBLIC), as_owner():
            runs = FleetRun.objects.using(self._using)
            if is_kept(connections[self._using]):
                runs.filter(id__lte=(self._run.pk or 0) - RUNS_KEPT).delete()

    def _write(self) -> None:
        # The registry is made by the first run itself.
        if not is_kept(connections[self._using]):
            return
        with schema_context(PUBLIC), as_owner():
            self._run.save(using=self._using)
            for each in self._waiting:
                each.run = self._run
            FleetResult.objects.using(self._using).bulk_create(self._waiting)
        self._waiting = []


def find_last_run(using: str) -> FleetRun | None:
    """Return the last run, if there is any."""
    with schema_context(PUBLIC), as_owner():
        if not is_kept(connections[using]):
            return None
        return FleetRun.objects.using(using).first()


def read_results(run: FleetRun, using: str) -> list[FleetResult]:
    """Return what became of the schemas in a run, but of those with nothing to do."""
    with schema_context(PUBLIC), as_owner():
        return list(FleetResult.objects.using(using).filter(run=run))


def failed_schemas(using: str) -> list[str]:
    """Return the schemas that failed in the last run."""
    run = find_last_run(using)
    if run is None:
        return []
    found = [each.schema_name for each in read_results(run, using) if each.status == FAILED]
    return [name for name in found if name != PUBLIC]


def describe_error(error: Exception | None) -> str:
    """Return the error in words, with its kind where they do not tell it."""
    if error is None:
        return ""
    text = str(error).strip()
    return text or type(error).__name__


def _who() -> str:
    try:
        user: Any = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

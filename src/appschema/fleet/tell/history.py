"""The last runs of ``migrate``: who, when, what, and what became of each schema."""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from appschema.context import as_owner, schema_context
from appschema.exceptions import MigrationError
from appschema.fleet.know.entries import is_kept, table_of
from appschema.fleet.origins import own_schemas
from appschema.fleet.result import FAILED, UP_TO_DATE, Result
from appschema.fleet.selection import read_registered
from appschema.models import FleetResult, FleetRun
from appschema.names import PUBLIC

RUNS_KEPT = 10
_RESULTS_PER_STATEMENT = 100
_SECONDS_PER_STATEMENT = 1.0
_RESULTS_READ = 1000


class RunLog:
    """Writes one run down while it goes on, so that one that is killed leaves its trace.

    What was done in the last second before a kill may be missing in it.
    """

    def __init__(self, using: str, what: str) -> None:
        self._using = using
        self._run = FleetRun(who=_who(), what=what, began=timezone.now())
        self._waiting: list[Result] = []
        self._written: float | None = None
        self.counts: Counter[str] = Counter()

    def note(self, result: Result) -> None:
        """Note what became of a schema; those with nothing to do are only counted."""
        self.counts[result.status] += 1
        if result.status != UP_TO_DATE:
            self._waiting.append(result)
        if self._is_due():
            self._write()

    def _is_due(self) -> bool:
        return (
            self._written is None
            or len(self._waiting) >= _RESULTS_PER_STATEMENT
            or time.monotonic() - self._written > _SECONDS_PER_STATEMENT
        )

    def end(self) -> None:
        """Write what is left, and forget the oldest runs."""
        self._run.ended = timezone.now()
        if not is_kept(connections[self._using]):
            return
        self._write()
        with schema_context(PUBLIC), as_owner():
            runs = FleetRun.objects.using(self._using)
            runs.filter(id__lte=self._run.pk - RUNS_KEPT).delete()

    def _write(self) -> None:
        # The registry is made by the first run itself.
        if not is_kept(connections[self._using]):
            return
        self._run.counts = dict(self.counts)
        with schema_context(PUBLIC), as_owner(), transaction.atomic(using=self._using):
            self._run.save(using=self._using)
            self._copy()
        self._waiting = []
        self._written = time.monotonic()

    def _copy(self) -> None:
        # Instances of the model would take as long to make as all else that is done for a schema here.
        columns = "run_id, schema_name, status, applied, seconds, error"
        with (
            connections[self._using].cursor() as cursor,
            cursor.copy(f"COPY {table_of(FleetResult)} ({columns}) FROM STDIN") as copy,
        ):
            for each in self._waiting:
                applied, error = json.dumps(each.applied), describe_error(each.error)
                copy.write_row(
                    (self._run.pk, each.schema_name, each.status, applied, each.seconds, error)
                )


def find_last_run(using: str) -> FleetRun | None:
    """Return the last run, if there is any."""
    with schema_context(PUBLIC), as_owner():
        if not is_kept(connections[using]):
            return None
        return FleetRun.objects.using(using).first()


def read_results(run: FleetRun, using: str, status: str | None = None) -> Iterator[FleetResult]:
    """Yield what became of the schemas in a run, but of those with nothing to do.

    All of them, or those of one status; some at a time.
    """
    wanted = {} if status is None else {"status": status}
    last = 0
    while True:
        with schema_context(PUBLIC), as_owner():
            results = FleetResult.objects.using(using).filter(run=run, id__gt=last, **wanted)
            some = list(results.order_by("id")[:_RESULTS_READ])
        yield from some
        if len(some) < _RESULTS_READ:
            return
        last = some[-1].id


def failed_schemas(using: str) -> list[str]:
    """Return the schemas that failed in the last run and are still registered, and public if it did.

    Raises ``MigrationError`` if the template or a spare failed: those are migrated with the whole.
    """
    run = find_last_run(using)
    if run is None:
        return []
    failed = [each.schema_name for each in read_results(run, using, FAILED)]
    if own := set(failed).intersection(own_schemas(using)):
        raise MigrationError(
            f"Schema {min(own)!r}, which new schemas come from, failed in the last run. Run 'manage.py"
            " migrate' without --only-failed: it is migrated with the whole fleet only."
        )
    with schema_context(PUBLIC), as_owner():
        known = {PUBLIC, *read_registered(using)}
    return [name for name in failed if name in known]


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

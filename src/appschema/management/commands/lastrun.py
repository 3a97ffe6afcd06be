"""``manage.py lastrun``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from appschema.fleet.result import FAILED, STATUSES
from appschema.fleet.tell.history import find_last_run, read_results
from appschema.models import FleetResult, FleetRun
from appschema.router import is_ours


class Command(BaseCommand):
    help = "Tells of the last run of migrate: who, when, what, and which schemas failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help="One JSON object in each line: one for each schema, and the run in the last.",
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        run = find_last_run(using) if is_ours(connections[using]) else None
        if run is None:
            raise CommandError(
                f"The database {using!r} knows of no run of 'manage.py migrate'. Run it, or name"
                " another database with --database."
            )
        if options["json"]:
            self._print_json(run, using)
        else:
            self._print(run, using)

    def _print_json(self, run: FleetRun, using: str) -> None:
        for each in read_results(run, using):
            self.stdout.write(json.dumps(_describe(each)))
        told = {
            "who": run.who,
            "what": run.what,
            "began": run.began.isoformat(),
            "ended": run.ended and run.ended.isoformat(),
            "summary": {status: run.counts.get(status, 0) for status in STATUSES},
        }
        self.stdout.write(json.dumps(told))

    def _print(self, run: FleetRun, using: str) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(run.what))
        began = f"{run.began:%Y-%m-%d %H:%M:%S %Z}".strip()
        if run.ended is None:
            self.stdout.write(
                f"Begun by {run.who} at {began}. It has not ended: it is under way still, or was"
                " killed. Then run the same command again to go on."
            )
        else:
            seconds = (run.ended - run.began).total_seconds()
            self.stdout.write(f"By {run.who} at {began}, in {seconds:.1f} s.")
        told = (f"{run.counts[each]} {each}" for each in STATUSES if run.counts.get(each))
        self.stdout.write(f"Schemas, public among them: {', '.join(told) or 'none'}.")
        for each in read_results(run, using, FAILED):
            self.stdout.write(self.style.ERROR(f"Failed in {each.schema_name}: {each.error}"))


def _describe(result: FleetResult) -> dict[str, Any]:
    return {
        "schema": result.schema_name,
        "status": result.status,
        "migrations": result.applied,
        "seconds": round(result.seconds, 4),
        "error": result.error or None,
    }

"""``manage.py diffschemas``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from appschema.fleet.know.drift import Drift, find_drift, find_origin
from appschema.fleet.selection import read_selection, select_waves
from appschema.fleet.tell.history import describe_error
from appschema.fleet.tell.telling import Bar, has_bar
from appschema.router import is_ours

ALIKE, DIFFERS, FAILED = "alike", "differs", "failed"


class Command(BaseCommand):
    help = (
        "Compares the schemas with the template, object by object, and tells in what they differ."
        " Changes nothing. Ends with exit code 1 if any differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        several: dict[str, Any] = {"action": "append", "metavar": "NAME"}
        parser.add_argument(
            "--schema",
            **several,
            dest="schemas",
            help="Compare this schema only; may be given more than once.",
        )
        parser.add_argument("--exclude", **several, help="Leave this schema out.")
        parser.add_argument(
            "--with",
            dest="origin",
            metavar="NAME",
            help="Compare with this schema. By default with the template, or else the first schema.",
        )
        parser.add_argument(
            "--jobs",
            type=int,
            default=1,
            metavar="N",
            help="How many schemas at once, each on a connection of its own (default: 1).",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object in each line.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        if not is_ours(connections[using]):
            raise CommandError(
                f"The database {using!r} has no ENGINE of appschema, and so no schemas. Name another"
                " with --database."
            )
        selection = read_selection(options["schemas"], exclude=options["exclude"])
        origin = find_origin(using, options["origin"])
        names = [name for wave in select_waves(using, selection) for name in wave]
        bar = self._find_bar(options, len(names))
        say = self.stdout.write if bar is None else bar.say
        counts: Counter[str] = Counter()
        try:
            for drift in find_drift(using, names, origin, jobs=options["jobs"]):
                status = _status(drift)
                counts[status] += 1
                if options["json"]:
                    say(json.dumps(_describe(drift, status)))
                elif status != ALIKE:
                    say(self._tell(drift, origin))
                if bar is not None:
                    bar.move()
        finally:
            if bar is not None:
                bar.close()
        self._conclude(counts, origin, as_json=options["json"])

    def _find_bar(self, options: dict[str, Any], number: int) -> Bar | None:
        if options["json"] or not self.stderr.isatty() or not has_bar():
            return None
        bar = Bar(self.stdout.write, self.stderr.write)
        bar.expect(number)
        return bar

    def _tell(self, drift: Drift, origin: str) -> str:
        name = drift.schema_name
        if drift.error is not None:
            return self.style.ERROR(f"{name}: cannot be read: {describe_error(drift.error)}")
        number = len(drift.differences)
        title = f"{name}: {number} difference{'s' if number != 1 else ''} from {origin}"
        if drift.lags:
            title += ", and other migrations are applied in it"
        if drift.is_accepted:
            title += ", and that it differs was accepted"
        lines = [self.style.WARNING(title), *(f"  {each.text}" for each in drift.differences)]
        return "\n".join(lines)

    def _conclude(self, counts: Counter[str], origin: str, *, as_json: bool) -> None:
        told = {status: counts[status] for status in (ALIKE, DIFFERS, FAILED)}
        if as_json:
            self.stdout.write(json.dumps({"summary": told, "with": origin}))
        summary = ", ".join(f"{number} {status}" for status, number in told.items())
        sentence = f"Compared {counts.total()} schemas with {origin}: {summary}."
        if counts[DIFFERS] or counts[FAILED]:
            raise CommandError(sentence)
        if not as_json:
            self.stdout.write(self.style.SUCCESS(sentence))


def _status(drift: Drift) -> str:
    if drift.error is not None:
        return FAILED
    return DIFFERS if drift.differences else ALIKE


def _describe(drift: Drift, status: str) -> dict[str, Any]:
    return {
        "schema": drift.schema_name,
        "status": status,
        "lags": drift.lags,
        "accepted": drift.is_accepted,
        "differences": [
            {"object": list(each.key), "aspect": each.aspect, "text": each.text}
            for each in drift.differences
        ],
        "error": describe_error(drift.error) or None,
    }

"""``manage.py checkschemas``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections
from psycopg import errors

from appschema.fleet.look import find_all
from appschema.fleet.look.finding import ERROR, Finding
from appschema.fleet.selection import read_selection
from appschema.router import is_ours


class Command(BaseCommand):
    help = (
        "Looks at a live database: are the registry, the schemas and their tables what they should"
        " be? Changes nothing. Ends with exit code 1 if there are errors, with 0 if there are only"
        " warnings."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--schema",
            action="append",
            dest="schemas",
            metavar="NAME",
            help="Look at this schema only; may be given more than once.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        if not is_ours(connections[using]):
            raise CommandError(
                f"The database {using!r} has no ENGINE of appschema, and so no schemas. Name another"
                " with --database."
            )
        findings = self._find(using, options["schemas"])
        failures = sum(finding.level == ERROR for finding in findings)
        warnings = len(findings) - failures
        if options["json"]:
            found = [asdict(finding) for finding in findings]
            report = {"errors": failures, "warnings": warnings, "findings": found}
            self.stdout.write(json.dumps(report, indent=2))
        else:
            self._print(findings)
        if failures:
            raise CommandError(f"Errors: {failures}, warnings: {warnings}.")
        if warnings and not options["json"]:
            self.stdout.write(f"Errors: 0, warnings: {warnings}.")

    def _find(self, using: str, schemas: list[str] | None) -> list[Finding]:
        try:
            return find_all(using, read_selection(schemas))
        except ProgrammingError as error:
            cause = error.__cause__
            if isinstance(cause, errors.UndefinedTable | errors.InvalidSchemaName):
                raise CommandError(
                    f"A schema was dropped while it was looked at: {cause.diag.message_primary}."
                    " Run the command again."
                ) from error
            raise

    def _print(self, findings: list[Finding]) -> None:
        if not findings:
            self.stdout.write(self.style.SUCCESS("Nothing is wrong."))
        for finding in findings:
            style = self.style.ERROR if finding.level == ERROR else self.style.WARNING
            self.stdout.write(style(f"{finding.where}: {finding.level} ({finding.kind})"))
            self.stdout.write(f"  {finding.what}\n  {finding.mend}\n")

"""``manage.py purgeschemas [NAME ...]``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import ProtectedError, RestrictedError

from appschema.fleet.result import Result
from appschema.fleet.tell.report import raise_for_failures
from appschema.provisioning import due_schemas
from appschema.provisioning.purge import purge_schemas


class Command(BaseCommand):
    help = (
        "Drops for good, with all rows, the dropped schemas whose time is over"
        " (APPSCHEMA_DROP_GRACE), or those that are named. Interrupted, run it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="A dropped schema.")
        parser.add_argument(
            "--now", action="store_true", help="Purge those that are named before their time."
        )
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="Do not ask."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        names, using = list(dict.fromkeys(options["names"])), options["database"]
        if options["now"] and not names:
            raise CommandError("Name the schemas that are to be purged before their time.")
        asked = names or due_schemas(using=using)
        if options["interactive"] and asked:
            self._ask(asked)
        self._report(purge_schemas(asked, now=options["now"], using=using), options)

    def _report(self, results: Iterator[Result], options: dict[str, Any]) -> None:
        told: list[Result] = []

        def tell() -> Iterator[Result]:
            for result in results:
                told.append(result)
                if result.error is None and options["verbosity"] > 0 and not options["json"]:
                    self.stdout.write(self.style.SUCCESS(f"Purged schema {result.schema_name}."))
                yield result

        try:
            raise_for_failures(tell(), self.stderr.write)
        except (ProtectedError, RestrictedError) as error:
            raise CommandError(str(error.args[0])) from error
        finally:
            if options["json"]:
                self.stdout.write(json.dumps([_describe(result) for result in told]))
        if not told and options["verbosity"] > 0 and not options["json"]:
            self.stdout.write("No dropped schema is due.")

    def _ask(self, names: list[str]) -> None:
        count = len(names)
        question = (
            f"All rows of {', '.join(names)} will be lost. Type the number of schemas, {count}, to"
            " purge them: "
        )
        try:
            typed = input(question)
        except EOFError:
            typed = ""
        if typed != str(count):
            raise CommandError(f"Nothing was changed: the number {count} was not typed.")


def _describe(result: Result) -> dict[str, Any]:
    error = None if result.error is None else str(result.error)
    return {"name": result.schema_name, "purged": error is None, "error": error}

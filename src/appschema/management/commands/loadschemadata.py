"""``manage.py loadschemadata FIXTURE ...``: loaddata in the schemas."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.fleet.result import Result
from appschema.fleet.run import run_each
from appschema.fleet.selection import select_schemas
from appschema.fleet.tell.report import raise_for_failures


class Command(BaseCommand):
    help = "Loads fixtures into every schema, or into those that --schema names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("fixtures", nargs="+", metavar="FIXTURE", help="As for loaddata.")
        parser.add_argument("--schema", action="append", dest="schemas", metavar="NAME")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using, verbosity = options["database"], options["verbosity"]

        def act(name: str) -> Result:
            if verbosity > 0:
                self.stdout.write(f"{name}: ", ending="")
            call_command(
                "loaddata",
                *options["fixtures"],
                database=using,
                verbosity=verbosity,
                stdout=self.stdout,
            )
            return Result(name)

        names = select_schemas(using, options["schemas"])
        raise_for_failures(run_each(names, act), self.stderr.write)

"""``manage.py schema_exec FILE.sql``: a file of SQL in each schema."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from appschema.context import as_owner
from appschema.fleet.result import Result
from appschema.fleet.run import run_each
from appschema.fleet.selection import select_schemas
from appschema.fleet.tell.report import raise_for_failures


class Command(BaseCommand):
    help = "Runs a file of SQL in every schema, or in those that --schema names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="A file of SQL statements, in UTF-8.")
        parser.add_argument("--schema", action="append", dest="schemas", metavar="NAME")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    @as_owner()
    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        try:
            text = options["file"].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                f"The file {str(options['file'])!r} cannot be read: {error}."
            ) from error

        def act(name: str) -> Result:
            with transaction.atomic(using=using), connections[using].cursor() as cursor:
                cursor.execute(text)
            if options["verbosity"] > 0:
                self.stdout.write(f"{name}: done")
            return Result(name)

        names = select_schemas(using, options["schemas"])
        raise_for_failures(run_each(names, act), self.stderr.write)

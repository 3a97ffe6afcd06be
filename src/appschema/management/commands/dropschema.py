"""``manage.py dropschema NAME``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from appschema.exceptions import InvalidSchemaName
from appschema.provisioning import drop_schema


class Command(BaseCommand):
    help = "Drops a schema with all its tables and rows, and its registry row."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="Do not ask."
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if options["interactive"]:
            question = f"All rows of {name!r} will be lost. Type its name to drop it: "
            if input(question) != name:
                raise CommandError(f"Nothing was changed: the name {name!r} was not typed.")
        try:
            drop_schema(name, using=options["database"])
        except InvalidSchemaName as error:
            raise CommandError(str(error)) from error
        if options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Dropped schema {name}."))

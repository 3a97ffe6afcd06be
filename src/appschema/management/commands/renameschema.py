"""``manage.py renameschema NAME NEW_NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from appschema.isolation.storage import directory_of
from appschema.provisioning import rename_schema


class Command(BaseCommand):
    help = "Renames a schema, its registry row and its role. Public names stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument("new_name", help="The name that it gets.")
        parser.add_argument(
            "--reuse-name",
            action="store_true",
            help="Also if a purged or renamed schema was called so: its files and caches are gone.",
        )
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="Do not ask."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        name, new_name = options["name"], options["new_name"]
        if options["interactive"]:
            self._ask(name)
        rename_schema(name, new_name, reuse_name=options["reuse_name"], using=options["database"])
        files = {"from": directory_of(name), "to": directory_of(new_name)}
        if options["json"]:
            told = {"name": new_name, "old_name": name, "files": files}
            self.stdout.write(json.dumps(told))
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Renamed schema {name} to {new_name}."))
            self.stdout.write(
                "Its users have to log in again, and its cache is empty. With SchemaStorage, move its"
                f" files: directory {files['from']} to {files['to']}."
            )

    def _ask(self, name: str) -> None:
        question = (
            f"The users of {name!r} will be logged out, links that were signed for them end, and its"
            " files have to be moved by you. Type its name to rename it: "
        )
        try:
            typed = input(question)
        except EOFError:
            typed = ""
        if typed != name:
            raise CommandError(f"Nothing was changed: the name {name!r} was not typed.")

"""``manage.py cloneschema SOURCE NAME PUBLIC_NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import clone_schema


class Command(BaseCommand):
    help = "Creates a schema that is like another, without its rows or with them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="The name of the schema that is copied.")
        parser.add_argument("name", help="The name of the new schema.")
        parser.add_argument("public_name", help="The name that it is reached by.")
        parser.add_argument(
            "--data", action="store_true", help="Copy all rows too. Files are not copied."
        )
        parser.add_argument("--inactive", action="store_true", help="Do not serve it yet.")
        parser.add_argument(
            "--reuse-name",
            action="store_true",
            help="Also if a purged or renamed schema was called so: its files and caches are gone.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        source = options["source"]
        schema = clone_schema(
            source,
            options["name"],
            options["public_name"],
            with_data=options["data"],
            is_active=not options["inactive"],
            reuse_name=options["reuse_name"],
            using=options["database"],
        )
        if options["json"]:
            told = {"name": schema.name, "public_name": schema.public_name, "source": source}
            self.stdout.write(json.dumps({**told, "is_active": schema.is_active}))
        elif options["verbosity"] > 0:
            what = "with all its rows" if options["data"] else "without its rows"
            self.stdout.write(
                self.style.SUCCESS(
                    f"Created schema {schema.name} like {source}, {what}, reached by"
                    f" {schema.public_name}. Its files, if it has any, were not copied."
                )
            )

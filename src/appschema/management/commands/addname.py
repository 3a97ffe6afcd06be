"""``manage.py addname NAME PUBLIC_NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import add_public_name


class Command(BaseCommand):
    help = "Lets a schema be reached by one more public name, or makes one its primary name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument("public_name", help="The name that it is reached by: www.acme.example.")
        parser.add_argument(
            "--primary", action="store_true", help="Make it the primary one; the others stay."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        row = add_public_name(
            name, options["public_name"], primary=options["primary"], using=options["database"]
        )
        if options["json"]:
            told = {"name": name, "public_name": row.public_name, "is_primary": row.is_primary}
            self.stdout.write(json.dumps(told))
        elif options["verbosity"] > 0:
            end = ", its primary name" if row.is_primary else ""
            self.stdout.write(
                self.style.SUCCESS(f"Schema {name} is reached by {row.public_name}{end}.")
            )

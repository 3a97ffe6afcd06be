"""``manage.py activateschema NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import activate_schema


class Command(BaseCommand):
    help = "Serves an inactive schema again; its notice is taken away."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        row = activate_schema(options["name"], using=options["database"])
        if options["json"]:
            self.stdout.write(json.dumps({"name": row.name, "is_active": row.is_active}))
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Schema {row.name} is served."))

"""``manage.py deactivateschema NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import deactivate_schema


class Command(BaseCommand):
    help = "Stops serving a schema: its visitors get 503 with a notice, or 404 without one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument("--notice", default="", help="What its visitors are told.")
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        row = deactivate_schema(options["name"], options["notice"], using=options["database"])
        if options["json"]:
            told = {"name": row.name, "is_active": row.is_active, "notice": row.notice}
            self.stdout.write(json.dumps(told))
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Schema {row.name} is not served any more."))

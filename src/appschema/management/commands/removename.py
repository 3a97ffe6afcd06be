"""``manage.py removename PUBLIC_NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import remove_public_name


class Command(BaseCommand):
    help = "Lets a public name lead to no schema any more; not a primary one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("public_name", help="The name, such as www.acme.example.")
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        public_name = options["public_name"]
        remove_public_name(public_name, using=options["database"])
        if options["json"]:
            self.stdout.write(json.dumps({"public_name": public_name, "removed": True}))
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"{public_name} leads to no schema any more."))

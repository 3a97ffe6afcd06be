"""``manage.py provisionschemas``: make spares, once or again and again."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections

from appschema.context import schema_context
from appschema.exceptions import AppSchemaError
from appschema.models import Spare
from appschema.names import PUBLIC
from appschema.provisioning import refill_spares


class Command(BaseCommand):
    help = "Makes spares until there are APPSCHEMA_SPARES, which new customers are given at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--watch", action="store_true", help="Look again and again, until it is interrupted."
        )
        parser.add_argument(
            "--interval",
            type=float,
            default=5.0,
            metavar="SECONDS",
            help="How long to wait between two looks, with --watch. 5 seconds by default.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["watch"]:
            self._refill(options)
            return
        while True:
            try:
                self._refill(options)
            except (AppSchemaError, Error) as error:
                # It goes on: a migrate ends, a server comes back.
                self.stderr.write(str(error))
            close_old_connections()
            time.sleep(options["interval"])

    def _refill(self, options: dict[str, Any]) -> None:
        using = options["database"]
        made = refill_spares(using=using)
        if options["watch"] and not made:
            return
        with schema_context(PUBLIC):
            ready = Spare.objects.using(using).count()
        if options["json"]:
            self.stdout.write(json.dumps({"made": made, "ready": ready}))
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Made {made} spares; {ready} are ready."))

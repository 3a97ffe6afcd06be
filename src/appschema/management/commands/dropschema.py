"""``manage.py dropschema NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import ProtectedError, RestrictedError

from appschema.conf import get_config
from appschema.provisioning import drop_schema, purge_schema


class Command(BaseCommand):
    help = (
        "Takes a schema out of service, to be purged later: until then undropschema brings it back."
        " With --now its tables, rows and registry row are dropped at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema.")
        parser.add_argument("--now", action="store_true", help="Purge it at once, for good.")
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="Do not ask."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        name, using = options["name"], options["database"]
        if options["interactive"]:
            self._ask(name, at_once=options["now"])
        row = drop_schema(name, using=using)
        assert row.dropped is not None
        due = row.dropped + get_config().drop_grace
        if options["now"]:
            self._purge(name, using)
        if options["json"]:
            told = {"name": name, "purged": options["now"], "dropped": row.dropped.isoformat()}
            told["due"] = None if options["now"] else due.isoformat()
            self.stdout.write(json.dumps(told))
        elif options["verbosity"] > 0:
            end = "." if options["now"] else self._say_until(name, f"{due:%Y-%m-%d %H:%M}")
            self.stdout.write(self.style.SUCCESS(f"Dropped schema {name}{end}"))

    def _purge(self, name: str, using: str) -> None:
        try:
            purge_schema(name, now=True, using=using)
        except (ProtectedError, RestrictedError) as error:
            raise CommandError(
                f"{error.args[0]} Schema {name!r} is dropped, and was not purged."
            ) from error

    def _say_until(self, name: str, due: str) -> str:
        return (
            f". 'manage.py undropschema {name}' brings it back, until 'manage.py purgeschemas' runs"
            f" after {due}."
        )

    def _ask(self, name: str, *, at_once: bool) -> None:
        loss = "All rows of {!r} will be lost." if at_once else "{!r} will not be served any more."
        try:
            typed = input(f"{loss.format(name)} Type its name to drop it: ")
        except EOFError:
            typed = ""
        if typed != name:
            raise CommandError(f"Nothing was changed: the name {name!r} was not typed.")

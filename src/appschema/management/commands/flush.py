"""``flush``: empty the tables of one schema; or, called by code, those of all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.flush import Command as DjangoFlush
from django.db import connections

from appschema.context import current_schema
from appschema.fleet.flush import flush_database
from appschema.router import is_ours


class Command(DjangoFlush):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        if not is_ours(connection):
            super().handle(**options)
            return
        if current_schema() is None and getattr(self, "_called_from_command_line", False):
            raise CommandError(
                "'flush' does not know which schema to empty. Type 'manage.py inschema NAME flush' for"
                " one, 'manage.py inschema --all flush' for each, or 'manage.py inschema public flush'"
                " for the shared tables."
            )
        if options["interactive"]:
            where = current_schema() or "public and every schema"
            question = f"All rows of {where} in {connection.alias!r} will be lost."
            if input(f"{question} Type 'yes' to go on: ") != "yes":
                self.stdout.write("Flush cancelled.")
                return
        flush_database(
            connection,
            reset_sequences=options.get("reset_sequences", True),
            allow_cascade=options.get("allow_cascade", False),
            send_signals=not options.get("inhibit_post_migrate", False),
            verbosity=options["verbosity"],
            interactive=options["interactive"],
        )

"""``manage.py inschema NAME COMMAND ...``: any command inside one schema, or in each."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser
from contextlib import nullcontext
from typing import Any

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand, CommandError, handle_default_options
from django.db import DEFAULT_DB_ALIAS

from appschema.context import as_owner, schema_context
from appschema.exceptions import InvalidSchemaName
from appschema.fleet.result import Result
from appschema.fleet.run import run_each
from appschema.fleet.selection import select_schemas, select_undropped
from appschema.fleet.tell.report import raise_for_failures
from appschema.names import PUBLIC, validate_active_name


class Command(BaseCommand):
    help = "Runs a command inside the schema NAME ('public' for the shared tables), or in --all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all",
            action="store_true",
            help="Run the command in every schema that is not dropped.",
        )
        parser.add_argument(
            "--as-owner", action="store_true", help="With the rights of the tables' owner."
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The registry's database.")
        parser.add_argument(
            "words", nargs=REMAINDER, metavar="[NAME] COMMAND ...", help="What to run, and where."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner() if options["as_owner"] else nullcontext():
            self._run_in_each(options)

    def _run_in_each(self, options: dict[str, Any]) -> None:
        words = list(options["words"])
        using = options["database"]
        if options["all"]:
            names = select_undropped(using)
        elif words:
            names = [self._one(words.pop(0), using)]
        if not words:
            raise CommandError(
                "Type 'manage.py inschema NAME COMMAND ...' or 'inschema --all COMMAND ...'."
            )
        if not options["all"]:
            with schema_context(names[0]):
                self._run(words)
            return

        def act(name: str) -> Result:
            if options["verbosity"] > 0:
                self.stdout.write(self.style.MIGRATE_HEADING(f"{name}:"))
            self._run(words)
            return Result(name)

        raise_for_failures(run_each(names, act), self.stderr.write)

    def _one(self, name: str, using: str) -> str:
        try:
            validate_active_name(name)
        except InvalidSchemaName as error:
            raise CommandError(str(error)) from error
        return name if name == PUBLIC else select_schemas(using, [name])[0]

    def _run(self, words: list[str]) -> None:
        """Run a command as if it were typed, but let its errors be raised."""
        command = ManagementUtility(["manage.py", *words]).fetch_command(words[0])
        # So that its parser reports a wrong word as a typed command's does.
        command._called_from_command_line = True  # type: ignore[attr-defined]  # noqa: SLF001
        parser = command.create_parser("manage.py inschema NAME", words[0])
        options = vars(parser.parse_args(words[1:]))
        handle_default_options(parser.parse_args(words[1:]))
        command.execute(*options.pop("args", ()), **options)

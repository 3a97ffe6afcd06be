"""``showmigrations`` of the apps that are placed in the current schema, or of all schemas at once."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.showmigrations import Command as DjangoShowMigrations
from django.db import connections

from appschema.context import current_schema
from appschema.fleet.know.matrix import Row, make_matrix
from appschema.fleet.know.states import FleetState, FleetStates, read_states
from appschema.fleet.tell.telling import tell_names
from appschema.names import PUBLIC
from appschema.placement import get_placement
from appschema.router import is_ours


class Command(DjangoShowMigrations):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            help="Show what is applied in the schemas, in a column for each state that there is.",
        )
        parser.add_argument(
            "--json", action="store_true", help="With --all: one JSON object for each state."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["all"]:
            if options["json"]:
                raise CommandError("Give --json with --all.")
            super().handle(*args, **options)
            return
        if options["format"] == "plan":
            raise CommandError("Give --all without --plan.")
        using = options["database"]
        if not is_ours(connections[using]):
            raise CommandError(
                f"The database {using!r} has no ENGINE of appschema, and so no schemas. Name another"
                " with --database."
            )
        if options["app_label"]:
            self._validate_app_names(None, options["app_label"])  # type: ignore[attr-defined]
        labels, elsewhere = _by_placement(options["app_label"], public=False)
        fleet = read_states(using, labels)
        if options["json"]:
            self._print_json(fleet)
            return
        self._print_states(fleet)
        self._tell_elsewhere(elsewhere, "public")
        self._print_matrix(fleet, sorted(labels))

    def _print_states(self, fleet: FleetStates) -> None:
        if not fleet.states:
            self.stdout.write("There are no schemas.")
        for number, state in enumerate(fleet.states, 1):
            self.stdout.write(
                self.style.MIGRATE_HEADING(f"[{number}]") + f" {state}: {tell_names(state.schemas)}"
            )
        if fleet.absent:
            self.stdout.write(
                self.style.ERROR(f"not in the database: {tell_names(sorted(fleet.absent))}")
            )
        for what, names in (("interrupted", fleet.interrupted), ("drifting", fleet.drifting)):
            if names:
                self.stdout.write(self.style.NOTICE(f"({what}: {tell_names(sorted(names))})"))

    def _print_matrix(self, fleet: FleetStates, labels: list[str]) -> None:
        if not fleet.states:
            return
        width = max(3, len(str(len(fleet.states))) + 2)
        numbers = (f"[{number}]".center(width) for number in range(1, len(fleet.states) + 1))
        header = " " + " ".join(numbers)
        for label, rows in make_matrix(fleet.states, labels):
            if rows:
                self.stdout.write(self.style.MIGRATE_LABEL(label))
                self.stdout.write(header.rstrip())
            for row in rows:
                self.stdout.write(_line(row, width))

    def _print_json(self, fleet: FleetStates) -> None:
        for state in fleet.states:
            self.stdout.write(json.dumps(_describe(state)))
        if fleet.absent:
            absent = sorted(fleet.absent)
            told = {"count": len(absent), "schemas": absent, "applied": None}
            self.stdout.write(json.dumps(told))

    def _placed(self, connection: Any, app_names: Any) -> list[str] | None:
        """Return the apps to show: those asked for, or all, as far as they are placed here."""
        if not is_ours(connection):
            return app_names or None
        public = current_schema() in (None, PUBLIC)
        placed, elsewhere = _by_placement(app_names, public=public)
        where = "the schemas: type 'manage.py inschema NAME showmigrations'" if public else "public"
        self._tell_elsewhere(elsewhere, where)
        return placed

    def _tell_elsewhere(self, labels: list[str], where: str) -> None:
        if labels:
            self.stdout.write(self.style.NOTICE(f"({', '.join(labels)}: in {where})"))

    def show_list(self, connection: Any, app_names: Any = None) -> None:
        placed = self._placed(connection, app_names)
        if placed != []:
            super().show_list(connection, placed)

    def show_plan(self, connection: Any, app_names: Any = None) -> None:
        placed = self._placed(connection, app_names)
        if placed != []:
            super().show_plan(connection, placed)


def _by_placement(app_names: Any, *, public: bool) -> tuple[list[str], list[str]]:
    """Return the apps that are placed there, of those asked for or of all, and the others."""
    placement = get_placement()
    asked = app_names or [each.label for each in apps.get_app_configs()]
    placed = [label for label in asked if placement.holds(label, public=public)]
    return placed, sorted(set(asked) - set(placed))


def _line(row: Row, width: int) -> str:
    cells = (f"[{mark}]".center(width) for mark in row.marks)
    return f" {' '.join(cells)} {row.name} {row.note}".rstrip()


def _describe(state: FleetState) -> dict[str, Any]:
    return {
        "count": len(state.schemas),
        "schemas": list(state.schemas),
        "applied": sorted(map(".".join, state.applied)),
        **state.as_dict(),
    }

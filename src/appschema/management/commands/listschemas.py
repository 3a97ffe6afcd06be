"""``manage.py listschemas``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections

from appschema.fleet.know.entries import is_kept
from appschema.fleet.know.listing import Listed, list_schemas
from appschema.fleet.know.states import FleetStates, read_states
from appschema.fleet.tell.telling import tell_names


class Command(BaseCommand):
    help = "Lists the schemas, with their public names, their state and their migrations."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--by-migrations",
            action="store_true",
            help="Only how many schemas, and which, have the same migrations applied.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        if options["by_migrations"]:
            self._print_states(read_states(using), as_json=options["json"])
            return
        listed = list(list_schemas(using))
        # An older registry, which migrate is about to change, knows nothing of it.
        fleet = read_states(using) if is_kept(connections[using]) else FleetStates(())
        if options["json"]:
            # An object a line: with thousands of schemas indenting them takes longest.
            told = ",\n".join(json.dumps(_describe(each, fleet)) for each in listed)
            self.stdout.write(f"[\n{told}\n]" if listed else "[]")
        elif not listed:
            self.stdout.write(
                "There are no schemas. Run 'manage.py createschema NAME PUBLIC_NAME'."
            )
        else:
            self._print_table(listed, fleet)

    def _print_table(self, listed: list[Listed], fleet: FleetStates) -> None:
        rows = [("NAME", "PUBLIC NAME", "STATE", "MIGRATIONS", "CREATED")]
        for each in listed:
            others = len(each.public_names) - bool(each.public_name)
            public_name = (each.public_name or "-") + (f" (+{others})" if others else "")
            created = f"{each.created:%Y-%m-%d %H:%M}"
            rows.append((each.name, public_name, each.state, fleet.tell(each.name), created))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        self.stdout.write("\n".join(lines))

    def _print_states(self, fleet: FleetStates, *, as_json: bool) -> None:
        for state in fleet.states:
            names = state.schemas
            if as_json:
                told = {"count": len(names), "schemas": list(names), **state.as_dict()}
                self.stdout.write(json.dumps(told))
                continue
            self.stdout.write(f"{state}: {tell_names(names)}")
            for key in state.missing:
                self.stdout.write(f"  lacks {'.'.join(key)}")
            for key in state.unknown:
                self.stdout.write(f"  has {'.'.join(key)}, which this code does not have")
        absent = sorted(fleet.absent)
        if absent and as_json:
            told = {"count": len(absent), "schemas": absent, "missing": None, "unknown": None}
            self.stdout.write(json.dumps(told))
        elif absent:
            self.stdout.write(f"not in the database: {tell_names(absent)}")


def _describe(each: Listed, fleet: FleetStates) -> dict[str, Any]:
    state = fleet.find(each.name)
    return {
        "name": each.name,
        "public_name": each.public_name,
        "public_names": each.public_names,
        "is_active": each.is_active,
        "state": each.state,
        "notice": each.notice,
        "dropped": each.dropped and each.dropped.isoformat(),
        "created": each.created.isoformat(),
        "migrations": state and state.as_dict(),
        "interrupted": each.name in fleet.interrupted,
        "drifts": each.name in fleet.drifting,
    }

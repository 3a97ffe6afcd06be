"""``manage.py listschemas``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections

from appschema.context import schema_context
from appschema.fleet.ledger import is_kept
from appschema.fleet.states import FleetStates, read_states
from appschema.fleet.telling import tell_names
from appschema.models import Schema
from appschema.names import PUBLIC


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
        with schema_context(PUBLIC):
            schemas = list(Schema.objects.using(using).prefetch_related("public_names"))
        # An older registry, which migrate is about to change, knows nothing of it.
        fleet = read_states(using) if is_kept(connections[using]) else FleetStates(())
        if options["json"]:
            told = [_describe(schema, fleet) for schema in schemas]
            self.stdout.write(json.dumps(told, indent=2))
        elif not schemas:
            self.stdout.write(
                "There are no schemas. Run 'manage.py createschema NAME PUBLIC_NAME'."
            )
        else:
            self._print_table(schemas, fleet)

    def _print_table(self, schemas: list[Schema], fleet: FleetStates) -> None:
        rows = [("NAME", "PUBLIC NAME", "STATE", "MIGRATIONS", "CREATED")]
        for schema in schemas:
            names = schema.public_names.all()
            primary = next((each.public_name for each in names if each.is_primary), None)
            others = len(names) - bool(primary)
            public_name = (primary or "-") + (f" (+{others})" if others else "")
            created = f"{schema.created:%Y-%m-%d %H:%M}"
            rows.append(
                (schema.name, public_name, _state(schema), fleet.tell(schema.name), created)
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

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


def _describe(schema: Schema, fleet: FleetStates) -> dict[str, Any]:
    state = fleet.find(schema.name)
    return {
        "name": schema.name,
        "public_name": schema.public_name,
        "public_names": [each.public_name for each in schema.public_names.all()],
        "is_active": schema.is_active,
        "state": _state(schema),
        "notice": schema.notice,
        "dropped": schema.dropped and schema.dropped.isoformat(),
        "created": schema.created.isoformat(),
        "migrations": state and state.as_dict(),
        "interrupted": schema.name in fleet.interrupted,
        "drifts": schema.name in fleet.drifting,
    }


def _state(schema: Schema) -> str:
    if schema.purging:
        return "purging"
    if schema.dropped is not None:
        return "dropped"
    return "active" if schema.is_active else "inactive"

"""``manage.py listschemas``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.context import schema_context
from appschema.models import Schema
from appschema.names import PUBLIC


class Command(BaseCommand):
    help = "Lists the schemas, with their public names and their state."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        with schema_context(PUBLIC):
            schemas = list(
                Schema.objects.using(options["database"]).prefetch_related("public_names")
            )
        if options["json"]:
            self.stdout.write(json.dumps([self._describe(schema) for schema in schemas], indent=2))
        elif not schemas:
            self.stdout.write(
                "There are no schemas. Run 'manage.py createschema NAME PUBLIC_NAME'."
            )
        else:
            self._print_table(schemas)

    def _describe(self, schema: Schema) -> dict[str, Any]:
        return {
            "name": schema.name,
            "public_name": schema.public_name,
            "public_names": [each.public_name for each in schema.public_names.all()],
            "is_active": schema.is_active,
            "state": _state(schema),
            "notice": schema.notice,
            "dropped": schema.dropped and schema.dropped.isoformat(),
            "created": schema.created.isoformat(),
        }

    def _print_table(self, schemas: list[Schema]) -> None:
        rows = [("NAME", "PUBLIC NAME", "STATE", "CREATED")]
        for schema in schemas:
            others = schema.public_names.all().__len__() - bool(schema.public_name)
            public_name = (schema.public_name or "-") + (f" (+{others})" if others else "")
            created = f"{schema.created:%Y-%m-%d %H:%M}"
            rows.append((schema.name, public_name, _state(schema), created))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _state(schema: Schema) -> str:
    if schema.purging:
        return "purging"
    if schema.dropped is not None:
        return "dropped"
    return "active" if schema.is_active else "inactive"

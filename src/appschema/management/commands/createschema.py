"""``manage.py createschema NAME PUBLIC_NAME``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import adopt_schema, new_schema


class Command(BaseCommand):
    help = "Creates a schema with all its tables, reached by a public name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema, such as acme.")
        parser.add_argument("public_name", help="The name that it is reached by: acme.example.com.")
        parser.add_argument("--inactive", action="store_true", help="Do not serve it yet.")
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="Register the schema of this name that the database has, with all its rows.",
        )
        parser.add_argument(
            "--reuse-name",
            action="store_true",
            help="Also if a purged or renamed schema was called so: its files and caches are gone.",
        )
        parser.add_argument(
            "--migrate", action="store_true", help="If the template lags, migrate the copy."
        )
        parser.add_argument(
            "--template-file",
            metavar="FILE",
            help="Copy the template in this file, which schematemplate has written.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, for machines.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        named = (options["name"], options["public_name"])
        given: dict[str, Any] = {
            "is_active": not options["inactive"],
            "reuse_name": options["reuse_name"],
            "using": options["database"],
        }
        if options["adopt"]:
            if options["migrate"] or options["template_file"]:
                raise CommandError(
                    "--adopt takes a schema as it is: it goes with neither --migrate nor --template-file."
                )
            schema, done = adopt_schema(*named, **given), "Registered"
        else:
            given |= {key: options[key] for key in ("migrate", "template_file")}
            schema, done = new_schema(*named, **given), "Created"
        if options["json"]:
            found = {"name": schema.name, "public_name": schema.public_name}
            self.stdout.write(json.dumps({**found, "is_active": schema.is_active}))
        elif options["verbosity"] > 0:
            self.stdout.write(
                self.style.SUCCESS(f"{done} schema {schema.name}, reached by {schema.public_name}.")
            )

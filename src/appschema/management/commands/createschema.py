"""``manage.py createschema NAME PUBLIC_NAME``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from appschema.exceptions import InvalidPublicName, InvalidSchemaName
from appschema.provisioning import new_schema


class Command(BaseCommand):
    help = "Creates a schema with all its tables, reached by a public name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the schema, such as acme.")
        parser.add_argument("public_name", help="The name that it is reached by: acme.example.com.")
        parser.add_argument("--inactive", action="store_true", help="Do not serve it yet.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            schema = new_schema(
                options["name"],
                options["public_name"],
                is_active=not options["inactive"],
                using=options["database"],
            )
        except (InvalidSchemaName, InvalidPublicName) as error:
            raise CommandError(str(error)) from error
        if options["verbosity"] > 0:
            self.stdout.write(
                self.style.SUCCESS(
                    f"Created schema {schema.name}, reached by {schema.public_name}."
                )
            )

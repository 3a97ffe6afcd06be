"""``manage.py schematemplate``: the template of new schemas, as a text."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from appschema.provisioning import compile_template, export_template
from appschema.provisioning.template_file import write_python, write_sql


class Command(BaseCommand):
    help = (
        "Writes the template, which new schemas are copied from, as SQL or as a Python module: to be"
        " read, or to be given to new_schema(..., template_file=...)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as-python", action="store_true", help="Write a Python module instead of SQL."
        )
        parser.add_argument("--output", metavar="FILE", help="Write to this file.")
        parser.add_argument(
            "--compile",
            action="store_true",
            help="First compile it anew, from what its schema holds now. Spares are dropped.",
        )
        parser.add_argument(
            "--json", action="store_true", help="Print what it was made with, and no SQL."
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        if options["compile"]:
            compile_template(using=using)
        file = export_template(using=using)
        text = write_python(file) if options["as_python"] else write_sql(file)
        if options["output"]:
            Path(options["output"]).write_bytes(text.encode())
        if options["json"]:
            told = {"records": file.records, "public_records": file.public_records}
            self.stdout.write(json.dumps({**told, "output": options["output"]}))
        elif not options["output"]:
            self.stdout.write(text, ending="")
        elif options["verbosity"] > 0:
            self.stdout.write(self.style.SUCCESS(f"Wrote {options['output']}."))

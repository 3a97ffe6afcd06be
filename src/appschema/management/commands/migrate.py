"""``migrate`` for public and for every schema: Django's command, with its flags."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser, no_translations
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import as_owner
from appschema.fleet.execute import Result, make_plan, migrate_schema
from appschema.fleet.misplaced import refuse_misplaced_tables
from appschema.fleet.origins import own_schemas
from appschema.fleet.plan import Request, SchemaPlan
from appschema.fleet.prune import prune_records
from appschema.fleet.receivers import load_receivers
from appschema.fleet.report import raise_for_failures
from appschema.fleet.run import migrate_fleet
from appschema.fleet.selection import Selection, read_selection, select_schemas
from appschema.names import PUBLIC
from appschema.provisioning.head import Head
from appschema.router import is_ours


class Command(DjangoMigrate):
    help = (
        "Updates the tables of public and of every schema to the migrations of the apps that are"
        " placed there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--schema",
            action="append",
            dest="schemas",
            metavar="NAME",
            help="Migrate this schema only; may be given more than once.",
        )
        parser.add_argument(
            "--shared",
            action="store_true",
            help="Migrate only the apps that have tables in public.",
        )

    @no_translations
    @as_owner()
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if not is_ours(connection):
            super().handle(*args, **options)
            return
        self.verbosity, self.interactive = options["verbosity"], options["interactive"]
        request = self._read_request(options)
        selection = read_selection(options["schemas"], shared_only=options["shared"])
        load_receivers()
        connection.prepare_database()
        if options["plan"] or options["check_unapplied"]:
            self._show(connection, request, selection, options)
        elif request.prune:
            self._prune(connection, request, selection)
        else:
            refuse_misplaced_tables(connection)
            self._migrate(connection, request, selection)

    def _read_request(self, options: dict[str, Any]) -> Request:
        label = options["app_label"]
        if label:
            try:
                apps.get_app_config(label)
            except LookupError as error:
                raise CommandError(str(error)) from error
        if options["prune"] and not label:
            raise CommandError("Migrations can be pruned only when an app is specified.")
        return Request(
            app_label=label,
            migration_name=options["migration_name"],
            fake=options["fake"],
            fake_initial=options["fake_initial"],
            run_syncdb=options["run_syncdb"],
            prune=options["prune"],
            interactive=self.interactive,
            verbosity=self.verbosity,
        )

    def _names(self, connection: BaseDatabaseWrapper, selection: Selection) -> list[str]:
        schemas = select_schemas(connection.alias, selection.schemas)
        if not selection.public:
            return schemas
        # What new schemas come from belongs to the whole.
        origins = own_schemas(connection.alias) if selection.schemas is None else []
        return [PUBLIC, *origins, *schemas]

    def _show(
        self,
        connection: BaseDatabaseWrapper,
        request: Request,
        selection: Selection,
        options: dict[str, Any],
    ) -> None:
        names = self._names(connection, selection)
        plans = [make_plan(connection, request, name) for name in names]
        if options["plan"]:
            for plan in plans:
                self._show_plan(plan)
        if options["check_unapplied"] and any(plan.steps for plan in plans):
            sys.exit(1)

    def _show_plan(self, plan: SchemaPlan) -> None:
        self.stdout.write(f"Planned operations in {plan.schema_name}:", self.style.MIGRATE_LABEL)
        if not plan.steps:
            self.stdout.write("  No planned migration operations.")
        for migration, backwards in plan.steps:
            self.stdout.write(str(migration), self.style.MIGRATE_HEADING)
            for operation in migration.operations:
                message, is_error = self.describe_operation(operation, backwards)
                style = self.style.WARNING if is_error else None
                self.stdout.write("    " + message, style)

    def _prune(
        self, connection: BaseDatabaseWrapper, request: Request, selection: Selection
    ) -> None:
        head = self._head(connection, request)
        with head.alone() if selection.public else nullcontext():
            self._prune_each(connection, request, self._names(connection, selection))
            whole = selection.schemas is None
            results = head.compile(whole=whole) if selection.public else ()
            raise_for_failures(results, self.stderr.write)

    def _prune_each(
        self, connection: BaseDatabaseWrapper, request: Request, names: list[str]
    ) -> None:
        for name in names:
            pruned, blocking = prune_records(connection, request.app_label or "", name)
            if blocking:
                raise CommandError(
                    f"Cannot prune in {name}: the squashed migrations {', '.join(blocking)} still"
                    " name them in 'replaces'. Run 'manage.py migrate', then remove 'replaces'."
                )
            if self.verbosity > 0:
                found = ", ".join(pruned) or "No migrations to prune."
                self.stdout.write(f"Pruning in {name}: {found}")

    def _migrate(
        self, connection: BaseDatabaseWrapper, request: Request, selection: Selection
    ) -> None:
        def act(name: str) -> Result:
            if self.verbosity >= 1:
                self.stdout.write(self.style.MIGRATE_HEADING(f"Migrating {name}:"))
            result = migrate_schema(
                connection,
                request,
                name,
                progress=self.migration_progress_callback,
                sync=self.sync_apps,
                stdout=self.stdout,
            )
            if self.verbosity >= 1 and not result.applied:
                self.stdout.write("  No migrations to apply.")
            return result

        head = self._head(connection, request)
        results = migrate_fleet(connection, request, selection, act, head)
        raise_for_failures(results, self.stderr.write)

    def _head(self, connection: BaseDatabaseWrapper, request: Request) -> Head:
        def tell(sentence: str) -> None:
            if self.verbosity >= 1:
                self.stdout.write(self.style.MIGRATE_HEADING(sentence))

        return Head(connection, request, tell)

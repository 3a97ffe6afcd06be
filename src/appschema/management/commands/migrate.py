"""``migrate`` for public and for every schema: Django's command, with its flags."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser, no_translations
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from appschema.context import as_owner
from appschema.exceptions import MigrationError
from appschema.fleet.execute import make_plan, migrate_schema
from appschema.fleet.follow.group import Options
from appschema.fleet.jobs import default_jobs
from appschema.fleet.know.entries import is_kept
from appschema.fleet.know.ledger import verify_ledger
from appschema.fleet.misplaced import refuse_misplaced_tables
from appschema.fleet.origins import own_schemas
from appschema.fleet.plan import Request, SchemaPlan
from appschema.fleet.prune import prune_records
from appschema.fleet.receivers import load_receivers
from appschema.fleet.result import STATUSES, Result
from appschema.fleet.run import migrate_fleet
from appschema.fleet.runner import Runner
from appschema.fleet.selection import Selection, read_selection, select_waves
from appschema.fleet.tell.history import RunLog, failed_schemas
from appschema.fleet.tell.report import Tally, raise_for_failures
from appschema.fleet.tell.telling import (
    Bar,
    JsonLines,
    Lines,
    Teller,
    describe_falsehood,
    falsehood_as_dict,
    has_bar,
    plan_as_dict,
)
from appschema.fleet.turn import taking_turns
from appschema.fleet.workers import stopping_on_signals
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
        self._add_arguments_of_fleet(parser.add_argument_group("the fleet"))

    def _add_arguments_of_fleet(self, parser: Any) -> None:
        several: dict[str, Any] = {"action": "append", "metavar": "NAME"}
        parser.add_argument("--exclude", **several, help="Leave this schema out.")
        parser.add_argument(
            "--canary", **several, help="This schema first; the others only if it does not fail."
        )
        parser.add_argument(
            "--only-failed", action="store_true", help="Those that failed in the last run."
        )
        parser.add_argument(
            "--jobs",
            type=_at_least_one,
            metavar="N",
            help="How many schemas at once, each on a connection of its own.",
        )
        parser.add_argument(
            "--lock-timeout",
            type=float,
            default=Options.lock_timeout,
            metavar="SECONDS",
            help="How long to wait for a lock before trying again later (default: %(default)s).",
        )
        parser.add_argument("--fail-fast", action="store_true", help="Stop after a failure.")
        parser.add_argument(
            "--max-failures", type=int, metavar="N", help="Stop after more failures than these."
        )
        parser.add_argument(
            "--accept-drift",
            action="store_true",
            help="Also change schemas that come out different from the others, and note that.",
        )
        parser.add_argument(
            "--no-fingerprints",
            action="store_true",
            help="Do not compare the changed tables with those of the first schema.",
        )
        parser.add_argument(
            "--no-wait", action="store_true", help="Fail if another migrate is at work."
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="Compare what public knows of the schemas with their own records, and mend it.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object in each line.")

    _typed = ""

    def run_from_argv(self, argv: list[str]) -> None:
        self._typed = shlex.join(["migrate", *argv[2:]])
        super().run_from_argv(argv)

    @no_translations
    @as_owner()
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if not is_ours(connection):
            super().handle(*args, **options)
            return
        self.verbosity = 0 if options["json"] else options["verbosity"]
        self.interactive = options["interactive"]
        request = self._read_request(options)
        selection = self._read_selection(connection, options)
        load_receivers()
        connection.prepare_database()
        is_shown = options["plan"] or options["check_unapplied"]
        if is_shown and not options["verify"]:
            self._show(connection, request, selection, options)
            return
        teller = self._make_teller(options)
        with taking_turns(connection, waits=not options["no_wait"], tell=teller.say):
            if options["verify"]:
                self._verify(connection, selection, as_json=options["json"])
            elif request.prune:
                self._prune(connection, request, selection)
            else:
                self._migrate(connection, request, selection, options, teller)

    def _read_selection(
        self, connection: BaseDatabaseWrapper, options: dict[str, Any]
    ) -> Selection:
        schemas = options["schemas"]
        if options["only_failed"]:
            if schemas or options["shared"]:
                raise CommandError("Give --only-failed without --schema and --shared.")
            schemas = failed_schemas(connection.alias)
        return read_selection(
            schemas,
            shared_only=options["shared"],
            exclude=options["exclude"],
            canary=options["canary"],
        )

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
        """Return the schemas that are addressed, with those that new ones come from."""
        schemas = [name for wave in select_waves(connection.alias, selection) for name in wave]
        # What new schemas come from belongs to the whole.
        whole = selection.public and selection.is_whole
        return [*(own_schemas(connection.alias) if whole else ()), *schemas]

    def _show(
        self,
        connection: BaseDatabaseWrapper,
        request: Request,
        selection: Selection,
        options: dict[str, Any],
    ) -> None:
        plans: list[tuple[SchemaPlan, list[str]]] = []
        if selection.public:
            plans.append((make_plan(connection, request, PUBLIC), [PUBLIC]))
        names = self._names(connection, selection)
        if is_kept(connection):
            plans += Runner(connection, request, Options()).plans(names)
        else:
            plans += [(make_plan(connection, request, name), [name]) for name in names]
        if options["plan"]:
            for plan, members in plans:
                if options["json"]:
                    self.stdout.write(json.dumps(plan_as_dict(plan, members)))
                else:
                    self._show_plan(plan, members)
        if options["check_unapplied"] and any(plan.steps for plan, _ in plans):
            sys.exit(1)

    def _verify(
        self, connection: BaseDatabaseWrapper, selection: Selection, *, as_json: bool
    ) -> None:
        names = self._names(connection, selection)
        found = list(verify_ledger(connection.alias, names)) if is_kept(connection) else []
        for each in found:
            line = json.dumps(falsehood_as_dict(each)) if as_json else describe_falsehood(each)
            self.stdout.write(line)
        if as_json:
            summary = {"compared": len(names), "differed": len(found)}
            self.stdout.write(json.dumps({"summary": summary}))
        self._tell_more(
            f"Compared {len(names)} schemas with their own records: {len(found)} differed"
            + (", and public knows better now." if found else ".")
        )
        if found:
            sys.exit(1)

    def _show_plan(self, plan: SchemaPlan, members: list[str]) -> None:
        others = f" and {len(members) - 1} like it" if len(members) > 1 else ""
        title = f"Planned operations in {members[0]}{others}:"
        self.stdout.write(title, self.style.MIGRATE_LABEL)
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
        head = self._head(connection, request, self._tell_more)
        with head.alone() if selection.public else nullcontext():
            names = self._names(connection, selection)
            self._prune_each(connection, request, [PUBLIC, *names] if selection.public else names)
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
        self,
        connection: BaseDatabaseWrapper,
        request: Request,
        selection: Selection,
        options: dict[str, Any],
        teller: Teller,
    ) -> None:
        refuse_misplaced_tables(connection)
        began = time.monotonic()
        progress = self.migration_progress_callback if isinstance(teller, Lines) else None
        runner = Runner(
            connection,
            request,
            self._read_options(connection, options),
            progress=progress,
            sync=self.sync_apps,
            stdout=self.stdout,
            # Who names schemas may have mended them by hand.
            reads_records=not selection.is_whole,
            announce=self._announce if isinstance(teller, Lines) else lambda _: None,
            tell=teller.say if self.verbosity > 1 else lambda _: None,
        )
        typed = self._typed or _describe(request, selection)
        tally, log = Tally(), RunLog(connection.alias, typed)

        def migrate_public(name: str) -> Result:
            self._announce(name)
            began = time.monotonic()
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
            return replace(result, seconds=time.monotonic() - began)

        def migrate(names: Sequence[str]) -> Iterator[Result]:
            teller.expect(len(names))
            return runner.migrate(names)

        with stopping_on_signals(runner.stop), closing(teller):
            head = self._head(connection, request, teller.say)
            results = migrate_fleet(connection, request, selection, migrate_public, migrate, head)
            for result in tally.count(results):
                teller.tell(result)
                log.note(result)
            log.end()
        self._conclude(tally, runner, options, time.monotonic() - began)

    def _conclude(
        self, tally: Tally, runner: Runner, options: dict[str, Any], seconds: float
    ) -> None:
        if options["json"]:
            counts = {status: tally.counts[status] for status in STATUSES}
            self.stdout.write(json.dumps({"summary": counts, "seconds": round(seconds, 4)}))
        elif self.verbosity >= 1:
            self.stdout.write(f"Schemas, public among them: {tally}.")
        if runner.stop.signal is not None:
            raise MigrationError(
                f"Stopped by {signal.Signals(runner.stop.signal).name}: {tally}. Run the same command"
                " again to go on."
            ).with_returncode(128 + runner.stop.signal)
        tally.raise_for_failures()

    def _read_options(self, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> Options:
        return Options(
            jobs=options["jobs"] or default_jobs(connection),
            lock_timeout=options["lock_timeout"],
            verifies=not options["no_fingerprints"],
            accepts_drift=options["accept_drift"],
            max_failures=0 if options["fail_fast"] else options["max_failures"],
        )

    def _make_teller(self, options: dict[str, Any]) -> Teller:
        if options["json"]:
            return JsonLines(self._write_at_once)
        if self.verbosity == 1 and self.stderr.isatty() and has_bar():
            return Bar(self.stdout.write, self.stderr.write)
        return Lines(self._write_at_once, self.stderr.write, verbosity=self.verbosity)

    def _write_at_once(self, text: str) -> None:
        # Into a pipe Python writes some thousand characters at a time.
        self.stdout.write(text)
        self.stdout.flush()

    def _announce(self, name: str) -> None:
        if self.verbosity >= 1:
            self.stdout.write(self.style.MIGRATE_HEADING(f"Migrating {name}:"))

    def _tell_more(self, sentence: str) -> None:
        if self.verbosity >= 1:
            self.stdout.write(sentence)

    def _head(
        self, connection: BaseDatabaseWrapper, request: Request, tell: Callable[[str], None]
    ) -> Head:
        return Head(connection, request, lambda text: tell(self.style.MIGRATE_HEADING(text)))


def _describe(request: Request, selection: Selection) -> str:
    """Return what would have been typed, for a call from code."""
    words = ["migrate", request.app_label, request.migration_name]
    words += [
        f"--{each}" for each in ("fake", "fake_initial", "run_syncdb") if getattr(request, each)
    ]
    if not selection.is_whole and selection.public and not selection.schemas:
        words.append("--shared")
    for option in ("exclude", "canary"):
        words += [f"--{option} {name}" for name in getattr(selection, option)]
    some = selection.schemas or ()
    words += [f"--schema {name}" for name in some[:20]] + ["..."] * (len(some) > 20)
    return " ".join(
        word.replace("_", "-") if word.startswith("--f") else word for word in words if word
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is at least 1, not {number}")
    return number

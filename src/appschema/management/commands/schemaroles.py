"""``manage.py schemaroles --enable | --disable | --check``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from appschema.conf import get_config
from appschema.context import as_owner
from appschema.exceptions import RoleError
from appschema.fleet.origins import drop_spares
from appschema.fleet.result import Result
from appschema.fleet.run import run_each
from appschema.fleet.selection import select_schemas
from appschema.fleet.tell.report import raise_for_failures
from appschema.roles.database import DatabaseRoles
from appschema.roles.faults import find_faults
from appschema.router import is_ours


class Command(BaseCommand):
    help = "Makes, drops or checks the PostgreSQL roles of the schemas (APPSCHEMA_ROLES)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--enable", action="store_true", help="Make what is missing.")
        act.add_argument("--disable", action="store_true", help="Drop all of them.")
        act.add_argument("--check", action="store_true", help="Tell what is missing or wrong.")
        parser.add_argument(
            "--login",
            action="append",
            default=[],
            metavar="NAME",
            help="With --enable: another login that may take the roles; may be given more than once.",
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="The database's alias.")

    @as_owner()
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if not is_ours(connection):
            raise CommandError(f"The database {connection.alias!r} has no ENGINE of appschema.")
        roles = DatabaseRoles(connection)
        names = select_schemas(connection.alias)
        self._tells = options["verbosity"] > 0
        if options["check"]:
            self._check(roles, names)
        elif options["enable"]:
            roles.make_those_of_database()
            for login in options["login"]:
                roles.allow_login(login)
            self._in_each(names, roles.make_that_of, "has its role")
        else:
            self._disable(roles, names)

    def _check(self, roles: DatabaseRoles, names: list[str]) -> None:
        faults = find_faults(roles.connection, names)
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(
                f"{len(faults)} found. Run 'manage.py schemaroles --enable', which makes what is"
                " missing."
            )
        if self._tells:
            self.stdout.write(self.style.SUCCESS(f"The roles of {len(names)} schemas are right."))

    def _disable(self, roles: DatabaseRoles, names: list[str]) -> None:
        if get_config().roles:
            raise RoleError(
                "APPSCHEMA_ROLES is True, so that every statement needs the roles. Set it to False"
                " and deploy that first."
            )
        roles.refuse_without_right()
        # Those that are made later have no roles.
        drop_spares(using=roles.connection.alias)
        self._in_each(names, roles.drop_that_of, "has no role")
        roles.drop_those_of_database()

    def _in_each(self, names: list[str], act: Any, told: str) -> None:
        def run(name: str) -> Result:
            act(name)
            if self._tells:
                self.stdout.write(f"{name}: {told}")
            return Result(name)

        raise_for_failures(run_each(names, run), self.stderr.write)

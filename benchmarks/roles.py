"""What APPSCHEMA_ROLES costs beside plain Django, with few roles, with many, and as new ones come.

    python -m benchmarks.roles [--rounds N] [--schemas 20,1000] [--report FILE]

One process asks the same two views, by the WSGI handler without a server, of plain Django, of
appschema, and of appschema with roles: in turn, in a new order in each round, for the same 20 hosts.
The login is no superuser, so that PostgreSQL looks up its memberships. "As new ones come" makes one
role in another session before each request, after which each session collects them anew.
"""

import argparse
import gc
import platform
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
import psycopg
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from appschema import schema_context
from appschema.conf import get_config
from appschema.context import as_owner
from tools.postgres import PostgresServer

LOGIN = DATABASE = "bench_roles"
ASKED = 20
PLAIN, OFF, ON = "plain Django", "appschema", "appschema with roles"
BAR = 1.15
DOUBTFUL_SPREAD = 0.10
_alias = "default"


def view(request: HttpRequest, queries: int) -> HttpResponse:
    from django.contrib.auth.models import Group  # noqa: PLC0415 - needs the settings

    names = [Group.objects.using(_alias).get(pk=1).name for _ in range(queries)]
    return HttpResponse(",".join(names))


urlpatterns = [path("<int:queries>/", view)]


def configure(url: str) -> None:
    parts = urlsplit(url)
    default = {
        "ENGINE": "appschema.backends.postgresql",
        "NAME": DATABASE,
        "USER": LOGIN,
        "HOST": parts.hostname,
        "PORT": parts.port,
        "CONN_MAX_AGE": None,
    }
    plain = {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"options": "-c search_path=s0,public"},
    }
    settings.configure(
        DATABASES={"default": default, "plain": {**default, **plain}},
        INSTALLED_APPS=["appschema", "django.contrib.contenttypes", "django.contrib.auth"],
        APPSCHEMA_ROLES=True,
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only for benchmarks",  # noqa: S106 - no password
        USE_TZ=True,
    )
    django.setup()


def handler(middleware: list[str]) -> WSGIHandler:
    with override_settings(MIDDLEWARE=middleware):
        return WSGIHandler()


def make_schemas(first: int, end: int) -> None:
    """The schemas that are asked have all tables, the others only what a role needs."""
    from appschema.provisioning import new_schema  # noqa: PLC0415 - likewise
    from appschema.roles.database import DatabaseRoles  # noqa: PLC0415 - needs the settings

    roles = DatabaseRoles(connections["default"])
    for number in range(first, end):
        name = f"s{number}"
        if number < ASKED:
            new_schema(name, f"{name}.test")
            sql = "INSERT INTO auth_group (name) VALUES ('a')"
        else:
            sql = f"CREATE SCHEMA {name} CREATE TABLE django_migrations (id int)"
        where = name if number < ASKED else "public"
        with schema_context(where), as_owner(), connections["default"].cursor() as cursor:
            cursor.execute(sql)
        if number >= ASKED:
            roles.make_that_of(name)


def send(application: WSGIHandler, host: str, queries: int) -> float:
    environ = RequestFactory(HTTP_HOST=host).get(f"/{queries}/").environ
    start = time.perf_counter()
    response = application(environ, lambda *args: None)
    body = b"".join(response)
    spent = time.perf_counter() - start
    response.close()
    if body != b",".join([b"a"] * queries):
        raise SystemExit(f"The view answered {body!r}.")
    return spent * 1e6


def make_role(admin: psycopg.Connection, counter: Iterator[int]) -> None:
    name = f"bench_more_{next(counter)}"
    admin.execute(f'CREATE ROLE {name}; GRANT {name} TO "appschema/{DATABASE}/@logins"')


def measure(
    applications: dict[str, WSGIHandler], queries: int, rounds: int, before: Any
) -> dict[str, list[float]]:
    global _alias
    times: dict[str, list[float]] = {each: [] for each in applications}
    for number in range(rounds + ASKED):
        for kind in random.sample(list(applications), len(applications)):
            _alias = "plain" if kind == PLAIN else "default"
            # In place: with new settings everything that is remembered of them is made anew.
            object.__setattr__(get_config(), "roles", kind == ON)
            before()
            spent = send(applications[kind], f"s{number % ASKED}.test", queries)
            # The first of each host fills memories.
            if number >= ASKED:
                times[kind].append(spent)
    return times


def row(title: str, queries: int, times: dict[str, list[float]]) -> str:
    ratios = sorted(on / plain for on, plain in zip(times[ON], times[PLAIN], strict=True))
    low, middle, high = (ratios[len(ratios) * part // 4] for part in (1, 2, 3))
    doubt = " (doubtful)" if high - low > DOUBTFUL_SPREAD * middle else ""
    medians = {kind: statistics.median(each) for kind, each in times.items()}
    off, on = medians[OFF] / medians[PLAIN], medians[ON] / medians[PLAIN]
    return (
        f"| {title} | {queries} | {medians[PLAIN]:.0f} | {medians[OFF]:.0f} | {medians[ON]:.0f}"
        f" | {off:.2f} | {on:.2f} | {low:.2f} to {high:.2f}{doubt} |"
    )


def report(server: PostgresServer, rounds: int, sizes: list[int]) -> str:
    ours = ["appschema.middleware.FqdnMiddleware"]
    applications = {PLAIN: handler([]), OFF: handler(ours), ON: handler(ours)}
    lines = [
        (
            "| roles | queries | plain µs | appschema µs | with roles µs | appschema : plain"
            " | with roles : plain | middle half of that |"
        ),
        "| --- | --: | --: | --: | --: | --: | --: | --- |",
    ]
    call_command("migrate", verbosity=0)
    made = 0
    with psycopg.connect(server.url, dbname=DATABASE, autocommit=True) as admin:
        version = admin.info.parameter_status("server_version")
        for size in sizes:
            object.__setattr__(get_config(), "roles", True)
            make_schemas(made, size)
            made = size
            gc.collect()
            for queries in (1, 5):
                times = measure(applications, queries, rounds, lambda: None)
                lines.append(row(f"{size:,}", queries, times))
        counter = iter(range(10**9))
        for queries in (1, 5):
            times = measure(applications, queries, rounds // 4, lambda: make_role(admin, counter))
            lines.append(row(f"{made:,}, one more before each request", queries, times))
    head = [
        f"## PostgreSQL {version}",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, psycopg {psycopg.__version__}, Django"
            f" {django.__version__}, Python {platform.python_version()}, {rounds} rounds,"
            f" {platform.machine()}. The bar for 5 queries with roles: {BAR}."
        ),
        "",
    ]
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--schemas", default="20,1000", help="At how many schemas to measure.")
    parser.add_argument("--report", type=Path, help="Append the table to this file.")
    options = parser.parse_args()
    with PostgresServer() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {LOGIN} LOGIN CREATEROLE")
            admin.execute(f"CREATE DATABASE {DATABASE} OWNER {LOGIN}")
        configure(server.url)
        text = report(server, options.rounds, [int(each) for each in options.schemas.split(",")])
        connections.close_all()
    print(text)  # noqa: T201 - the table is what the program is for
    if options.report:
        with options.report.open("a") as file:
            file.write("\n" + text)


if __name__ == "__main__":
    main()

"""What APPSCHEMA_ROLES costs beside plain Django, with few roles, with many, and as new ones come.

    python -m benchmarks.roles [--rounds N] [--schemas 20,1000] [--rate 5] [--report FILE]

One process asks the same two views, by the WSGI handler without a server, of plain Django, of
appschema, and of appschema with roles: in turn, in a new order in each round, for the same 20 hosts.
The login is no superuser, so that PostgreSQL looks up its memberships, and once more in each session
after any role was made. "Made meanwhile" lets another process make schemas and their roles steadily,
which is what a site meets; "before each request" makes one role before every single one, which is the
worst that can be.

The report is written to benchmarks/results/roles.md, a section for each PostgreSQL:
APPSCHEMA_POSTGRES_BIN=15 chooses one. Run it on a machine that is quiet.
"""

import argparse
import gc
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
AGAIN = "plain Django again"
"""Asked and not counted: the connection of the other two would else be used twice as often, and stay warmer."""

BAR = 1.15
DOUBTFUL_SPREAD = 0.10
REPORT = Path(__file__).parent / "results" / "roles.md"
HEAD = """# What roles cost

Made by `python -m benchmarks.roles`, whose first lines say what is measured. Ratios are those to plain Django: of the
medians, the means and the 95th percentiles. The last column is the middle half of the ratios of each round, in which the
three are asked one after the other; where it is wide the machine was busy with other work, and the row is doubtful.
"""
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


@contextmanager
def made_meanwhile(url: str, first: int, rate: float) -> Iterator[None]:
    """Let another process make schemas with their roles, so many a second."""
    command = [sys.executable, "-m", "benchmarks.roles", "--make-at", url, str(first), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()  # the first is made
            yield
        finally:
            process.terminate()


def make_steadily(first: int, rate: float) -> None:
    start = time.monotonic()
    for number in range(10**6):
        make_schemas(first + number, first + number + 1)
        if not number:
            print("begun", flush=True)  # noqa: T201 - tells the process that started this one
        # Sleeping is what is measured here: so many a second.
        time.sleep(max(0, start + (number + 1) / rate - time.monotonic()))


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
            _alias = "plain" if kind in (PLAIN, AGAIN) else "default"
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
    means = {kind: statistics.fmean(each) for kind, each in times.items()}
    slow = {kind: sorted(each)[len(each) * 19 // 20] for kind, each in times.items()}
    of_roles = (each[ON] / each[PLAIN] for each in (medians, means, slow))
    return (
        f"| {title} | {queries} | {medians[PLAIN]:.0f} | {medians[OFF]:.0f} | {medians[ON]:.0f}"
        f" | {medians[OFF] / medians[PLAIN]:.2f} | {' | '.join(f'{each:.2f}' for each in of_roles)}"
        f" | {low:.2f} to {high:.2f}{doubt} |"
    )


def report(server: PostgresServer, rounds: int, sizes: list[int], rate: float) -> str:
    ours = ["appschema.middleware.FqdnMiddleware"]
    applications = {PLAIN: handler([]), AGAIN: handler([]), OFF: handler(ours), ON: handler(ours)}
    lines = [
        (
            "| roles | queries | plain µs | appschema µs | with roles µs | appschema, median"
            " | with roles, median | mean | p95 | middle half |"
        ),
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --- |",
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
        for queries in (1, 5):
            with made_meanwhile(server.url, next_number(admin), rate):
                made, start = next_number(admin), time.monotonic()
                times = measure(applications, queries, rounds, lambda: None)
                each = (next_number(admin) - made) / (time.monotonic() - start)
            lines.append(row(f"{made:,}, {each:.1f} a second made meanwhile", queries, times))
        made, counter = next_number(admin), iter(range(10**9))
        for queries in (1, 5):
            times = measure(applications, queries, rounds // 4, lambda: make_role(admin, counter))
            lines.append(row(f"{made:,}, one more before each request", queries, times))
    head = [
        f"## PostgreSQL {version}",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, psycopg {psycopg.__version__}, Django"
            f" {django.__version__}, Python {platform.python_version()}, {rounds} rounds,"
            f" {platform.machine()}, load of the machine at the end {os.getloadavg()[0]:.1f}."
            f" The bar for 5 queries with roles: {BAR}."
        ),
        "",
    ]
    return "\n".join([*head, *lines]) + "\n"


def next_number(admin: psycopg.Connection) -> int:
    sql = "SELECT max(substr(nspname, 2)::int) + 1 FROM pg_namespace WHERE nspname ~ '^s[0-9]+$'"
    found = admin.execute(sql).fetchone()
    assert found is not None
    return int(found[0])


def write(path: Path, section: str) -> None:
    """Write the section, in place of that of the same version of PostgreSQL."""
    title = section.splitlines()[0].split(".")[0]
    old = path.read_text() if path.exists() else HEAD
    sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]
    kept = [f"{each.strip()}\n" for each in sections if not each.startswith(f"{title}.")]
    path.write_text("\n".join([HEAD, *sorted([*kept, section], reverse=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--schemas", default="20,1000", help="At how many schemas to measure.")
    parser.add_argument("--rate", type=float, default=5, help="Schemas made a second, meanwhile.")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument(
        "--make-at", nargs=3, metavar=("URL", "FIRST", "RATE"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.make_at:
        url, first, rate = options.make_at
        configure(url)
        make_steadily(int(first), float(rate))
        return
    with PostgresServer() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {LOGIN} LOGIN CREATEROLE")
            admin.execute(f"CREATE DATABASE {DATABASE} OWNER {LOGIN}")
        configure(server.url)
        sizes = [int(each) for each in options.schemas.split(",")]
        text = report(server, options.rounds, sizes, options.rate)
        connections.close_all()
    print(text)  # noqa: T201 - the table is what the program is for
    write(options.report, text)


if __name__ == "__main__":
    main()

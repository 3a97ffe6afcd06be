"""What a schema per customer costs as the schemas become many, and what one shared table costs.

    python -m benchmarks.scale [--schemas 0,100,1000,3000] [--tables 40] [--fleet 50,100] [--part NAME] [--report FILE]

A PostgreSQL server of its own is started with PostgreSQL's default settings (fsync, 64 locks per
transaction, 128 MB of shared buffers) and deleted at the end; APPSCHEMA_POSTGRES_BIN names another
one's programs. 1000 schemas of 40 tables need 2 GB of disk, 3000 need 7 GB.

Three parts, each with a section of its own in the report: `growth` measures at each number of
schemas, `memory` and `locks` at the last one, `fleet` what `migrate` takes for the sample site of the
tests. A part that is run alone replaces its section and leaves the others.
"""

import argparse
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from psycopg import errors

from appschema import schema_context
from tools.postgres import PostgresServer

REPORT = Path(__file__).parent / "results" / "scale.md"
PARTS = ("growth", "memory", "locks", "fleet")
DEFAULTS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "max_locks_per_transaction": "64",
}
ROWS_EACH = 10
WARM = 20
"""Schemas that are asked in turn where everything is to be warm."""

GROWTH = {
    "create": "create a schema, SQL in one message, ms",
    "drop": "drop it, ms",
    "new_schema": "`new_schema` for the sample site (it runs the migrations), ms",
    "drop_schema": "`drop_schema` and `purge_schema` of that, ms",
    "noop": "`migrate --schema` for one of those, nothing to do, ms",
    "disk": "database on disk, MB",
    "disk_each": "that is per schema, MB",
    "files": "files in the database's directory",
    "pg_class": "`pg_class`, rows and MB with indexes",
    "pg_attribute": "`pg_attribute`, rows and MB with indexes",
    "connect": "connect and `SELECT 1`, ms",
    "first": "first query of a new connection, by key, ms",
    "other": "first query in a schema that is new to this connection, ms",
    "repeated": "the same query, everything warm, ms",
    "request_first": "request for a host that is new to process and connection, ms",
    "request": "request, everything warm: middleware and one query, ms",
    "stock_tables": "`table_names()`, Django's backend, ms",
    "our_tables": "`table_names()`, ours, ms",
    "own_tables": "the same names by way of `pg_depend`, ms",
    "dump_one": "`pg_dump --schema-only -n` of one schema, s",
    "dump_all": "`pg_dump --schema-only` of the database, s",
    "sum_union": "count and sum over all schemas, one UNION ALL, ms",
    "sum_loop": "the same, a query in each schema, ms",
    "analyze": "ANALYZE of the database, s",
    "vacuum": "VACUUM of the database, s",
    "load": "load of the machine, before and after",
}
ROW_LEVEL = {
    "row_customer": "a new customer: INSERT of one row, ms",
    "row_disk": "disk per customer with 10 rows, MB",
    "row_repeated": "query by customer and key, everything warm, ms",
    "row_request": "request: one such query, no middleware, Django's backend, ms",
    "row_sum": "count and sum over all customers, ms",
}
Cells = dict[str, str]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| --- " + "| --: " * (len(heads) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(each) + " |" for each in rows)])


def number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(seconds: Sequence[float], *, unit: float = 1e3) -> str:
    """Return the median and, in brackets, the least and the most; milliseconds unless told."""
    values = [each * unit for each in seconds]
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(min(values))}-{number(max(values))})"


def time_each(action: Callable[[Any], object], arguments: Iterable[Any]) -> list[float]:
    """Return how long *action* took, in seconds, for each of the arguments."""
    times = []
    for argument in arguments:
        start = time.perf_counter()
        action(argument)
        times.append(time.perf_counter() - start)
    return times


def time_once(action: Callable[[], object]) -> float:
    return time_each(lambda _: action(), [None])[0]


# What is measured: a schema as Django makes one, with an identity, a foreign key and two indexes to a table.


def schema_name(number: int) -> str:
    return f"scale_{number:05}"


def schema_sql(name: str, tables: int) -> str:
    """Return what makes a schema: its tables, and the table by which ours are known."""
    create = [
        (
            f'CREATE SCHEMA "{name}" CREATE TABLE django_migrations'
            " (id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,"
            " app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL)"
        ),
        f'SET LOCAL search_path TO "{name}"',
    ]
    for index in range(tables):
        create.append(
            f"CREATE TABLE item_{index:03} (id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,"
            " name varchar(100) NOT NULL, body text NOT NULL, state varchar(20) NOT NULL,"
            " created timestamptz NOT NULL, is_active boolean NOT NULL, amount numeric(10, 2) NOT NULL,"
            " parent_id bigint)"
        )
        if index:
            create += [
                (
                    f"ALTER TABLE item_{index:03} ADD CONSTRAINT item_{index:03}_parent_fk FOREIGN KEY (parent_id)"
                    f" REFERENCES item_{index - 1:03} (id) DEFERRABLE INITIALLY DEFERRED"
                ),
                f"CREATE INDEX item_{index:03}_parent_idx ON item_{index:03} (parent_id)",
            ]
    return "; ".join(create)


def rows_sql(into: str, columns: str, values: str) -> str:
    return (
        f"INSERT INTO {into} ({columns}name, body, state, created, is_active, amount)"
        f" SELECT {values}'name ' || g, 'body', 'new', now(), true, g FROM generate_series(1, {ROWS_EACH}) g"
    )


ROW_LEVEL_SQL = """
    CREATE TABLE customer (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, name varchar(100) NOT NULL);
    CREATE TABLE item_of_all (
        id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, customer_id bigint NOT NULL, number bigint NOT NULL,
        name varchar(100) NOT NULL, body text NOT NULL, state varchar(20) NOT NULL, created timestamptz NOT NULL,
        is_active boolean NOT NULL, amount numeric(10, 2) NOT NULL
    );
    CREATE INDEX item_of_all_customer ON item_of_all (customer_id, number)
"""


class Site:
    """The server, one database of it, and what was made there so far."""

    admin: psycopg.Connection
    url: str

    def __init__(self, server: PostgresServer, tables: int) -> None:
        self.server = server
        self.tables = tables
        self.names: list[str] = []
        self.random = random.Random(7)  # noqa: S311 - which schemas are asked is no secret

    def open(self, database: str) -> None:
        """Make *database* and let Django and ourselves work in it."""
        with psycopg.connect(self.server.socket_url, autocommit=True) as maintenance:
            maintenance.execute(f"CREATE DATABASE {database}")
        url = self.server.socket_url.replace("/postgres?", f"/{database}?")
        if not settings.configured:
            os.environ["APPSCHEMA_TEST_DATABASE_URL"] = url
            os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
            django.setup()
        connection.close()
        connection.settings_dict["NAME"] = database
        self.url = url
        self.names = []
        # No statement is prepared behind our back: several in one text cannot be.
        self.admin = psycopg.connect(url, autocommit=True, prepare_threshold=None)

    def close(self) -> None:

        connection.close()
        self.admin.close()

    @contextmanager
    def stock(self, search_path: str = "public") -> Iterator[Any]:
        """Django's own backend, in the same database."""
        options = {
            **connection.settings_dict["OPTIONS"],
            "options": f"-c search_path={search_path}",
        }
        wrapper = DatabaseWrapper({**connection.settings_dict, "OPTIONS": options}, "stock")
        try:
            yield wrapper
        finally:
            wrapper.close()

    def value(self, query: str) -> Any:
        row = self.admin.execute(query).fetchone()
        return row[0] if row else None

    def some(self, count: int) -> list[str]:
        return self.random.sample(self.names, min(count, len(self.names)))

    def fill(self, wanted: int) -> float:
        """Make the schemas that are missing, with their rows in the registry; return the seconds."""
        from appschema.models import PublicName, Schema  # noqa: PLC0415

        start = time.perf_counter()
        names = [schema_name(each) for each in range(len(self.names), wanted)]
        for count, name in enumerate(names):
            self.admin.execute(schema_sql(name, self.tables))
            self.admin.execute(rows_sql(f'"{name}".item_000', "", ""))
            if count % 100 == 99:
                tell(f"{len(self.names) + count + 1} schemas, {time.perf_counter() - start:.0f} s")
        rows = Schema.objects.bulk_create([Schema(name=name) for name in names])
        PublicName.objects.bulk_create(
            [PublicName(schema=row, public_name=host(row.name), is_primary=True) for row in rows]
        )
        first = len(self.names) + 1
        if names:
            self.admin.execute(
                f"INSERT INTO customer SELECT g, 'customer ' || g FROM generate_series({first}, {wanted}) g"
            )
            self.admin.execute(
                rows_sql("item_of_all", "customer_id, number, ", "c, g, ").replace(
                    " g FROM", f" g FROM generate_series({first}, {wanted}) c,"
                )
            )
        self.names += names
        # What follows is not to wait for what was just written.
        self.admin.execute("CHECKPOINT")
        return time.perf_counter() - start


def host(name: str) -> str:
    return f"{name.replace('_', '-')}.example.com"


def tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201 - a run takes minutes


# The parts.


def prepare(site: Site) -> None:
    """Make the shared tables, and one schema of the sample site, which is there at every step."""
    from appschema.provisioning import new_schema  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    new_schema("sample_probe", "probe.example.com")
    site.admin.execute(ROW_LEVEL_SQL)
    site.admin.execute("ANALYZE")


def grow(site: Site, steps: Sequence[int]) -> Iterator[str]:
    """Measure at each number of schemas; yield the section as it is after each."""
    empty = site.value("SELECT pg_database_size(current_database())")
    columns: list[Cells] = []
    filled = []
    for step in steps:
        filled.append(f"{site.fill(step):.0f} s for {step}")
        load = os.getloadavg()[0]
        cells = {
            **measure_making(site),
            **measure_disk(site, empty),
            **measure_queries(site),
            **measure_catalogue(site),
            **measure_across(site),
            **measure_row_level(site),
            **measure_upkeep(site),
        }
        cells["load"] = f"{load:.1f} to {os.getloadavg()[0]:.1f}"
        tell(f"measured at {step}: {cells}")
        columns.append(cells)
        yield growth_section(site, steps[: len(columns)], columns, ", ".join(filled))


def growth_section(site: Site, steps: Sequence[int], columns: list[Cells], filled: str) -> str:
    heads = [f"{step} schemas" for step in steps]

    def rows(titles: dict[str, str]) -> Iterator[list[str]]:
        for key, title in titles.items():
            yield [title, *(each[key] for each in columns)]

    return "\n\n".join(
        [
            (
                f"A schema has {site.tables} tables and `django_migrations`; each table has an identity, a primary key and,"
                " but for the first, an indexed deferrable foreign key. Median (least-most). One connection works,"
                f" nothing else is asked of this server. Made in: {filled}."
            ),
            table(["a schema per customer", *heads], rows(GROWTH)),
            "One shared table with a customer column, in the same database; the number of customers is the same.",
            table(["a row per customer", *heads], rows(ROW_LEVEL)),
        ]
    )


def measure_making(site: Site) -> Cells:

    from appschema.provisioning import (  # noqa: PLC0415
        drop_schema,
        new_schema,
        purge_schema,
    )

    def remove(name: str) -> None:
        drop_schema(name)
        purge_schema(name, now=True)

    extra = [f"extra_{each:02}" for each in range(15)]
    create = time_each(lambda name: site.admin.execute(schema_sql(name, site.tables)), extra)
    drop = time_each(lambda name: site.admin.execute(f'DROP SCHEMA "{name}" CASCADE'), extra)
    ours = [f"ours_{each:02}" for each in range(5)]
    made = time_each(lambda name: new_schema(name, host(name), reuse_name=True), ours)
    dropped = time_each(remove, ours)
    noop = time_each(
        lambda _: call_command("migrate", schemas=["sample_probe"], verbosity=0), range(5)
    )
    return {
        "create": spread(create),
        "drop": spread(drop),
        "new_schema": spread(made),
        "drop_schema": spread(dropped),
        "noop": spread(noop),
    }


def measure_disk(site: Site, empty: int) -> Cells:
    site.admin.execute("CHECKPOINT")
    size = site.value("SELECT pg_database_size(current_database())")
    files = site.value(
        "SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) WHERE datname = current_database()"
    )

    def catalogue(name: str) -> str:
        rows = site.value(f"SELECT count(*) FROM {name}")
        size = site.value(f"SELECT pg_total_relation_size('{name}')")
        return f"{rows}, {number(size / 2**20)}"

    count = len(site.names)
    return {
        "disk": number(size / 2**20),
        "disk_each": number((size - empty) / count / 2**20) if count else "-",
        "files": str(files),
        "pg_class": catalogue("pg_class"),
        "pg_attribute": catalogue("pg_attribute"),
    }


def ask(name: str) -> None:
    """Send one query by key in a schema, as a project's code would."""
    with schema_context(name), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM item_000 WHERE id = 1")
        assert cursor.fetchone()


def measure_queries(site: Site) -> Cells:

    def connect(_: object) -> None:
        with psycopg.connect(site.url) as new:
            new.execute("SELECT 1")

    cells = {"connect": spread(time_each(connect, range(30)))}
    if not site.names:
        return cells | dict.fromkeys(
            ("first", "other", "repeated", "request", "request_first"), "-"
        )
    first = []
    for name in site.some(WARM):
        connection.close()
        connection.ensure_connection()
        first += time_each(ask, [name])
    connection.close()
    ask(site.names[0])
    other = time_each(ask, site.some(200))
    hot = site.some(WARM)
    for name in hot:
        ask(name)
    repeated = time_each(ask, hot * 50)
    return cells | {
        "first": spread(first),
        "other": spread(other),
        "repeated": spread(repeated),
        **measure_requests(site),
    }


def measure_requests(site: Site) -> Cells:

    from appschema.middleware import FqdnMiddleware  # noqa: PLC0415
    from appschema.resolver import _memory  # noqa: PLC0415 - emptied as in a new process

    def view(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM item_000 WHERE id = 1")
            return HttpResponse(cursor.fetchone()[0])

    handler = FqdnMiddleware(view)
    factory = RequestFactory()

    def requests(names: list[str]) -> list[HttpRequest]:
        return [factory.get("/", headers={"host": host(name)}) for name in names]

    _memory.clear()
    connection.close()
    connection.ensure_connection()
    first = time_each(handler, requests(site.some(200)))
    hot = requests(site.some(WARM))
    for each in hot:
        handler(each)
    return {"request_first": spread(first), "request": spread(time_each(handler, hot * 50))}


def measure_catalogue(site: Site) -> Cells:

    # The probe of the sample site is there with no schema beside it too.
    names = site.some(3) or ["sample_probe"]
    name = names[0]
    with site.stock(f"{name},public") as stock:
        stock_tables = time_each(lambda _: stock.introspection.table_names(), range(5))
    with schema_context(name):
        ours = time_each(lambda _: connection.introspection.table_names(), range(5))
    of_schema = (
        "SELECT c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid"
        " WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass"
        f" AND d.refobjid = '{name}'::regnamespace AND c.relkind = 'r'"
    )
    own = time_each(lambda _: site.admin.execute(of_schema).fetchall(), range(5))
    dump_one = time_each(lambda each: dump(site, "-n", each), names)
    return {
        "stock_tables": spread(stock_tables),
        "our_tables": spread(ours),
        "own_tables": spread(own),
        "dump_one": spread(dump_one, unit=1),
        "dump_all": or_refusal(lambda: spread([time_once(lambda: dump(site))], unit=1)),
    }


class DumpFailed(Exception):
    """pg_dump ended with an error; the message is its own."""


def dump(site: Site, *arguments: str) -> None:
    done = subprocess.run(
        [site.server.binaries.bin / "pg_dump", "--schema-only", *arguments, site.url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DumpFailed(done.stderr)


def or_refusal(measure: Callable[[], str]) -> str:
    """Return what was measured, or why PostgreSQL refused: that is a result too."""
    try:
        return measure()
    except (errors.OutOfMemory, errors.StatementTooComplex) as error:
        return f"refused: {str(error).splitlines()[0]}"
    except DumpFailed as error:
        if found := re.search(r"out of shared memory", str(error)):
            return f"refused: {found[0]}"
        raise


def measure_across(site: Site) -> Cells:
    if not site.names:
        return {"sum_union": "-", "sum_loop": "-"}

    arms = " UNION ALL ".join(f'SELECT amount FROM "{name}".item_000' for name in site.names)
    union = f"SELECT count(*), sum(amount) FROM ({arms}) each_schema"

    def loop(_: object) -> None:
        for name in site.names:
            with schema_context(name), connection.cursor() as cursor:
                cursor.execute("SELECT count(*), sum(amount) FROM item_000")
                cursor.fetchone()

    return {
        "sum_union": or_refusal(
            lambda: spread(time_each(lambda _: site.admin.execute(union).fetchone(), range(3)))
        ),
        "sum_loop": spread(time_each(loop, range(3))),
    }


def measure_row_level(site: Site) -> Cells:
    insert = "INSERT INTO customer (name) VALUES ('one more') RETURNING id"
    site.admin.execute("SELECT setval('customer_id_seq', 1000000)")
    new = time_each(lambda _: site.admin.execute(insert), range(30))
    site.admin.execute("DELETE FROM customer WHERE name = 'one more'")
    cells = {"row_customer": spread(new)}
    if not site.names:
        return cells | dict.fromkeys(ROW_LEVEL.keys() - cells.keys(), "-")

    site.admin.execute("VACUUM ANALYZE item_of_all")
    size = site.value("SELECT pg_total_relation_size('item_of_all')")
    customers = site.random.choices(range(1, len(site.names) + 1), k=1000)
    with site.stock() as stock:

        def ask_row(customer: int) -> str:
            with stock.cursor() as cursor:
                cursor.execute(
                    "SELECT name FROM item_of_all WHERE customer_id = %s AND number = 1", [customer]
                )
                return str(cursor.fetchone()[0])

        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(ask_row(int(request.GET["customer"])))

        ask_row(1)
        repeated = time_each(ask_row, customers)
        factory = RequestFactory()
        requests = time_each(view, [factory.get("/", {"customer": each}) for each in customers])
        total = "SELECT count(*), sum(amount) FROM item_of_all"
        sums = time_each(lambda _: site.admin.execute(total).fetchone(), range(10))
    return cells | {
        "row_disk": f"{size / len(site.names) / 2**20:.4f}",
        "row_repeated": spread(repeated),
        "row_request": spread(requests),
        "row_sum": spread(sums),
    }


def measure_upkeep(site: Site) -> Cells:
    def run(command: str) -> str:
        return spread([time_once(lambda: site.admin.execute(command))], unit=1)

    return {"analyze": run("ANALYZE"), "vacuum": run("VACUUM")}


def measure_memory(site: Site) -> str:
    """Touch tables in more and more schemas on one connection, and ask PostgreSQL what it holds."""

    def held() -> str:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(total_bytes), pg_backend_pid() FROM pg_backend_memory_contexts"
            )
            total, pid = cursor.fetchone()
        return f"{number(float(total) / 2**20)} / {private_memory(pid)}"

    counts = [each for each in (0, 1, 10, 100, 300, 1000) if each < len(site.names)] + [
        len(site.names)
    ]
    touched_tables = (min(4, site.tables), site.tables)
    columns: list[dict[str, str]] = []
    for tables in touched_tables:
        connection.close()
        cells, done = {}, 0
        for count in counts:
            for name in site.names[done:count]:
                with schema_context(name), connection.cursor() as cursor:
                    for index in range(tables):
                        cursor.execute(f"SELECT name FROM item_{index:03} WHERE id = 1")
            done = count
            cells[str(count)] = held()
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        cells["then DISCARD ALL"] = held()
        columns.append(cells)
        tell(f"memory, {tables} tables: {cells}")
    connection.close()
    return "\n\n".join(
        [
            (
                "One connection touches tables (a query by key in each) in more and more schemas. MB in PostgreSQL's memory"
                " contexts / MB of private memory of the process."
            ),
            table(
                [
                    "schemas touched",
                    *(f"{each} tables in each" for each in touched_tables),
                ],
                ([key, *(cells[key] for cells in columns)] for key in columns[0]),
            ),
        ]
    )


def private_memory(pid: int) -> str:
    """Return the megabytes that no other process shares; the server runs on this machine."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, PermissionError):
        return "unknown"
    return number(
        sum(int(each) for each in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) / 1024
    )


def measure_locks(site: Site) -> str:
    """Count the locks of making and of dropping a schema, and fill the lock table."""
    admin = site.admin
    count = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
    with admin.transaction(force_rollback=True):
        admin.execute(schema_sql("extra_locks", site.tables))
        create = site.value(count)
    with admin.transaction(force_rollback=True):
        admin.execute(f'DROP SCHEMA "{site.names[0]}" CASCADE')
        drop = site.value(count)

    def how_many(statements: Iterable[str]) -> str:
        done = 0
        with admin.transaction(force_rollback=True):
            for statement in statements:
                try:
                    admin.execute(statement)
                except errors.OutOfMemory:
                    return str(done)
                done += 1
        return f"more than {done}"

    creates = how_many(schema_sql(f"extra_{each:04}", site.tables) for each in range(100))
    drops = how_many(f'DROP SCHEMA "{name}" CASCADE' for name in site.names)
    rows = [
        ["locks held by the transaction that creates one schema", str(create)],
        ["locks held by the transaction that drops one", str(drop)],
        ["schemas created in one transaction before `out of shared memory`", creates],
        ["schemas dropped in one transaction before `out of shared memory`", drops],
    ]
    setting = site.value("SHOW max_locks_per_transaction")
    connections = site.value("SHOW max_connections")
    return "\n\n".join(
        [
            (
                f"With `max_locks_per_transaction` {setting} and `max_connections` {connections}, and nobody else at work;"
                " the lock table is shared by all sessions."
            ),
            table([f"{site.tables} tables", "measured"], rows),
        ]
    )


def measure_fleet(site: Site, counts: Sequence[int]) -> str:
    """Migrate the sample site of the tests: nothing to do, and one more column."""
    from appschema.provisioning import new_schema  # noqa: PLC0415

    def migrate(*arguments: str, **options: Any) -> None:
        call_command("migrate", *arguments, verbosity=0, **options)

    migrate()
    columns: list[Cells] = []
    titles = {
        "new": "`new_schema`, ms each",
        "noop": "`migrate`, nothing to do, s",
        "noop_each": "that is per schema, ms",
        "add": "`migrate`, one AddField, s",
        "add_each": "that is per schema, ms",
        "statements": "statements for one schema, nothing to do",
        "load": "load of the machine",
    }
    done = 0
    for wanted in counts:
        names = [f"sample_{each:04}" for each in range(done, wanted)]
        new = time_each(lambda name: new_schema(name, host(name)), names)
        done = wanted
        noop = time_each(lambda _: migrate(), range(3))
        with CaptureQueriesContext(connection) as queries:
            migrate(schemas=[names[0]])
        add = []
        with (
            one_more_migration() as package,
            override_settings(MIGRATION_MODULES={"notes": package}),
        ):
            for _ in range(3):
                add.append(time_once(migrate))
                migrate("notes", "0003")
        cells = {
            "new": spread(new),
            "noop": spread(noop, unit=1),
            "noop_each": number(statistics.median(noop) / wanted * 1e3),
            "add": spread(add, unit=1),
            "add_each": number(statistics.median(add) / wanted * 1e3),
            "statements": str(len(queries)),
            "load": f"{os.getloadavg()[0]:.1f}",
        }
        tell(f"migrate of {wanted}: {cells}")
        columns.append(cells)
    return "\n\n".join(
        [
            (
                "The sample site of the tests (`tests/sample`): 12 tables in a schema, four of Django's apps and two of its"
                " own. `migrate` for public and all schemas, one after the other, in a process that runs already."
            ),
            table(
                ["", *(f"{count} schemas" for count in counts)],
                ([title, *(each[key] for each in columns)] for key, title in titles.items()),
            ),
        ]
    )


@contextmanager
def one_more_migration() -> Iterator[str]:
    """A copy of the migrations of the sample app `notes` with one that adds a column; its name."""
    import tests.sample.notes.migrations as package  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "scale_notes_migrations"
        shutil.copytree(Path(str(package.__file__)).parent, copy)
        (copy / "0004_colour.py").write_text(
            "from django.db import migrations, models\n"
            "class Migration(migrations.Migration):\n"
            "    dependencies = [('notes', '0003_title_index')]\n"
            "    operations = [migrations.AddField('note', 'colour', models.CharField(max_length=9, default='red'))]\n"
        )
        sys.path.insert(0, directory)
        try:
            yield copy.name
        finally:
            sys.path.remove(directory)
            for name in [name for name in sys.modules if name.startswith(copy.name)]:
                del sys.modules[name]


# The report.


def about(site: Site) -> str:

    cpus = Path("/proc/cpuinfo")
    found = re.search(
        r"^model name\s*: (.+)$", cpus.read_text() if cpus.exists() else "", re.MULTILINE
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, PostgreSQL {site.server.binaries.version}, Django {django.__version__},"
        f" psycopg {psycopg.__version__}, Python {platform.python_version()}."
        f" {found[1] if found else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB."
    )


def write(path: Path, sections: dict[str, str]) -> None:
    """Write the sections, and keep those of the file that were not measured now."""
    kept = path.read_text() if path.exists() else ""
    old = {
        match[1]: match[2].strip()
        for match in re.finditer(r"^## (\w+)\n(.*?)(?=^## |\Z)", kept, re.MULTILINE | re.DOTALL)
    }
    merged = {**old, **sections}
    head = (
        "# What many schemas cost\n\nMade by `python -m benchmarks.scale`, which says at its top what it does; each section"
        " tells when and where it was measured. Ratios along a row are what to read: absolute times are those of one"
        " machine.\n"
    )
    body = (f"\n## {name}\n\n{merged[name]}\n" for name in PARTS if name in merged)
    path.write_text(head + "".join(body))


def numbers(text: str) -> list[int]:
    return sorted({int(each) for each in text.split(",")})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--schemas", type=numbers, default=[0, 100, 1000, 3000])
    parser.add_argument("--tables", type=int, default=40)
    parser.add_argument("--fleet", type=numbers, default=[50, 100])
    parser.add_argument("--part", action="append", choices=PARTS, help="May be given repeatedly.")
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    if options.tables < 1 or not options.schemas[-1]:
        parser.error("Give at least one table, and a number of schemas above 0.")
    with PostgresServer(settings=DEFAULTS) as server:
        site = Site(server, options.tables)
        for name, text in run(site, options):
            # After each step: what a long run has measured is not lost with it.
            write(options.report, {name: f"{about(site)}\n\n{text}"})


def run(site: Site, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each section."""
    parts = set(options.part or PARTS)
    if "fleet" in parts:
        site.open("scale_fleet")
        yield "fleet", measure_fleet(site, options.fleet)
        site.close()
    if parts == {"fleet"}:
        return
    site.open("scale")
    prepare(site)
    if "growth" in parts:
        for text in grow(site, options.schemas):
            yield "growth", text
    else:
        site.fill(options.schemas[-1])
    if "locks" in parts:
        yield "locks", measure_locks(site)
    if "memory" in parts:
        yield "memory", measure_memory(site)
    site.close()


if __name__ == "__main__":
    main()

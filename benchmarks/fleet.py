"""What it costs to migrate a fleet: nothing to do, a new field with its index, Python in each schema.

    python -m benchmarks.fleet [--schemas 100,500] [--ours 50,1000,5000] [--fsync off,on] [--rounds 3]
        [--jobs N] [--alone] [--report FILE]

Needs the environment that `make benchmarks` makes; without the other packages (`--alone`) their rows are
left out. A PostgreSQL server of its own is started, and deleted at the end.

The project is `benchmarks/fleet_site`: 34 tables and 31 migrations in each schema, content types and
permissions among them. Each package has a copy of it and a database of its own. django-appschema's
fleet grows from one size to the next by `new_schema`, those of the other packages by copies of the first
schema that they have made themselves. What is measured is `manage.py` as a process, from its start to
its end, with its own output; before each new migration the files of a release are written.

In each round all take turns: `check`, a migrate with nothing to do, a release with a field and an index
beside a loop of psycopg that sends the same DDL and record, a release with a function that changes ten
rows one by one, beside a loop that calls the function. The loops undo what they did, untimed, and go
first and last by turns. The executors of the other packages are measured once, one after each round.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.fleet_project import FIELD, OURS, PGSCHEMAS, PYTHON, TENANTS, Project
from benchmarks.fleet_report import UNVERIFIED, Found, Spent, report
from benchmarks.workers import PROJECT
from tools.postgres import PostgresServer

REPORT = PROJECT / "benchmarks/results/fleet.md"
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
EXECUTORS = {
    (TENANTS, "standard"): ("migrate_schemas", "--executor=standard"),
    (TENANTS, "multiprocessing"): ("migrate_schemas", "--executor=multiprocessing"),
    (PGSCHEMAS, "sequential"): ("migrateschema", "--include-all-schemas"),
    (PGSCHEMAS, "parallel"): ("migrateschema", "--include-all-schemas", "--parallel"),
}


class Fleet:
    """The schemas of one package, which become more and more, and a process that looks after them."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.size = 0
        project.write()
        self.worker = project.worker()
        self.worker.ask("set up")
        # The first start compiles what it imports.
        project.manage("check")

    def grow(self, size: int) -> None:
        """Make schemas until there are so many, each like the newest release."""
        self.worker.ask("grow", first=self.size, last=size, width=self.project.connections)
        self.worker.ask("tidy")
        self.size = size

    def loop(self, do: str, **details: object) -> float:
        """Return the seconds that something takes which is done in each schema without migrate."""
        return float(self.worker.ask(do, schemas=self.size, **details))

    def verify(self) -> None:
        """End this program unless each schema has each release once."""
        project = self.project
        calls = sum(name.endswith(PYTHON) for name in project.releases)
        wanted = [project.releases, project.fields or None, 1 + len(project.fields), [calls]]
        found = self.worker.ask("states", count=self.size)
        if found != [wanted]:
            raise SystemExit(
                f"The schemas of {project.variant} are not what they should be after the releases."
                f" Found {found!r}, and not only {wanted!r}."
            )


class Durability:
    """Switches a running server between working for good and working fast."""

    def __init__(self, url: str) -> None:
        self._url = url

    def switch(self, mode: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name in DURABILITY:
                connection.execute(f"ALTER SYSTEM SET {name} TO {mode}".encode())
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CHECKPOINT")
        while self._ask() != [mode] * len(DURABILITY):
            time.sleep(0.1)
        # What was written without it is not to be waited for by those who are measured.
        os.sync()

    def _ask(self) -> list[str]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            rows = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in DURABILITY]
        return [str(row[0]) for row in rows if row]


def one_round(fleet: Fleet, found: Found, options: argparse.Namespace, number: int) -> None:
    """Measure ours once; *number* tells who goes first."""
    project, jobs = fleet.project, found.jobs_option
    found.note("check", project.manage("check"))
    found.note("nothing", project.manage("migrate", *jobs))
    name = project.release(FIELD)
    in_turn(
        number,
        lambda: found.note("DDL", Spent(fleet.loop("send", release=name, width=found.jobs))),
        lambda: found.note(FIELD, project.manage("migrate", *jobs)),
    )
    if options.without_verification:
        project.release(FIELD)
        run = project.manage("migrate", *jobs, options.without_verification)
        found.note(UNVERIFIED, run)
    found.note("nothing", project.manage("migrate", *jobs))
    name = project.release(PYTHON)
    in_turn(
        number,
        lambda: found.note("call", Spent(fleet.loop("call", release=name))),
        lambda: found.note(PYTHON, project.manage("migrate", *jobs)),
    )


def in_turn(number: int, first: Callable[[], None], second: Callable[[], None]) -> None:
    for act in (first, second) if number % 2 == 0 else (second, first):
        act()


def measure(
    ours: Fleet, peers: dict[str, Fleet], found: Found, options: argparse.Namespace
) -> None:
    """Measure one size in one mode, the others' executors between the rounds."""
    waiting = [key for key in EXECUTORS if key[0] in peers]
    for number in range(max(options.rounds, len(waiting))):
        if number < options.rounds:
            one_round(ours, found, options, number)
        if number < len(waiting):
            measure_peer(peers, waiting[number], found)
        found.loads.append(os.getloadavg()[0])


def measure_peer(peers: dict[str, Fleet], key: tuple[str, str], found: Found) -> None:
    project, words = peers[key[0]].project, EXECUTORS[key]
    spent = found.peers[key]
    spent["check"] = project.manage("check")
    spent["nothing"] = project.manage(*words)
    project.release(FIELD)
    spent[FIELD] = project.manage(*words)


def measure_all(
    fleets: dict[str, Fleet], durability: Durability, options: argparse.Namespace
) -> list[Found]:
    beside, alone = numbers(options.schemas), numbers(options.ours)
    ours, all_found = fleets[OURS], []
    can_be_parallel = ours.project.takes("migrate", "--jobs")
    for size in sorted({*beside, *alone}):
        peers = {name: fleet for name, fleet in fleets.items() if name != OURS and size in beside}
        durability.switch("off")
        for fleet in (ours, *peers.values()):
            fleet.grow(size)
        for mode in options.fsync.split(","):
            durability.switch(mode)
            found = Found(size, mode, options.jobs if can_be_parallel else None)
            # The others take minutes: once for each size.
            measure(ours, peers if mode == options.fsync.split(",")[0] else {}, found, options)
            all_found.append(found)
        for fleet in (ours, *peers.values()):
            fleet.verify()
            found.holds[fleet.project.variant] = str(fleet.worker.ask("holds"))
    return all_found


def numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",") if each]


def open_fleets(
    server: PostgresServer, root: Path, options: argparse.Namespace, stack: ExitStack
) -> dict[str, Fleet]:
    fleets = {}
    for variant in (OURS,) if options.alone else (OURS, TENANTS, PGSCHEMAS):
        directory, name = root / variant, variant.replace("-", "_")
        directory.mkdir()
        with psycopg.connect(server.socket_url, autocommit=True) as maintenance:
            maintenance.execute(f"CREATE DATABASE {name}".encode())
        url = make_conninfo(server.socket_url, dbname=name)
        fleets[variant] = Fleet(Project(variant, directory, url, options.jobs))
        stack.callback(fleets[variant].worker.close)
    fleets[OURS].worker.ask("check models")
    return fleets


def main() -> None:
    """Read the arguments, measure, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--schemas", default="100,500", help="sizes with the other packages")
    parser.add_argument("--ours", default="50,1000,5000", help="sizes without them")
    parser.add_argument("--fsync", default="off,on", help="modes; the others run in the first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="connections, where there can be several"
    )
    parser.add_argument("--alone", action="store_true", help="without the other packages")
    parser.add_argument(
        "--without-verification",
        default="--no-fingerprints",
        metavar="OPTION",
        help="the option of migrate that leaves verification out, to be measured apart",
    )
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = PostgresServer()
        for name in DURABILITY:
            # What is given on its command line cannot be changed while it runs.
            del server.settings[name]
        stack.enter_context(server)
        fleets = open_fleets(server, root, options, stack)
        all_found = measure_all(fleets, Durability(server.socket_url), options)
        text = report(server, all_found, list(fleets))
        # Before the server is stopped, which may take long with so many files.
        options.report.write_text(text)
    print(text)  # noqa: T201 - the report is what the program is for


if __name__ == "__main__":
    main()

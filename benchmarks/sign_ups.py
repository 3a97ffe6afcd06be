"""What a sign-up costs: beside other packages, eight at once, and for the requests served meanwhile.

    python -m benchmarks.sign_ups [--tables 30,100] [--repeat 5] [--rounds 3] [--seconds 10] [--report FILE]

Needs the environment that `make benchmarks` makes; without the other packages (`--alone`) their rows are
left out. A PostgreSQL server of its own is started with PostgreSQL's default settings (fsync, 64 locks
per transaction) and deleted at the end. The tables are those of `benchmarks.provisioning`: each with an
index on its title and two foreign keys, one of them to a shared table; content types and permissions
beside them. Each variant has a process and a database of its own, and all take turns; psycopg's message
goes into ours, since a foreign key takes the longer the more others refer to the same table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.provisioning import SERVER, timed, write_project
from benchmarks.workers import PROJECT, Worker
from tools.postgres import PostgresServer

REPORT = PROJECT / "benchmarks/results/sign_ups.md"
OURS, MESSAGE, SPARE, TEMPLATE, REFILL = "appschema", "psycopg", "spare", "template", "refill"
PEERS = (
    "django-tenants", "django-tenants, clone", "django-pgschemas", "django-pgschemas, clone",
)  # fmt: skip
TITLES = {
    MESSAGE: "psycopg, the same DDL and rows as one message",
    SPARE: "django-appschema, `new_schema` from a spare",
    TEMPLATE: "django-appschema, `new_schema` from the template",
    "django-tenants": "django-tenants, `Tenant.save()`",
    "django-tenants, clone": "django-tenants, `Tenant.save()` with `TENANT_BASE_SCHEMA`",
    "django-pgschemas": "django-pgschemas, `Tenant.save()`",
    "django-pgschemas, clone": "django-pgschemas, `Tenant.save()` with `CLONE_REFERENCE`",
}
PHASES = {
    "quiet": "no schema is created",
    TEMPLATE: "schemas are created from the template",
    SPARE: "schemas are created from spares",
    REFILL: "spares are made",
}
THREADS = 8
EACH = 10
"""Schemas that each of the eight creates."""

CREATIONS = 2.0
REQUESTS = 15.0
"""Schemas a second, and requests a second of each of the eight threads."""

CLAIM, REPLAY, SLOWER = 0.010, 1.2, 1.5
"""The bars: seconds of a claim, times psycopg's message, times the quiet 95th percentile."""


@dataclass
class Phase:
    """What was found while requests were served, over all rounds."""

    requests: list[float] = field(default_factory=list)
    p95s: list[float] = field(default_factory=list)
    creations: list[float] = field(default_factory=list)
    request_failures: list[str] = field(default_factory=list)
    creation_failures: list[str] = field(default_factory=list)
    lasted: float = 0.0
    """Seconds of all creations, with the pauses between them."""

    @property
    def rate(self) -> float:
        """Schemas that were created in a second."""
        return len(self.creations) / self.lasted if self.lasted else 0.0


@dataclass
class Found:
    """What was found with so many tables; times in seconds."""

    tables: int
    made: dict[str, str] = field(default_factory=dict)
    """What a schema holds then: tables, indexes, foreign keys."""

    beside: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    at_once: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=lambda: {each: Phase() for each in PHASES})
    references: list[int] = field(default_factory=list)
    """Foreign keys to the shared table, before each round and after the last."""

    loads: list[float] = field(default_factory=list)

    def ratio(self, key: str) -> float:
        """Return the median of *key* as a multiple of psycopg's message."""
        return statistics.median(self.beside[key]) / statistics.median(self.beside[MESSAGE])

    def slower(self, phase: str) -> float:
        """Return the 95th percentile of requests as a multiple of the quiet one, by rounds."""
        pairs = zip(self.phases[phase].p95s, self.phases["quiet"].p95s, strict=True)
        return statistics.median(busy / quiet for busy, quiet in pairs)


@dataclass(frozen=True)
class Site:
    """A server, the directory of the written apps, and the app of so many tables."""

    url: str
    root: Path
    app: str

    @contextmanager
    def worker(self, variant: str, *, shared: bool = False) -> Iterator[Worker]:
        """Start a process of *variant*, in a new database unless it shares that of the others."""
        environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.sign_up_site.settings",
            "BENCHMARK_VARIANT": variant,
            "BENCHMARK_APP": self.app,
            "BENCHMARK_URL": self.url_of(variant),
        }
        if not shared:
            self.make_database(self.name_of(variant))
        worker = Worker("benchmarks.sign_up_worker", environment, self.root)
        try:
            yield worker
        finally:
            worker.close()

    def name_of(self, variant: str) -> str:
        return f"{self.app}_{(OURS, *PEERS).index(variant)}"

    def url_of(self, variant: str) -> str:
        return make_conninfo(self.url, dbname=self.name_of(variant))

    def make_database(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as maintenance:
            maintenance.execute(f"CREATE DATABASE {name}")


def measure(site: Site, found: Found, peers: tuple[str, ...], options: argparse.Namespace) -> None:
    """Measure everything with one size of schema."""
    with ExitStack() as stack:
        with site.worker(OURS) as first:
            first.ask("write migrations", labels=["plans", site.app])
            first.ask("set up")
        ours = stack.enter_context(site.worker(OURS, shared=True))
        others = {each: stack.enter_context(site.worker(each)) for each in peers}
        for each in others.values():
            each.ask("set up")
        beside(found, site.url_of(OURS), ours, others, options.repeat)
        count_all(site, found, peers)
        found.loads.append(os.getloadavg()[0])
        for each in others.values():
            each.close()
        server = stack.enter_context(site.worker(OURS, shared=True))
        server.ask("serve", seconds=1, rate=REQUESTS)
        for number in range(options.rounds):
            found.references.append(count_references(site))
            beside_requests(found, server, ours, number, options.seconds)
        found.references.append(count_references(site))
        server.close()
        found.loads.append(os.getloadavg()[0])
        ours.ask("refill", count=THREADS * options.each)
        found.at_once = ours.ask("create at once", prefix="once", each=options.each)
        found.loads.append(os.getloadavg()[0])


def beside(found: Found, url: str, ours: Worker, others: dict[str, Worker], repeat: int) -> None:
    """Let each variant create one schema in turn; the first time counts for nobody."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as plain:
        for number in range(repeat + 1):
            script = f"BEGIN;{ours.ask('script', name=f'plain{number}')};COMMIT"
            ways = {
                MESSAGE: partial(timed, partial(plain.execute, script)),
                TEMPLATE: partial(ours.ask, "create", name=f"replayed{number}"),
            }
            # The later one finds more keys that refer to the shared table.
            turns = list(ways) if number % 2 else reversed(ways)
            times = {way: ways[way]() for way in turns}
            ours.ask("refill", count=1)
            times[SPARE] = ours.ask("create", name=f"claimed{number}")
            for name, worker in others.items():
                times[name] = worker.ask("create", name=f"peer{number}")
            for name, spent in times.items():
                if number:
                    found.beside[name].append(spent)
        found.made[MESSAGE] = count_of(plain, "plain0")


COUNT = """
SELECT count(*) FILTER (WHERE relkind = 'r') || ', ' || count(*) FILTER (WHERE relkind = 'i') || ', '
    || (SELECT count(*) FROM pg_constraint WHERE connamespace = %(name)s::regnamespace AND contype = 'f')
FROM pg_class WHERE relnamespace = %(name)s::regnamespace
"""


def count_of(connection: psycopg.Connection, schema_name: str) -> str:
    """Return how many tables, indexes and foreign keys are in a schema."""
    row = connection.execute(COUNT, {"name": schema_name}).fetchone()
    return str(row[0]) if row else ""


def count_all(site: Site, found: Found, peers: tuple[str, ...]) -> None:
    """Look into one schema of each way: all have to hold the same."""
    last = {TEMPLATE: (OURS, "replayed0"), SPARE: (OURS, "claimed0")}
    for key, (variant, schema_name) in (last | {each: (each, "peer0") for each in peers}).items():
        with psycopg.connect(site.url_of(variant)) as connection:
            found.made[key] = count_of(connection, schema_name)


def count_references(site: Site) -> int:
    with psycopg.connect(site.url_of(OURS)) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_constraint WHERE confrelid = 'public.plans_plan'::regclass"
        ).fetchone()
    return int(row[0]) if row else 0


def beside_requests(
    found: Found, server: Worker, ours: Worker, number: int, seconds: float
) -> None:
    """Serve requests in each of the phases, in an order that turns with the rounds."""
    # One second more: requests begin after the connections are made.
    creations = round((seconds + 1) * CREATIONS)
    names = list(PHASES)
    for name in names[number % len(names) :] + names[: number % len(names)]:
        # None are left over by a claim that failed.
        ours.ask("refill", count=0)
        if name == SPARE:
            ours.ask("refill", count=creations)
        server.order("serve", seconds=seconds, rate=REQUESTS)
        phase = found.phases[name]
        if name != "quiet":
            if name == REFILL:
                made = ours.ask("refill steadily", seconds=seconds)
            else:
                prefix = f"{name}{number}x"
                made = ours.ask("create steadily", prefix=prefix, count=creations, rate=CREATIONS)
            phase.creations += made["times"]
            phase.creation_failures += made["failures"]
            phase.lasted += made["lasted"]
            # They came from where it is said.
            left = len(made["times"]) if name == REFILL else 0
            assert abs(ours.ask("spares") - left) <= len(made["failures"])
        served = server.answer()
        phase.requests += served["times"]
        phase.p95s.append(percentile(served["times"], 95))
        phase.request_failures += served["failures"]


def percentile(times: list[float], of: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[of - 1]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g}" if seconds < 1 else f"{seconds * 1000:.0f}"


def tell_bars(all_found: list[Found]) -> list[str]:
    rows = []
    for found in all_found:
        of = f"{found.tables} tables"
        claim = statistics.median(found.beside[SPARE])
        rows += [
            (
                f"{of}: a claim by itself takes at most 10 ms (median)",
                f"{ms(claim)} ms",
                claim <= CLAIM,
            ),
            (
                f"{of}: from the template, at most {REPLAY} times psycopg's message",
                f"{found.ratio(TEMPLATE):.2f}",
                found.ratio(TEMPLATE) <= REPLAY,
            ),
        ]
        for name in (TEMPLATE, SPARE, REFILL):
            title = (
                f"{of}: p95 of requests, while {PHASES[name]}, at most {SLOWER} times the quiet one"
            )
            rows.append((title, f"{found.slower(name):.2f}", found.slower(name) <= SLOWER))
        failed = sum(len(each.request_failures) for each in found.phases.values())
        rows.append((f"{of}: no request fails", f"{failed} failed", not failed))
    busy = max(load for found in all_found for load in found.loads) > (os.cpu_count() or 1)
    doubt = ", doubtful: the machine was not quiet" if busy else ""
    return [
        *("", "## The bars", "", "| bar | found | verdict |", "| --- | --: | --- |"),
        *(
            f"| {bar} | {figure} | {'met' if met else 'missed'}{doubt} |"
            for bar, figure, met in rows
        ),
    ]


def tell_beside(all_found: list[Found]) -> list[str]:
    sizes = " | ".join(f"{each.tables} tables, ms | ratio | holds" for each in all_found)
    lines = [
        *("", "## One sign-up", ""),
        "Median (least-most), and the median's ratio to psycopg's message. Row and public name are made too,",
        "but by psycopg. Each schema holds so many tables, indexes and foreign keys.",
        *("", f"| way | {sizes} |", f"| --- |{' --: |' * 3 * len(all_found)}"),
    ]
    for key, title in TITLES.items():
        if all_found[0].beside.get(key):
            cells = (
                f"{ms(statistics.median(each.beside[key]))}"
                f" ({ms(min(each.beside[key]))}-{ms(max(each.beside[key]))}) | {each.ratio(key):.2f}"
                f" | {each.made[key]}"
                for each in all_found
            )
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def tell_at_once(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## Eight at once", ""),
        "Eight threads of one process claim spares, each one after the other, without a pause. They wait for their turn in",
        "Python: the last column is what the process computes for each claim, which the others wait for.",
        *("", "| tables | claims | median ms | p95 | p99 | failed | CPU ms |", f"|{' --: |' * 7}"),
    ]
    for found in all_found:
        times, failures = found.at_once["times"], found.at_once["failures"]
        lines.append(
            f"| {found.tables} | {len(times)} | {ms(statistics.median(times))}"
            f" | {ms(percentile(times, 95))} | {ms(percentile(times, 99))} | {len(failures)}"
            f" | {ms(found.at_once['cpu'])} |"
        )
    return lines


def tell_requests(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## Beside requests", ""),
        f"Eight threads of one process serve {REQUESTS:g} requests a second each, by the WSGI handler, under",
        "ATOMIC_REQUESTS: one reads and writes a row of the shared table that foreign keys refer to, and writes and",
        f"reads a row of its schema. Another process creates {CREATIONS:g} schemas a second, or makes one spare after the",
        "other. A request's time begins when it was due, so that waiting for the one before counts. The ratio is the median",
        "of the rounds'. Spares that are given away were made before.",
        "",
        "| tables | while | requests | p50 ms | p95 | p99 | most | p95 of each round | ratio | failed | created | a second | median ms of that | failed |",
        f"| --: | --- |{' --: |' * 12}",
    ]
    for found in all_found:
        for name, title in PHASES.items():
            phase = found.phases[name]
            made = statistics.median(phase.creations) if phase.creations else None
            lines.append(
                f"| {found.tables} | {title} | {len(phase.requests)}"
                f" | {ms(statistics.median(phase.requests))} | {ms(percentile(phase.requests, 95))}"
                f" | {ms(percentile(phase.requests, 99))} | {ms(max(phase.requests))}"
                f" | {', '.join(map(ms, phase.p95s))}"
                f" | {found.slower(name):.2f} | {len(phase.request_failures)}"
                f" | {len(phase.creations)} | {phase.rate:.1f} | {ms(made) if made else '-'}"
                f" | {len(phase.creation_failures)} |"
            )
    lines += [
        "",
        "PostgreSQL keeps two triggers at the shared table for each foreign key to it, and looks at them all with each UPDATE.",
        *(
            f"With {found.tables} tables there were {', '.join(map(str, found.references[:-1]))} such keys before each"
            f" round, and {found.references[-1]} after the last."
            for found in all_found
        ),
    ]
    return lines


def tell_failures(all_found: list[Found]) -> list[str]:
    said = {
        message
        for found in all_found
        for each in (
            found.at_once["failures"],
            *(phase.request_failures for phase in found.phases.values()),
            *(phase.creation_failures for phase in found.phases.values()),
        )
        for message in each[:3]
    }
    return ["", "## What failed", "", *(f"* {each}" for each in sorted(said))] if said else []


def tell_machine(server: PostgresServer, all_found: list[Found], packages: list[str]) -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    loads = [load for found in all_found for load in found.loads]
    return [
        "# What a sign-up costs",
        "",
        "Made by `python -m benchmarks.sign_ups`, which says at its top what it does.",
        (
            f"{datetime.now(UTC):%Y-%m-%d}. Python {platform.python_version()}, {versions}; PostgreSQL"
            f" {server.binaries.version} over a unix socket, {os.cpu_count()} cores. Load of the machine"
            f" (one minute) after each part: {', '.join(f'{load:.1f}' for load in loads)};"
            f" niceness {os.nice(0)}."
        ),
    ]


def report(server: PostgresServer, all_found: list[Found], peers: tuple[str, ...]) -> str:
    packages = ["Django", "psycopg", *(each for each in peers if "," not in each)]
    lines = [
        *tell_machine(server, all_found, packages),
        *tell_bars(all_found),
        *tell_beside(all_found),
        *tell_requests(all_found),
        *tell_at_once(all_found),
        *tell_failures(all_found),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments, measure, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tables", default="30,100")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--each", type=int, default=EACH, help="claims of each of the eight")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each phase of each round")
    parser.add_argument("--alone", action="store_true", help="without the other packages")
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    peers = () if options.alone else PEERS
    all_found = [Found(int(each)) for each in options.tables.split(",")]
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(PostgresServer(settings=SERVER))
        for found in all_found:
            site = Site(server.socket_url, root, write_project(root, found.tables))
            measure(site, found, peers, options)
        text = report(server, all_found, peers)
        options.report.write_text(text)
    print(text)  # noqa: T201 - the report is what the program is for


if __name__ == "__main__":
    main()

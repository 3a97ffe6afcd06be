"""What a request costs beside plain Django: its time, and its messages on the wire.

    python -m benchmarks.requests [--rounds N] [--report FILE] [URL]

The same views, by the WSGI and the ASGI handler without a server, in turn for 50 hosts. Each
variant has a process and a database of its own, and all are asked in turn for a few requests, in a
new order each time, so that a change of the machine's speed hits all alike; what counts is the
ratio to plain Django within a round. URL names a PostgreSQL server on which databases may be created
(default: DATABASE_URL, or a server of its own); its host may be a directory, for a unix socket.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.request_worker import HOSTS
from benchmarks.wire import Relay, Traffic
from benchmarks.workers import PROJECT, Worker
from tools.postgres import PostgresServer

REPORT = PROJECT / "benchmarks/results/requests.md"
PLAIN, OURS = "plain", "appschema"
VARIANTS = (PLAIN, OURS, "django-tenants", "django-pgschemas")
MODES = ("wsgi", "asgi")
VIEWS = {
    "/plain/0/": "no query",
    "/plain/1/": "1 query",
    "/plain/5/": "5 queries",
    "/atomic/1/": "1 query, ATOMIC_REQUESTS",
    "/atomic/5/": "5 queries, ATOMIC_REQUESTS",
}
BARS = {"/plain/1/": 1.15, "/plain/5/": 1.08}
BLOCK = 10
"""After so many requests it is another variant's turn: a machine seldom keeps its speed for a whole round."""

DOUBTFUL_SPREAD = 0.10
"""A ratio whose middle half spreads wider than this is called doubtful."""

Key = tuple[str, str, str]  # mode, view, variant


def start(variant: str, mode: str, url: str) -> Worker:
    """Start the process of one variant; see ``request_worker``."""
    environment = {
        "BENCHMARK_VARIANT": variant,
        "BENCHMARK_MODE": mode,
        "BENCHMARK_URL": url,
    }
    return Worker("benchmarks.request_worker", environment)


@dataclass
class Results:
    """What was measured."""

    times: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The median time of a request in each round, in microseconds."""

    fast: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The time of the request at the fifth percentile of each round."""

    cpu: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The client's processor time of a request in each round."""

    traffic: dict[Key, Traffic] = field(default_factory=dict)
    kinds: dict[str, dict[str, Traffic]] = field(default_factory=lambda: defaultdict(dict))
    """By the title of the kind and by the variant."""


@contextmanager
def databases(url: str) -> Iterator[dict[str, str]]:
    """Make a database for each variant, with its tables, and yield their URLs."""
    names = {variant: f"benchmark_{variant.replace('-', '_')}" for variant in VARIANTS}
    urls = {variant: make_conninfo(url, dbname=name) for variant, name in names.items()}
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        try:
            for variant, each in urls.items():
                worker = start(variant, "wsgi", each)
                worker.ask("set up")
                worker.close()
            yield urls
        finally:
            for name in names.values():
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def count(urls: dict[str, str], results: Results) -> None:
    """Count what each view and each kind of statement sends, once warm."""
    for variant, url in urls.items():
        relay = Relay(url)
        for mode in MODES:
            worker = start(variant, mode, relay.url_of(url))
            for view in VIEWS:
                worker.ask("time", path=view, hosts=HOSTS * 2)
                relay.take()
                worker.ask("time", path=view, hosts=HOSTS)
                results.traffic[mode, view, variant] = relay.take()
            worker.close()
        if variant in (PLAIN, OURS):
            worker = start(variant, "kinds", relay.url_of(url))
            for title in worker.ask("kinds"):
                worker.ask("kind", name=title)
                relay.take()
                worker.ask("kind", name=title)
                results.kinds[title][variant] = relay.take()
            worker.close()
        relay.close()


def measure(urls: dict[str, str], rounds: int, results: Results) -> None:
    """Time each view of each variant, in turn."""
    with ExitStack() as stack:
        workers = {
            (variant, mode): start(variant, mode, url)
            for variant, url in urls.items()
            for mode in MODES
        }
        for each in workers.values():
            stack.callback(each.close)
        for worker in workers.values():
            for view in VIEWS:
                worker.ask("time", path=view, hosts=HOSTS * 4)
        order = random.Random(1)  # noqa: S311 - only the order of the measurements
        for number in range(rounds):
            for mode in MODES:
                for view in VIEWS:
                    times = defaultdict[str, list[float]](list)
                    cpu = dict.fromkeys(VARIANTS, 0.0)
                    for first in range(0, len(HOSTS), BLOCK):
                        for variant in order.sample(VARIANTS, len(VARIANTS)):
                            hosts = HOSTS[first : first + BLOCK]
                            found = workers[variant, mode].ask("time", path=view, hosts=hosts)
                            times[variant] += found["times"]
                            cpu[variant] += found["cpu"]
                    for variant in VARIANTS:
                        key = mode, view, variant
                        ordered = sorted(times[variant])
                        results.times[key].append(statistics.median(ordered) * 1e6)
                        results.fast[key].append(ordered[len(ordered) // 20] * 1e6)
                        results.cpu[key].append(cpu[variant] / len(HOSTS) * 1e6)
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {rounds} rounds", end="", file=sys.stderr)  # noqa: T201


def ratios(of: dict[Key, list[float]], key: Key) -> tuple[float, float, float]:
    """Return the quartiles of the ratios to plain Django, round by round."""
    mode, view, _ = key
    each = [ours / plain for ours, plain in zip(of[key], of[mode, view, PLAIN], strict=True)]
    low, middle, high = statistics.quantiles(each, n=4)
    return low, middle, high


def tell_times(results: Results, mode: str) -> list[str]:
    lines = [
        "",
        f"## Time of a request, {mode.upper()}",
        "",
        (
            "| view | variant | median µs | p5 µs | ratio to plain | middle half of the ratios"
            " | ratio of the client's processor time |"
        ),
        "| --- | --- | --: | --: | --: | --- | --: |",
    ]
    for view, title in VIEWS.items():
        for variant in VARIANTS:
            key = mode, view, variant
            low, middle, high = ratios(results.times, key)
            lines.append(
                f"| {title} | {variant} | {statistics.median(results.times[key]):.0f}"
                f" | {statistics.median(results.fast[key]):.0f} | {middle:.3f}"
                f" | {low:.3f} to {high:.3f} | {ratios(results.cpu, key)[1]:.3f} |"
            )
    return lines


def tell_bars(results: Results) -> list[str]:
    lines = [
        "",
        "## The bars",
        "",
        "| bar | found | verdict |",
        "| --- | --- | --- |",
    ]
    for mode in MODES:
        for view, bar in BARS.items():
            low, middle, high = ratios(results.times, (mode, view, OURS))
            verdict = "met" if middle <= bar else "missed"
            if high - low > DOUBTFUL_SPREAD:
                verdict += ", doubtful: the machine was not quiet"
            lines.append(
                f"| {mode.upper()}, {VIEWS[view]}: at most {bar} of plain Django's time"
                f" | {middle:.3f} ({low:.3f} to {high:.3f}) | {verdict} |"
            )
    equal = all(
        results.traffic[mode, view, OURS].messages == results.traffic[mode, view, PLAIN].messages
        for mode in MODES
        for view in VIEWS
    )
    lines.append(
        "| as many messages as plain Django in every view | "
        f"{'yes' if equal else 'no'} | {'met' if equal else 'missed'} |"
    )
    return lines


def tell_traffic(results: Results) -> list[str]:
    lines = [
        "",
        "## What a request sends",
        "",
        "Counted, not timed. A request is one of 50 in turn over 50 hosts.",
        "",
        "| handler | view | variant | messages | round trips | bytes sent | bytes answered |",
        "| --- | --- | --- | --: | --: | --: | --: |",
    ]
    for key in [(mode, view, variant) for mode in MODES for view in VIEWS for variant in VARIANTS]:
        mode, view, variant = key
        traffic = results.traffic[key]
        each = len(HOSTS)
        lines.append(
            f"| {mode.upper()} | {VIEWS[view]} | {variant} | {traffic.total / each:g}"
            f" | {traffic.round_trips / each:g} | {traffic.sent_bytes / each:.0f}"
            f" | {traffic.answered_bytes / each:.0f} |"
        )
    return lines


def tell_kinds(results: Results) -> list[str]:
    lines = [
        "",
        "## What each kind of statement sends",
        "",
        "Plain Django, then django-appschema, on a connection that is open. Flush is not counted.",
        "",
        "| statement | messages | | round trips | | bytes sent | | bytes answered | |",
        "| --- | --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    for title, each in results.kinds.items():
        plain, ours = each[PLAIN], each[OURS]
        lines.append(
            f"| {title} | {plain.summary()} | {ours.summary()} | {plain.round_trips}"
            f" | {ours.round_trips} | {plain.sent_bytes} | {ours.sent_bytes}"
            f" | {plain.answered_bytes} | {ours.answered_bytes} |"
        )
    return lines


def tell_machine(url: str, rounds: int) -> list[str]:
    with psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version")
    packages = ", ".join(
        f"{name} {_version(name)}"
        for name in ("Django", "psycopg", "psycopg-binary", *VARIANTS[2:])
    )
    host = str(conninfo_to_dict(url).get("host", ""))
    way = "a unix socket" if host.startswith("/") else "TCP on the loopback interface"
    return [
        "# What a request costs",
        "",
        "Made by `make benchmarks`, which runs `python -m benchmarks.requests`.",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}. Python {platform.python_version()}, {packages};"
            f" PostgreSQL {server} over {way}. {_processor()}, {os.cpu_count()} cores,"
            f" {platform.system()}. {rounds} rounds of {len(HOSTS)} requests of each view of each"
            f" variant; load of the machine at the end {os.getloadavg()[0]:.1f}."
        ),
        "",
        (
            "The handlers are called without a server. All variants are warm, serve"
            f" {len(HOSTS)} hosts in turn, each in a process and a database of its own, and are asked"
            f" in turn, in a new order, for {BLOCK} requests at a time. The figures of time are medians over the rounds of each"
            " round's median (and fifth percentile); a ratio is that to plain Django in the same"
            " round. A query gets one row by its primary key. Under ASGI all have a pool of one"
            " connection, else connections stay open."
        ),
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise SystemExit(
            f"The package {name!r} is not installed. Run 'make benchmarks', which installs it."
        ) from error


def run(url: str, rounds: int) -> str:
    """Measure everything on the server at *url* and return the report."""
    results = Results()
    for name in ("Django", *VARIANTS[2:]):
        _version(name)
    with databases(url) as urls:
        count(urls, results)
        measure(urls, rounds, results)
    lines = [*tell_machine(url, rounds), *tell_bars(results)]
    for mode in MODES:
        lines += tell_times(results, mode)
    return "\n".join([*lines, *tell_traffic(results), *tell_kinds(results), ""])


def main() -> None:
    """Read the arguments, measure, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url", nargs="?", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    if options.url:
        text = run(options.url, options.rounds)
    else:
        with PostgresServer() as server:
            text = run(server.url, options.rounds)
    options.report.write_text(text)
    print(text)  # noqa: T201 - the report is what the program is for


if __name__ == "__main__":
    main()

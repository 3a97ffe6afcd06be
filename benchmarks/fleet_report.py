"""What the benchmark of fleet migrations has found, against its bars."""

from __future__ import annotations

import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.fleet_project import FIELD, OURS, PYTHON, TENANTS, Run
from tools.postgres import PostgresServer

NOTHING_MORE = ((1000, 0.5), (5000, 1.0))
"""Up to so many schemas a migrate with nothing to do takes at most so many seconds more than `check`."""

OF_LOOP, OF_CALL, OF_MEMORY = 1.5, 2.0, 1.2
VERIFIES = 1.5
NOTHING_FASTER, FIELD_FASTER, FASTER_FROM = 200, 40, 500
ASKED_FROM = 100
"""Schemas; with fewer what is left without the start is too little to tell."""

UNVERIFIED = "unverified"
"""The key of a field and its index without verification."""

Key = tuple[str, str]  # package, executor


@dataclass(frozen=True)
class Spent:
    """The seconds of a loop in a process that does other things too."""

    seconds: float


@dataclass
class Found:
    """What was found with so many schemas and in one mode of the server."""

    size: int
    mode: str
    asked_jobs: int | None
    """What `--jobs` was given; None if migrate has no such option."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    peers: dict[Key, dict[str, Run]] = field(default_factory=lambda: defaultdict(dict))
    holds: dict[str, str] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)

    def note(self, key: str, run: Run | Spent) -> None:
        self.seconds[key].append(run.seconds)
        if isinstance(run, Run):
            self.peaks[key].append(run.peak)

    @property
    def jobs(self) -> int:
        return self.asked_jobs or 1

    @property
    def jobs_option(self) -> tuple[str, ...]:
        return () if self.asked_jobs is None else ("--jobs", str(self.asked_jobs))

    def of(self, key: str) -> float:
        """Return the median of *key*, in seconds."""
        return statistics.median(self.seconds[key])

    def apart(self, key: str, start: str = "nothing") -> float:
        """Return the median of *key* without that of its start."""
        return self.of(key) - self.of(start)

    def peak(self, key: str) -> float:
        return statistics.median(self.peaks[key]) / 1e6

    def fastest(self, key: str, package: str = "", *, apart: bool = False) -> float | None:
        """Return the seconds of the fastest executor, of all packages or of one."""
        found = [
            runs[key].seconds - (runs["check"].seconds if apart else 0)
            for (name, _), runs in self.peers.items()
            if package in ("", name)
        ]
        return min(found) if found else None

    @property
    def title(self) -> str:
        return f"{self.size} schemas, fsync {self.mode}"


@dataclass(frozen=True)
class Bar:
    """What was to be reached, and whether it was."""

    what: str
    figure: str
    is_met: bool
    is_asked: bool = True
    doubt: str = ""

    def verdict(self) -> str:
        if not self.is_asked:
            return "not asked at this size"
        return f"{'met' if self.is_met else 'missed'}{self.doubt and f', doubtful: {self.doubt}'}"


def bars(all_found: list[Found]) -> list[Bar]:
    rows: list[Bar] = []
    for found in all_found:
        rows += [*_nothing_bars(found), *_field_bars(found)]
        ratio = found.apart(PYTHON) / found.of("call")
        what = f"a function in each schema, start-up apart, at most {OF_CALL:g} times the bare loop"
        rows.append(_ratio(found, PYTHON, what, ratio, OF_CALL))
    return [*rows, *_memory_bars(all_found)]


def _ratio(found: Found, key: str, what: str, ratio: float, most: float) -> Bar:
    starts = found.seconds["nothing"]
    is_lost = max(starts) - min(starts) > found.apart(key) / 2
    doubt = "starts differed by more than half of what was left without them" if is_lost else ""
    is_asked = found.size >= ASKED_FROM
    return Bar(f"{found.title}: {what}", f"{ratio:.2f}", ratio <= most, is_asked, doubt)


def _nothing_bars(found: Found) -> Iterable[Bar]:
    more = found.apart("nothing", "check")
    most = next((seconds for size, seconds in NOTHING_MORE if found.size <= size), None)
    if most is not None:
        what = f"{found.title}: nothing to do, at most {most:g} s more than `check`"
        yield Bar(what, f"{more:.2f} s", more <= most)
    if slower := found.fastest("nothing", TENANTS):
        times = slower / found.of("nothing")
        what = (
            f"{found.title}: nothing to do, at least {NOTHING_FASTER} times faster than {TENANTS}"
        )
        is_asked = found.size >= FASTER_FROM
        yield Bar(what, f"{times:.0f}", times >= NOTHING_FASTER, is_asked)
        # A start of Django takes longer than all that migrate does then.
        times = (found.fastest("nothing", TENANTS, apart=True) or 0) / max(more, 0.01)
        what = f"{found.title}: that, without `check` on both sides"
        yield Bar(what, f"{times:.0f}", times >= NOTHING_FASTER, is_asked)


def _field_bars(found: Found) -> Iterable[Bar]:
    key, aside = (UNVERIFIED, " and verification") if UNVERIFIED in found.seconds else (FIELD, "")
    ratio = found.apart(key) / found.of("DDL")
    what = f"a field and its index, start-up{aside} apart, at most {OF_LOOP:g} times the loop of psycopg"
    yield _ratio(found, key, what, ratio, OF_LOOP)
    if UNVERIFIED in found.seconds:
        spent = found.apart(FIELD, UNVERIFIED) * 1000 * found.jobs / found.size
        what = (
            f"{found.title}: verification, at most {VERIFIES:g} ms of a connection for each schema"
        )
        yield Bar(what, f"{spent:.2f} ms", spent <= VERIFIES, found.size >= ASKED_FROM)
    if slower := found.fastest(FIELD, apart=True):
        times = slower / found.apart(FIELD, "check")
        what = (
            f"{found.title}: that, without `check` on both sides, at least {FIELD_FASTER} times"
            " faster than the fastest executor of the others"
        )
        yield Bar(what, f"{times:.0f}", times >= FIELD_FASTER, found.size >= FASTER_FROM)


def _memory_bars(all_found: list[Found]) -> Iterable[Bar]:
    sizes = {found.size for found in all_found}
    least, most = min(sizes), max(sizes)
    for mode in dict.fromkeys(found.mode for found in all_found):
        few, many = (
            next(found for found in all_found if (found.size, found.mode) == (size, mode))
            for size in (least, most)
        )
        for key, title in (
            ("nothing", "nothing to do"),
            (FIELD, "a field"),
            (PYTHON, "a function"),
        ):
            ratio = many.peak(key) / few.peak(key)
            what = f"memory at {most} schemas, at most {OF_MEMORY:g} times that at {least}: {title}, fsync {mode}"
            yield Bar(what, f"{ratio:.2f}", ratio <= OF_MEMORY, most >= 20 * least)


def tell_bars(all_found: list[Found]) -> list[str]:
    lines = ["", "## The bars", ""]
    # Ours and the server are two that work.
    if max(load for found in all_found for load in found.loads) > (os.cpu_count() or 1) + 2:
        lines += ["The machine was not quiet: all verdicts are doubtful.", ""]
    lines += ["| bar | found | verdict |", "| --- | --: | --- |"]
    for bar in bars(all_found):
        lines.append(f"| {bar.what} | {bar.figure} | {bar.verdict()} |")
    return lines


def each(found: Found, seconds: float) -> str:
    return f"{seconds * 1000 / found.size:.2f}"


def spread(found: Found, key: str) -> str:
    """Return the median and, in brackets, the least and the most, in seconds."""
    values = found.seconds[key]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def tell_nothing(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## Nothing to do", ""),
        "Whole commands; the median (least-most).",
        "",
        "| schemas | fsync | `check`, s | `migrate`, s | more, s | more, ms for each schema |",
        f"| --: | --- |{' --: |' * 4}",
    ]
    for found in all_found:
        more = found.apart("nothing", "check")
        lines.append(
            f"| {found.size} | {found.mode} | {spread(found, 'check')} | {spread(found, 'nothing')}"
            f" | {more:.2f} | {each(found, more)} |"
        )
    return lines


def tell_field(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## A field with an index", ""),
        "`AddField` and `AddIndex`. *Apart* is without a migrate that has nothing to do; the loop of psycopg sends the",
        "same DDL and record to each schema as one message, on as many connections, which were there before.",
        "",
        "| schemas | fsync | connections | psycopg, s | ms for each | `migrate`, s | apart, s | ms for each | of psycopg | without verification, apart, s |",
        f"| --: | --- |{' --: |' * 8}",
    ]
    for found in all_found:
        apart, loop = found.apart(FIELD), found.of("DDL")
        unverified = f"{found.apart(UNVERIFIED):.2f}" if UNVERIFIED in found.seconds else "-"
        lines.append(
            f"| {found.size} | {found.mode} | {found.jobs} | {spread(found, 'DDL')} | {each(found, loop)}"
            f" | {spread(found, FIELD)} | {apart:.2f} | {each(found, apart)} | {apart / loop:.2f}"
            f" | {unverified} |"
        )
    return lines


def tell_python(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## A function in each schema", ""),
        "`RunPython` with a function that reads ten rows and updates them. The bare loop calls it in each schema, in a",
        "transaction, on one connection, with states that are rendered before time starts; it keeps no records.",
        "",
        "| schemas | fsync | bare loop, s | ms for each | `migrate`, s | of the loop | apart, s | ms for each | of the loop |",
        f"| --: | --- |{' --: |' * 7}",
    ]
    for found in all_found:
        apart, loop = found.apart(PYTHON), found.of("call")
        lines.append(
            f"| {found.size} | {found.mode} | {spread(found, 'call')} | {each(found, loop)}"
            f" | {spread(found, PYTHON)} | {found.of(PYTHON) / loop:.2f} | {apart:.2f}"
            f" | {each(found, apart)} | {apart / loop:.2f} |"
        )
    return lines


def tell_memory(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## Memory", ""),
        "The most that the process of the command had, in MB (median).",
        "",
        "| schemas | fsync | `check` | nothing to do | a field | a function |",
        f"| --: | --- |{' --: |' * 4}",
    ]
    for found in all_found:
        cells = (f"{found.peak(key):.1f}" for key in ("check", "nothing", FIELD, PYTHON))
        lines.append(f"| {found.size} | {found.mode} | {' | '.join(cells)} |")
    return lines


def tell_peers(all_found: list[Found]) -> list[str]:
    if not any(found.peers for found in all_found):
        return []
    lines = [
        *("", "## Beside other packages", ""),
        "Whole commands, measured once. *Faster* tells how many times less django-appschema took: for nothing to do the",
        "whole command, for a field what is left without `check` on both sides.",
        "",
        "| schemas | fsync | executor | `check`, s | nothing to do, s | ms for each | faster | a field and its index, s | ms for each | faster |",
        f"| --: | --- | --- |{' --: |' * 7}",
    ]
    for found in all_found:
        for key, runs in found.peers.items():
            start, nothing, added = (runs[each].seconds for each in ("check", "nothing", FIELD))
            faster = (added - start) / found.apart(FIELD, "check")
            lines.append(
                f"| {found.size} | {found.mode} | {', '.join(key)} | {start:.2f} | {nothing:.1f}"
                f" | {each(found, nothing - start)} | {nothing / found.of('nothing'):.0f} | {added:.1f}"
                f" | {each(found, added - start)} | {faster:.0f} |"
            )
    return lines


def tell_schemas(all_found: list[Found]) -> list[str]:
    lines = [
        *("", "## What was migrated", ""),
        "After each size all schemas were looked at: each had the records, fields and indexes of all releases once,",
        "and the function of each release had run once. In one of them there were at last so many",
        "things; the others keep permissions for the models of shared apps too.",
        "",
        "| schemas | package | tables, indexes, foreign keys, records of migrations, permissions |",
        "| --: | --- | --- |",
    ]
    for found in all_found:
        for name, told in found.holds.items():
            lines.append(f"| {found.size} | {name} | {told} |")
    return lines


def tell_machine(server: PostgresServer, all_found: list[Found], packages: list[str]) -> list[str]:
    names = ["Django", "psycopg", *(each for each in packages if each != OURS)]
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    loads = ", ".join(f"{found.loads[-1]:.1f}" for found in all_found)
    jobs = all_found[0].asked_jobs
    how = "walks from schema to schema" if jobs is None else f"has `--jobs {jobs}`"
    rounds = len(all_found[0].seconds["check"])
    return [
        "# What it costs to migrate a fleet",
        "",
        "Made by `python -m benchmarks.fleet`, which says at its top what it does.",
        (
            f"{datetime.now(UTC):%Y-%m-%d}. Python {platform.python_version()}, {versions}; PostgreSQL"
            f" {server.binaries.version} over a unix socket, {os.cpu_count()} cores. `migrate` {how}."
            f" Rounds: {rounds}. Load of the machine (one minute) at the end of each part: {loads};"
            f" niceness {os.nice(0)}."
        ),
    ]


def report(server: PostgresServer, all_found: list[Found], packages: list[str]) -> str:
    lines = [
        *tell_machine(server, all_found, packages),
        *tell_bars(all_found),
        *tell_nothing(all_found),
        *tell_field(all_found),
        *tell_python(all_found),
        *tell_memory(all_found),
        *tell_peers(all_found),
        *tell_schemas(all_found),
    ]
    return "\n".join(lines) + "\n"

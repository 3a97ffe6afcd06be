"""The outcomes of Django's test suite on two backends, compared test by test and written down.

Nothing here runs a test or asks a database: ``django_suite.py`` does, and passes the outcomes in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

NOT_RUN = "not run"
PASSED = "pass"
SKIP = "skip"
EXPECTED_FAILURE = "expected failure"
FAIL = "fail"
ERROR = "error"

BAD = frozenset({FAIL, ERROR, "unexpected success", NOT_RUN})

TSV_HEADER = ("series", "label", "test", "stock", "ours", "verdict", "detail")

INTRODUCTION = """\
# Django's own test suite on the appschema backend

Django's sdist contains its test suite. `make django-suite` runs the labels below twice, on the stock
backend `django.db.backends.postgresql` and on `appschema.backends.postgresql` with the schema
`public` active, and compares every test by its id. A test is *worse on ours* when it
passes on the stock backend and does not on ours (it fails, is skipped or is not run), or when it
fails on ours and not on the stock backend. Before it counts, its whole label is run again on both,
and then the test by itself: it counts unless ours does as well as the stock backend both times. A
failed subtest is a failure of its test; an expected failure is counted as a pass.

`django-suite.tsv` lists every test that fails on either backend or whose outcomes differ. Both files
are written by `tools/django_suite.py`, which replaces what it knows of the same series of Django.
"""


@dataclass(frozen=True)
class Outcome:
    """How one test ended on one backend; ``detail`` is its traceback, or why it was skipped."""

    status: str
    detail: str = ""


MISSING = Outcome(NOT_RUN)

Outcomes = Mapping[str, Outcome]


def is_worse(stock: Outcome, ours: Outcome) -> bool:
    """Tell whether ours lost a test that passes on the stock backend, or fails where that does not."""
    if stock.status == PASSED:
        return ours.status != PASSED
    if stock.status == NOT_RUN:
        # A class-level failure (setUpClass) has a record only where it happened.
        return ours.status in BAD - {NOT_RUN}
    return ours.status in BAD and stock.status not in BAD


@dataclass(frozen=True)
class Comparison:
    """One label on both backends.

    ``unrepeated`` names the tests that were worse on ours at first and not when they were run again.
    """

    label: str
    stock: Outcomes
    ours: Outcomes
    unrepeated: frozenset[str] = frozenset()

    def tests(self) -> list[str]:
        return sorted({*self.stock, *self.ours})

    def pair(self, test: str) -> tuple[Outcome, Outcome]:
        return self.stock.get(test, MISSING), self.ours.get(test, MISSING)

    def suspects(self) -> list[str]:
        """Return the tests that are worse on ours in this run."""
        return [test for test in self.tests() if is_worse(*self.pair(test))]

    def worse(self) -> list[str]:
        """Return the suspects that stayed worse when they were run again."""
        return [test for test in self.suspects() if test not in self.unrepeated]

    def exceptions(self) -> list[str]:
        """Return every test that fails on either backend, or whose outcomes differ."""
        return [test for test in self.tests() if not _alike_and_good(*self.pair(test))]


def _alike_and_good(stock: Outcome, ours: Outcome) -> bool:
    return stock.status == ours.status and stock.status not in BAD


@dataclass(frozen=True)
class Report:
    """The comparison of all labels under one version of Django."""

    series: str
    versions: Mapping[str, str]
    comparisons: Sequence[Comparison]
    absent: Sequence[str]
    missing: Sequence[str]

    def worse(self) -> list[tuple[Comparison, str]]:
        return [
            (comparison, test) for comparison in self.comparisons for test in comparison.worse()
        ]


def section(report: Report) -> str:
    """Return the report as Markdown, between the marks by which a later run replaces it."""
    paragraphs = [
        f"## Django {report.series}",
        "\n".join(
            _row(cells)
            for cells in (report.versions, ["---"] * len(report.versions), report.versions.values())
        ),
        "\n".join(_table(report)),
        *_absences(report),
        *_worse(report),
        *_unrepeated(report),
        *_failing_on_both(report),
    ]
    return (
        _begin(report.series) + "\n" + "\n\n".join(paragraphs) + "\n" + _end(report.series) + "\n"
    )


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _table(report: Report) -> Iterator[str]:
    columns = [
        "tests",
        *(
            f"{side} {status}"
            for side in ("stock", "ours")
            for status in (PASSED, FAIL, ERROR, SKIP)
        ),
        "worse on ours",
    ]
    yield _row(["label", *columns])
    yield _row(["---", *["---:"] * len(columns)])
    total: Counter[str] = Counter()
    for comparison in report.comparisons:
        counts = _counts(comparison)
        total += counts
        yield _row([comparison.label, *(counts[column] for column in columns)])
    yield _row(["**all**", *(total[column] for column in columns)])


def _absences(report: Report) -> Iterator[str]:
    if report.absent:
        yield f"Labels that this version does not have: {', '.join(report.absent)}."
    if report.missing:
        yield f"Not installed, so that their tests did not run: {', '.join(report.missing)}."


def _counts(comparison: Comparison) -> Counter[str]:
    counts = Counter({"tests": len(comparison.tests()), "worse on ours": len(comparison.worse())})
    for test in comparison.tests():
        for side, outcome in zip(("stock", "ours"), comparison.pair(test), strict=True):
            counts[f"{side} {_COLUMNS.get(outcome.status, outcome.status)}"] += 1
    return counts


# What the table has no column for.
_COLUMNS = {EXPECTED_FAILURE: PASSED, "unexpected success": FAIL, NOT_RUN: ERROR}


def _worse(report: Report) -> Iterator[str]:
    worse = report.worse()
    yield f"Worse on ours, after running them again: **{len(worse)}**."
    for comparison, test in worse:
        stock, ours = comparison.pair(test)
        yield f"- `{test}`: {stock.status} on stock, {ours.status} on ours"
        if ours.detail:
            yield "\n".join(f"      {line}" for line in essence(ours.detail))


def _unrepeated(report: Report) -> Iterator[str]:
    tests = [test for comparison in report.comparisons for test in sorted(comparison.unrepeated)]
    if tests:
        yield f"Worse at first, but neither in a second run nor by themselves: {len(tests)}."
        yield "\n".join(f"- `{test}`" for test in tests)


def _failing_on_both(report: Report) -> Iterator[str]:
    failing = [
        f"- `{test}`: {one_line(stock.detail)}"
        for comparison in report.comparisons
        for test in comparison.tests()
        for stock, ours in [comparison.pair(test)]
        if stock.status in BAD and ours.status in BAD
    ]
    if failing:
        yield f"Failing on both backends: {len(failing)}."
        yield "\n".join(failing)


def summary(outcomes: Outcomes) -> str:
    """Return the number of tests, and of each status, in one line."""
    counts = Counter(outcome.status for outcome in outcomes.values())
    return f"{len(outcomes)} tests, " + ", ".join(
        f"{count} {status}" for status, count in sorted(counts.items())
    )


def essence(detail: str, limit: int = 8) -> list[str]:
    """Return the lines that tell what went wrong: the last frame of a traceback and what follows."""
    lines = [line.rstrip() for line in _portable(detail).splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if re.match(r'\s*File "', line)]
    return lines[frames[-1] if frames else 0 :][:limit]


def _portable(text: str) -> str:
    """Return ``text`` without the directories of the machine that the suite ran on."""
    return re.sub(r"[^\s\"']*/(?=(?:site-packages|django-[\d.]+/tests|src/appschema)/)", "", text)


def one_line(detail: str) -> str:
    """Return the exception of a traceback, or the reason of a skip, in one line without tabs."""
    lines = [line.strip() for line in _portable(detail).splitlines() if line.strip()]
    exceptions = [
        line for line in lines if re.match(r"[\w.]+(Error|Exception|Warning|Failure)\b", line)
    ]
    chosen = exceptions[-1] if exceptions else " ".join(lines[:2])
    return " ".join(chosen.split())[:200]


def replace_section(page: str, report: Report) -> str:
    """Return ``page`` with the report in the place of what it said of the same series."""
    sections = {match["series"]: match[0] for match in _SECTION.finditer(page)}
    sections[report.series] = section(report)
    return "\n".join(
        [INTRODUCTION, *(sections[series] for series in sorted(sections, key=_version))]
    )


def replace_rows(table: str, report: Report) -> str:
    """Return ``table`` with the report's rows in the place of those of the same series."""
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    rows = [row for row in rows if row[0] != report.series] + list(_rows(report))
    rows.sort(key=lambda row: (_version(row[0]), *row[1:]))
    return "".join("\t".join(row) + "\n" for row in (TSV_HEADER, *rows))


def _rows(report: Report) -> Iterator[list[str]]:
    for comparison in report.comparisons:
        for test in comparison.exceptions():
            stock, ours = comparison.pair(test)
            detail = one_line(ours.detail or stock.detail)
            yield [
                report.series,
                comparison.label,
                test,
                stock.status,
                ours.status,
                _verdict(comparison, test),
                detail,
            ]


def _verdict(comparison: Comparison, test: str) -> str:
    stock, ours = comparison.pair(test)
    if not is_worse(stock, ours):
        return "fails on both" if stock.status in BAD and ours.status in BAD else "not worse"
    return "did not repeat" if test in comparison.unrepeated else "worse on ours"


def _begin(series: str) -> str:
    return f"<!-- begin: Django {series} -->"


def _end(series: str) -> str:
    return f"<!-- end: Django {series} -->"


_SECTION = re.compile(
    r"<!-- begin: Django (?P<series>[\d.]+) -->\n.*?<!-- end: Django (?P=series) -->\n", re.DOTALL
)


def _version(series: str) -> tuple[int, ...]:
    return tuple(int(part) for part in series.split("."))

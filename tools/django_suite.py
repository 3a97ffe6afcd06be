"""Run Django's own test suite on the stock PostgreSQL backend and on ours, and compare the two.

    python tools/django_suite.py --database-url postgres://postgres@127.0.0.1:5432/postgres

The tests are those of the Django that this interpreter imports; its sdist is downloaded once, into
``.cache/django-suite``. The URL must be a superuser's, since tests create databases and extensions;
without the option, ``DATABASE_URL`` is used. The exit code is 0 when no test is worse on ours, 1
when one is, 2 when the suite could not be run. A run of all labels rewrites this Django's section
of ``docs/evidence/django-suite.md``; another run writes a report only where ``--report`` says.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import django

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # A file that is started by its path finds only its neighbours.

# ruff: noqa: E402 - found only now.
from tools import django_suite_report as reports
from tools.django_suite_report import ERROR, Comparison, Outcome, Outcomes, Report
from tools.django_suite_runs import Runs, Server, Side, SuiteError
from tools.django_suite_source import django_tests

PAGE = PROJECT / "docs" / "evidence" / "django-suite.md"

STOCK_ENGINE = "django.db.backends.postgresql"
OUR_ENGINE = "appschema.backends.postgresql"

# fmt: off
FULL = (
    "backends", "migrations", "migrations2", "schema", "introspection", "inspectdb", "transactions",
    "transaction_hooks", "queries", "postgres_tests", "contenttypes_tests", "auth_tests",
    "sites_tests", "sessions_tests", "async", "async_queries", "prefetch_related", "raw_query",
    "bulk_create", "delete", "constraints", "indexes", "multiple_database", "model_fields",
    "aggregation", "expressions", "fixtures", "select_for_update", "admin_views", "cache",
    "test_runner",
)

# For `make test`: in under a minute the connection itself, cursors, transactions, savepoints,
# deferred constraints, raw SQL, threads, coroutines and introspection.
SMALL = (
    "backends", "transactions", "transaction_hooks", "raw_query", "async", "select_for_update",
    "introspection", "constraints",
)

# Without these, tests of the labels above are skipped or fail, on either backend. It is Django's
# tests/requirements/py3.txt without what only other labels use or what needs a server or a browser.
REQUIREMENTS = (
    "argon2-cffi", "bcrypt", "black", "jinja2", "numpy", "Pillow", "psycopg-pool", "PyYAML",
    "tblib", "tzdata",
)
# fmt: on

# A backend with one great fault loses whole labels: of one label no more tests than these are run
# one by one.
ALONE_LIMIT = 25


def main() -> int:
    options = _parser().parse_args()
    if options.requirements:
        print("\n".join(REQUIREMENTS))
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        report = run_suite(options)
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2
    page = options.report or (PAGE if options.labels is FULL else None)
    if page is not None:
        write(report, page)
    _print(report)
    return 1 if report.worse() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Compare our backend with the stock one by Django's own test suite."
    )
    add = parser.add_argument
    add("--labels", nargs="+", default=FULL, metavar="LABEL", help="what to run (default: all)")
    add("--small", dest="labels", action="store_const", const=SMALL, help="run a few quick labels")
    add("--engine-ours", default=OUR_ENGINE, metavar="ENGINE", help=f"default: {OUR_ENGINE}")
    add(
        "--database-url",
        default=os.environ.get("DATABASE_URL"),
        metavar="URL",
        help="a superuser's URL of a PostgreSQL server (default: DATABASE_URL)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="runs at the same time (default: 1)")
    add(
        "--timeout",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="for one label on one backend (default: 1800)",
    )
    add("--report", type=Path, metavar="FILE", help="the Markdown page to write the result in")
    add("--keep", action="store_true", help="keep settings, outputs and results of the runs")
    add("--requirements", action="store_true", help="print the packages that the labels need")
    return parser


def _terminate(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def run_suite(options: argparse.Namespace) -> Report:
    """Run the labels on both sides, run again what is worse on ours, and return the comparison."""
    if not options.database_url:
        raise SuiteError(
            "No PostgreSQL server is named. Give --database-url, or set DATABASE_URL, to the URL of"
            " a superuser."
        )
    server = Server(options.database_url)
    versions = _versions(server, options.engine_ours)
    tests = django_tests(django.__version__)
    labels, absent = _split_labels(tests, options.labels)
    runs = Runs(tests, Path(tempfile.mkdtemp(prefix="django-suite-")), server, options.timeout)
    suite = Suite(
        runs,
        Side("stock", STOCK_ENGINE, activate_public=False),
        Side("ours", options.engine_ours, activate_public=True),
    )
    try:
        comparisons = [suite.confirm(each) for each in suite.compare(labels, options.jobs)]
    finally:
        runs.cancel()
        if options.keep:
            print(f"The settings, outputs and results of the runs are in {str(runs.directory)!r}.")
        else:
            runs.clean()
    series = ".".join(django.__version__.split(".")[:2])
    needed = REQUIREMENTS if options.labels is FULL else ()
    missing = [package for package in needed if not _version_of(package)]
    return Report(series, versions, comparisons, absent, missing)


def _split_labels(tests: Path, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the labels that this Django has, and those of our list that it has not."""
    present = [label for label in labels if (tests / label.split(".")[0]).is_dir()]
    absent = [label for label in labels if label not in present]
    if unknown := sorted(set(absent) - set(FULL)):
        raise SuiteError(f"Django {django.__version__} has no tests for the labels {unknown!r}.")
    return present, absent


def _versions(server: Server, engine: str) -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        "Django": django.__version__,
        "psycopg": _version_of("psycopg"),
        "PostgreSQL": server.version(),
        "backend": f"`{engine}`",
    }


def _version_of(package: str) -> str:
    """Return the version of an installed package, or an empty string."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Suite:
    """Both sides of the comparison, and the runs that serve them."""

    runs: Runs
    stock: Side
    ours: Side

    def compare(self, labels: Sequence[str], jobs: int = 1) -> list[Comparison]:
        """Run each label on both sides, ``jobs`` of these runs at a time."""
        sides = [side for _ in labels for side in (self.stock, self.ours)]
        twice = [label for label in labels for _ in range(2)]
        with ThreadPoolExecutor(jobs) as pool:
            try:
                results = list(pool.map(self.outcomes, sides, twice))
            except BaseException:
                # Else leaving the pool waits for runs whose outcomes nobody reads any more.
                self.runs.cancel()
                raise
        pairs = zip(labels, results[::2], results[1::2], strict=True)
        return [Comparison(label, stock, ours) for label, stock, ours in pairs]

    def outcomes(self, side: Side, label: str) -> Outcomes:
        """Run one label on one side.

        Raises ``SuiteError`` when the stock backend cannot: there is nothing to compare with then.
        """
        run = self.runs.run(side, label)
        print(f"{label} on {side.name}: {reports.summary(run.outcomes)}", flush=True)
        if not run.failure:
            return run.outcomes
        if side == self.stock:
            raise SuiteError(f"{label!r} did not finish on the stock backend: {run.failure}")
        return {**run.outcomes, f"{label} (the run as a whole)": Outcome(ERROR, run.failure)}

    def confirm(self, first: Comparison) -> Comparison:
        """Run a label in which ours does worse again, with nothing else under way.

        First as a whole, since a test may fail by what the tests before it left behind, then each
        test by itself. A suspect is cleared only when ours does as well as the stock backend twice.
        """
        suspects = first.suspects()
        if not suspects:
            return first
        print(f"{first.label}: {len(suspects)} worse on ours; running again.", flush=True)
        again = self.compare([first.label])[0]
        cleared = set(suspects) - set(again.suspects())
        if len(cleared) > ALONE_LIMIT:
            return first
        cleared = {test for test in cleared if not self._is_worse_by_itself(test)}
        return replace(first, unrepeated=frozenset(cleared))

    def _is_worse_by_itself(self, test: str) -> bool:
        # unittest reports what fails for a whole class as "setUpClass (module.Class)".
        label = test.partition("(")[2].rstrip(")") or test
        if not (self.runs.tests / label.split(".")[0]).is_dir():
            return True  # Not a test, but a run that died or a module that could not be imported.
        return bool(self.compare([label])[0].suspects())


def write(report: Report, page: Path) -> None:
    """Replace the report's part of the page, and of the table beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    files = {page: reports.replace_section, page.with_suffix(".tsv"): reports.replace_rows}
    for file, replaced in files.items():
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        file.write_text(replaced(text, report), encoding="utf-8")


def _print(report: Report) -> None:
    for comparison, test in report.worse():
        stock, ours = comparison.pair(test)
        print(f"\n{test}: {stock.status} on stock, {ours.status} on ours")
        for line in reports.essence(ours.detail):
            print(f"    {line}")
    count = sum(len(comparison.tests()) for comparison in report.comparisons)
    print(f"\n{count} tests of Django {django.__version__}; worse on ours: {len(report.worse())}.")
    if report.missing:
        print(f"Not installed, so their tests did not run: {', '.join(report.missing)}.")


if __name__ == "__main__":
    sys.exit(main())

"""What `make` does, target by target. `tools/bootstrap.py` starts it with a Python that will do.

The contract with the tests: the environment variable `APPSCHEMA_FULL=1`, set by `make test-full` only, asks for the long randomised
and kill tests with their full counts; without it they run with small, seeded ones. `APPSCHEMA_POSTGRES_BIN` names the PostgreSQL
programs of a run (absent: the embedded ones), and `APPSCHEMA_TEST_DATABASE_URL` a server to use in their place.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools.bootstrap import find_pythons
from tools.environments import (
    ENVIRONMENTS,
    LOCKS,
    PROJECT,
    EnvironmentFailedError,
    make_environment,
)
from tools.evidence import SITES
from tools.evidence import run as copy_applications
from tools.postgres import PostgresError, default_home

REPORTS = PROJECT / ".reports"
_FOR_APPLICATIONS = ((3, 12), (3, 13), (3, 14))
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Cell:
    """One column of the test matrix: a lock file and the Pythons it may run on, the best first."""

    lock: str
    title: str
    pythons: tuple[tuple[int, int], ...]
    postgres: tuple[
        str, ...
    ]  # What `make test` runs it on: the first of these which this machine has.
    left_out: tuple[str, ...] = ()  # What `make test` leaves to the other cells.


# What the second cell tries with an older psycopg on the same PostgreSQL, and the first with this one.
TRIED_TWICE = ("tests/integration/roles/test_each_way_to_send.py",)
# What asks PostgreSQL little, and of Django what has not changed since 5.2.
OF_REQUESTS = ("tests/integration/routing", "tests/integration/test_resolver.py")
# What depends least on the versions of Django and of PostgreSQL.
FIRST_ONLY = (
    "tests/acceptance",
    "tests/docs",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_postgres_launcher.py",
)
# What rests on what every PostgreSQL promises of a transaction, and takes long to try.
OF_KILLS = (
    "tests/integration/lifecycle/test_killed.py",
    "tests/integration/template/test_killed_while_making.py",
    "tests/integration/fleet/test_kills.py",
)
# What asks the fleet's own tables, and tells of them in processes of its own.
OF_TELLING = (
    "tests/integration/fleet/test_diffschemas.py",
    "tests/integration/fleet/test_last_run.py",
    "tests/integration/fleet/test_showmigrations.py",
    "tests/integration/fleet/test_telling.py",
)
# What knows nothing of psycopg's insides, for which the second cell is there.
ABOVE_THE_DRIVER = (
    "tests/integration/catalog",
    "tests/integration/fleet",
    "tests/integration/isolation",
    "tests/integration/lifecycle",
    "tests/integration/template",
    "tests/integration/roles/test_fleet.py",
    "tests/integration/test_checkschemas.py",
    "tests/integration/test_commands.py",
    "tests/integration/test_middleware.py",
    "tests/integration/test_relations_across_placement.py",
    *OF_REQUESTS,
)

CELLS = (
    Cell(
        "py311-django52",
        "Django 5.2, newest psycopg",
        ((3, 11), (3, 12), (3, 13), (3, 14)),
        (EMBEDDED,),
    ),
    Cell(
        "py312-django60-psycopg32",
        "Django 6.0, psycopg 3.2.1",
        ((3, 12),),
        ("15", EMBEDDED),
        (*FIRST_ONLY, *ABOVE_THE_DRIVER),
    ),
    Cell(
        "py313-django61",
        "Django 6.1, newest psycopg",
        ((3, 13), (3, 14), (3, 12)),
        ("15", EMBEDDED),
        (*FIRST_ONLY, *TRIED_TWICE, *OF_KILLS, *OF_REQUESTS, *OF_TELLING),
    ),
)
FIRST = CELLS[0]


@dataclass
class Outcome:
    """What happened, for the lines at the end."""

    ran: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(
        self, title: str, *, passed: int = 0, failed: int = 0, skipped: int = 0, seconds: float = 0
    ) -> None:
        """Count one step."""
        self.passed, self.failed, self.skipped = (
            self.passed + passed,
            self.failed + failed,
            self.skipped + skipped,
        )
        self.ran.append(
            f"{'FAILED' if failed else 'ok':6} {title}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0f} s"
        )

    def close(self) -> int:
        """Print the summary; its last line is the verdict."""
        lines = ["", "What ran:", *(f"  {line}" for line in self.ran)]
        if self.left_out:
            lines += ["What was left out:", *(f"  {line}" for line in self.left_out)]
        lines += ["", f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"]
        REPORTS.mkdir(exist_ok=True)
        (REPORTS / "summary.txt").write_text("\n".join(lines) + "\n")
        print("\n".join(lines), flush=True)
        return 1 if self.failed or not self.passed else 0


def demo() -> int:
    """Set up and serve the demo; PORT and DATABASE_URL are honoured."""
    python = make_environment("demo", _python_for(FIRST))
    sys.stdout.flush()
    os.execv(python, [str(python), "-m", "demo.run"])


def test() -> int:
    """The linters, then the suite in each cell of the matrix that this machine has; PYTEST_ARGS is passed on."""
    outcome = Outcome()
    with ThreadPoolExecutor(len(CELLS)) as pool:
        for cell in CELLS:
            pool.submit(_make_ahead, cell)
        _lint(outcome)
    for cell in CELLS:
        without = () if os.environ.get("PYTEST_ARGS") else cell.left_out
        _suite(cell, _postgres_for(cell), outcome, without=without)
        if without:
            outcome.left_out.append(f"{cell.title}: {', '.join(without)} ('make test-matrix')")
        if "15" in cell.postgres and not _system_postgres("15"):
            outcome.left_out.append(
                f"{cell.title} on PostgreSQL 15: there is no {str(SYSTEM_POSTGRES / '15')!r}"
            )
    if os.environ.get("PYTEST_ARGS"):
        outcome.left_out.append("Django's own test suite, as PYTEST_ARGS asks for some tests only")
    else:
        _small_django_suite(outcome)
    outcome.left_out.append(
        "the other pairs of Django and PostgreSQL ('make test-matrix'), and the full counts ('make test-full')"
    )
    return outcome.close()


def test_matrix() -> int:
    """The suite in every cell on every PostgreSQL that this machine has."""
    outcome = Outcome()
    for cell in CELLS:
        for postgres in (EMBEDDED, *("15", "16", "17", "18")):
            if postgres == EMBEDDED or _system_postgres(postgres):
                _suite(cell, postgres, outcome)
            elif cell is FIRST:
                outcome.left_out.append(
                    f"PostgreSQL {postgres} of the system: there is no {str(SYSTEM_POSTGRES / postgres)!r}"
                )
    return outcome.close()


def test_full() -> int:
    """The linters, and the oldest and newest cell with the full counts of the long tests."""
    outcome = Outcome()
    _lint(outcome)
    for cell in (FIRST, CELLS[-1]):
        _suite(cell, _postgres_for(cell), outcome, {"APPSCHEMA_FULL": "1"})
    return outcome.close()


def coverage() -> int:
    """The suite in the first cell, with a report of what it does not reach."""
    outcome = Outcome()
    _suite(
        FIRST,
        EMBEDDED,
        outcome,
        {
            "PYTEST_ARGS": f"{os.environ.get('PYTEST_ARGS', '')} --cov --cov-report=term --cov-report=html"
        },
    )
    return outcome.close()


def lint() -> int:
    """Run ruff and mypy."""
    outcome = Outcome()
    _lint(outcome)
    return outcome.close()


def format_() -> int:
    """Let ruff mend and format the code."""
    python = make_environment(FIRST.lock, _python_for(FIRST))
    subprocess.run([python, "-m", "ruff", "check", "--fix-only", "."], cwd=PROJECT, check=False)
    return subprocess.run(
        [python, "-m", "ruff", "format", "."], cwd=PROJECT, check=False
    ).returncode


def mutations() -> int:
    """Take each guard out of a copy of the source, and see that a test fails; MUTATIONS may name some."""
    python = str(make_environment(FIRST.lock, _python_for(FIRST)))
    words = shlex.split(os.environ.get("MUTATIONS", ""))
    command = [
        python,
        "-m",
        "tools.postgres",
        "--in-memory",
        "--",
        python,
        "-m",
        "tools.mutations",
        *words,
    ]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def django_suite() -> int:
    """Compare our backend with the stock one by the whole suite of Django 5.2 and of Django 6.1."""
    worst = 0
    for cell in (CELLS[0], CELLS[2]):
        tests = str(make_environment(cell.lock, _python_for(cell)))
        wanted = subprocess.run(
            [tests, "tools/django_suite.py", "--requirements"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        # What Django's own tests need changes with Django and is no part of our locks; our pins hold for the rest.
        pip = [
            tests,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "-c",
            str(LOCKS / f"{cell.lock}.txt"),
        ]
        subprocess.run([*pip, *wanted.stdout.split()], check=True)
        launch = [
            tests,
            "-m",
            "tools.postgres",
            *(["--bin", "15"] if _system_postgres("15") else []),
            "--",
        ]
        command = [
            *launch,
            tests,
            "tools/django_suite.py",
            *shlex.split(os.environ.get("DJANGO_SUITE_ARGS", "")),
        ]
        worst = max(worst, subprocess.run(command, cwd=PROJECT, check=False).returncode)
    return worst


def evidence() -> int:
    """Copy the schemas of published applications, and write what was seen; EVIDENCE may name some."""
    pythons = {
        lock: make_environment(lock, _python_for(Cell(lock, lock, _FOR_APPLICATIONS, (EMBEDDED,))))
        for lock in sorted(set(SITES.values()))
    }
    return copy_applications(pythons, shlex.split(os.environ.get("EVIDENCE", "")))


def docs() -> int:
    """Build the documentation; a warning is an error."""
    python = str(make_environment(FIRST.lock, _python_for(FIRST)))
    options = ["-W", "--keep-going", "-n", "-d", ".docs-build/read", "-b", "html"]
    command = [python, "-m", "sphinx", *options, "docs", ".docs-build/html"]
    status = subprocess.run(command, cwd=PROJECT, check=False).returncode
    if not status:
        print(f"Open {str(PROJECT / '.docs-build/html/index.html')!r}.")
    return status


def benchmarks() -> int:
    """Measure what a request costs beside plain Django; BENCHMARK_ARGS is passed on, DATABASE_URL is honoured."""
    needs = Cell("benchmarks", "benchmarks", ((3, 12), (3, 13), (3, 14)), (EMBEDDED,))
    python = make_environment(needs.lock, _python_for(needs))
    arguments = shlex.split(os.environ.get("BENCHMARK_ARGS", ""))
    return subprocess.run(
        [python, "-m", "benchmarks.requests", *arguments], cwd=PROJECT, check=False
    ).returncode


def lock() -> int:
    """Compile `requirements/*.in` to the lock files again, with the newest versions."""
    python = str(make_environment("lock", _python_for(FIRST), install_project=False))
    for source in sorted(LOCKS.glob("*.in")):
        if source.stem in {"test", "lint", "docs", "browser"}:
            continue  # Parts of the others.
        version = next(
            (f"3.{cell.lock[3:5]}" for cell in CELLS if cell.lock == source.stem), "3.11"
        )
        if source.stem in {"benchmarks", "evidence", "evidence-pretix"}:
            version = "3.12"  # What the newest releases of peers and of applications ask for.
        options = [
            "--universal",
            "--upgrade",
            "--no-emit-index-url",
            "--custom-compile-command",
            "make lock",
            "--python-version",
            version,
        ]
        command = [
            python,
            "-m",
            "uv",
            "pip",
            "compile",
            "--quiet",
            *options,
            source.name,
            "-o",
            source.with_suffix(".txt").name,
        ]
        if status := subprocess.run(command, cwd=LOCKS, check=False).returncode:
            return status
    return 0


def clean() -> int:
    """Remove everything that the other targets made, the demo's data included."""
    for path in (
        ENVIRONMENTS,
        REPORTS,
        PROJECT / ".cache",
        PROJECT / ".docs-build",
        default_home(),
    ):
        print(f"Removing {str(path)!r}.")
        shutil.rmtree(path, ignore_errors=True)
    return 0


def help_() -> int:
    """List the targets."""
    for name, function in TARGETS.items():
        print(f"make {name:13} {(function.__doc__ or '').splitlines()[0]}")
    return 0


def _python_for(cell: Cell) -> str:
    pythons, _ = find_pythons()
    for version in cell.pythons:
        if version in pythons:
            return str(pythons[version])
    wanted = " or ".join(f"{major}.{minor}" for major, minor in cell.pythons)
    raise EnvironmentFailedError(f"no Python {wanted} was found, which this needs")


def _make_ahead(cell: Cell) -> None:
    """Make the environment of a cell beside those of the others: an installation waits more than it works."""
    with contextlib.suppress(EnvironmentFailedError):  # Told when the cell's turn comes.
        make_environment(cell.lock, _python_for(cell))


def _postgres_for(cell: Cell) -> str:
    return next(each for each in cell.postgres if each == EMBEDDED or _system_postgres(each))


def _system_postgres(version: str) -> bool:
    return (SYSTEM_POSTGRES / version / "bin" / "postgres").is_file()


def _lint(outcome: Outcome) -> None:
    python = str(make_environment(FIRST.lock, _python_for(FIRST)))
    for arguments in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        title = " ".join(arguments[:2])
        with _step(title) as clock:
            done = subprocess.run([python, "-m", *arguments], cwd=PROJECT, check=False)
            failed = int(done.returncode != 0)
            outcome.add(title, passed=1 - failed, failed=failed, seconds=clock())


def _small_django_suite(outcome: Outcome) -> None:
    """Run the labels of Django's own suite that take about a minute on both backends."""
    python = str(make_environment(FIRST.lock, _python_for(FIRST)))
    title = "Django's own test suite on our backend, a small part"
    with _step(title) as clock:
        # The binaries are a package of that environment, not of the Python that runs this.
        done = subprocess.run(
            [
                python,
                "-m",
                "tools.postgres",
                "--in-memory",
                "--",
                python,
                "tools/django_suite.py",
                "--small",
                f"--jobs={_workers()}",
            ],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(done.stdout, end="", flush=True)
        # Its closing line: "693 tests of Django 5.2.19; worse on ours: 0."
        closing = re.search(r"(\d+) tests of .*worse on ours: (\d+)\.\s*$", done.stdout)
        total, failed = (int(closing[1]), int(closing[2])) if closing else (0, 0)
        failed = failed or int(done.returncode != 0)
        outcome.add(title, passed=max(total - failed, 0), failed=failed, seconds=clock())


def _suite(
    cell: Cell,
    postgres: str,
    outcome: Outcome,
    extra: Mapping[str, str] | None = None,
    *,
    without: Iterable[str] = (),
) -> None:
    server = (
        "PostgreSQL 18 (embedded)" if postgres == EMBEDDED else f"PostgreSQL {postgres} (system)"
    )
    if os.environ.get("APPSCHEMA_TEST_DATABASE_URL"):
        server = "the server of APPSCHEMA_TEST_DATABASE_URL"
    title = f"{cell.title}, {server}"
    try:
        interpreter = _python_for(cell)
    except EnvironmentFailedError as error:
        if cell is FIRST:
            raise
        outcome.left_out.append(f"{title}: {error}")
        return
    try:
        python = str(make_environment(cell.lock, interpreter))
    except EnvironmentFailedError as error:
        print(error, file=sys.stderr, flush=True)
        outcome.add(title, failed=1)
        return
    environment = {**os.environ, **(extra or {})}
    if postgres != EMBEDDED:
        environment["APPSCHEMA_POSTGRES_BIN"] = str(SYSTEM_POSTGRES / postgres / "bin")
    REPORTS.mkdir(exist_ok=True)
    report = REPORTS / f"{cell.lock}-postgres-{postgres}.xml"
    report.unlink(missing_ok=True)
    asked = shlex.split(environment.get("PYTEST_ARGS", ""))
    with _step(title) as clock:
        command = [
            python,
            "-m",
            "pytest",
            f"--numprocesses={_workers()}",
            # Most files have something that is made once for all their tests. (With this pytest, xdist's groups are split.)
            "--dist=loadfile",
            "--no-loadscope-reorder",  # It would begin with the files of most tests; `tests/conftest.py` knows the longest.
            f"--junitxml={report}",
            *(f"--ignore={path}" for path in without),
            *asked,
        ]
        status = subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
        passed, failed, skipped = _counts(report)
        if (
            status and not failed and not (status == 5 and asked)
        ):  # 5: PYTEST_ARGS selected nothing here.
            failed = 1
        outcome.add(title, passed=passed, failed=failed, skipped=skipped, seconds=clock())


def _workers() -> int:
    return min(os.cpu_count() or 1, 4)


def _counts(report: Path) -> tuple[int, int, int]:
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest has just written it
    except (FileNotFoundError, ET.ParseError):
        return 0, 0, 0
    total, failed, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "skipped")
    )
    failed += sum(int(suite.get("errors", 0)) for suite in suites)
    return total - failed - skipped, failed, skipped


@contextlib.contextmanager
def _step(title: str) -> Iterator[Callable[[], float]]:
    """Print a title, and give a function that tells the seconds since then."""
    print(f"\n== {title}", flush=True)
    started = time.monotonic()
    yield lambda: time.monotonic() - started


TARGETS: dict[str, Callable[[], int]] = {
    "demo": demo,
    "test": test,
    "test-full": test_full,
    "test-matrix": test_matrix,
    "coverage": coverage,
    "lint": lint,
    "format": format_,
    "mutations": mutations,
    "django-suite": django_suite,
    "evidence": evidence,
    "docs": docs,
    "benchmarks": benchmarks,
    "lock": lock,
    "clean": clean,
    "help": help_,
}


def main(arguments: list[str]) -> int:
    """Run the target named in the arguments."""
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        print(
            f"Unknown target {' '.join(arguments)!r}. Use one of: {', '.join(TARGETS)}.",
            file=sys.stderr,
        )
        return 2
    try:
        return TARGETS[arguments[0]]()
    except (EnvironmentFailedError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs of Django's test suite in child processes, each with settings and databases of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from tools import django_suite_recorder as recorder
from tools.database_url import django_database
from tools.django_suite_report import Outcome

SOURCE = Path(__file__).resolve().parent.parent / "src"

# The rest is what Django's suite itself uses: key, fast hasher, time zones, default primary key.
SETTINGS = """\
from test_sqlite import *

DATABASES = {databases!r}
TEST_RUNNER = "django_suite_recorder.RecordingRunner"

if {activate_public!r}:
    from appschema import activate

    activate("public")
"""


class SuiteError(Exception):
    """The suite could not be run; the message says why and what to do."""


@dataclass(frozen=True)
class Side:
    """One of the two backends that are compared."""

    name: str
    engine: str
    activate_public: bool


@dataclass(frozen=True)
class Run:
    """The outcome of each test that a run has reached; ``failure`` tells why it did not finish."""

    outcomes: Mapping[str, Outcome]
    failure: str = ""


@dataclass(frozen=True)
class Server:
    """The PostgreSQL server that the runs make their databases on, by the URL of a superuser."""

    url: str

    def connect(self) -> psycopg.Connection[tuple[str]]:
        try:
            return psycopg.connect(self.url, autocommit=True)
        except psycopg.OperationalError as error:
            raise SuiteError(f"The server of --database-url cannot be reached: {error}") from error

    def version(self) -> str:
        with self.connect() as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return row[0] if row else "unknown"

    def drop(self, databases: Sequence[str]) -> None:
        with self.connect() as connection:
            for name in map(sql.Identifier, databases):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@dataclass
class Runs:
    """Makes the runs, from any number of threads, and cleans up after them."""

    tests: Path
    directory: Path
    server: Server
    timeout: float
    _token: str = field(default_factory=lambda: secrets.token_hex(3))
    _databases: list[str] = field(default_factory=list)
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _count: int = 0
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, side: Side, label: str) -> Run:
        """Run a label, or one test by its id, in a process of its own."""
        home = self._prepare(side, label)
        results, output = home / "results.jsonl", home / "output.txt"
        options = ["--settings=suite_settings", "--parallel=1", "--noinput", "--verbosity=0"]
        command = [sys.executable, "runtests.py", *options, label]
        ending = self._call(command, _environment(side, home, results), output)
        outcomes, finished = _read(results)
        tail = output.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        return Run(outcomes, "" if finished else "\n".join([ending, *tail]))

    def cancel(self) -> None:
        """End the runs that are under way; those that have not begun end at once."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                _kill(child)

    def clean(self) -> None:
        """Remove what runs that were ended early left on the server, and their directories."""
        self.server.drop(self._databases)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _prepare(self, side: Side, label: str) -> Path:
        with self._lock:
            self._count += 1
            number = self._count
            name = f"suite_{self._token}_{number}"
            self._databases += [f"test_{name}", f"test_{name}_other"]
        home = self.directory / f"{number:04}-{side.name}-{label[:80]}"
        home.mkdir()
        databases = {
            alias: {**django_database(self.server.url, engine=side.engine), "NAME": database}
            for alias, database in {"default": name, "other": f"{name}_other"}.items()
        }
        settings = SETTINGS.format(databases=databases, activate_public=side.activate_public)
        (home / "suite_settings.py").write_text(settings, encoding="utf-8")
        shutil.copy(recorder.__file__, home)
        return home

    def _call(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> str:
        """Run a command to its end, or until the time is up, and say how it ended."""
        with output.open("wb") as stream:
            with self._lock:
                if self._stopped:
                    return "stopped"
                child = subprocess.Popen(
                    command,
                    cwd=self.tests,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._children.add(child)
            try:
                return f"exit code {child.wait(self.timeout)}"
            except subprocess.TimeoutExpired:
                return f"killed after {self.timeout:.0f} s"
            finally:
                _kill(child)
                with self._lock:
                    self._children.discard(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End a child and the processes it started; its session is its own."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _environment(side: Side, home: Path, results: Path) -> dict[str, str]:
    dropped = ("DJANGO_", "PYTHONPATH", "PYTHONWARNINGS", "PYTHONHASHSEED", "COVERAGE_", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = [str(home), str(SOURCE)] if side.activate_public else [str(home)]
    # One order of sets on both sides: some tests depend on it.
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONHASHSEED": "0",
        recorder.RESULTS_VARIABLE: str(results),
    }


def _read(results: Path) -> tuple[dict[str, Outcome], bool]:
    """Return the outcomes that a run has written, and whether it came to its end."""
    outcomes: dict[str, Outcome] = {}
    finished = False
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break  # The last line of a run that was killed.
        if "finished" in record:
            finished = True
            continue
        test, status = record["test"], record["outcome"]
        # A class that two modules import runs twice under one id.
        known = outcomes.get(test)
        if known is None or recorder.OUTCOMES.index(status) > recorder.OUTCOMES.index(known.status):
            outcomes[test] = Outcome(status, record["detail"])
    return outcomes, finished

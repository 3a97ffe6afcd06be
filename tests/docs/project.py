"""The project of somebody who follows a page: what the page says is done, block by block.

A block of Python that begins with a comment of a file's name is that file ("at its end": is added
to it), one that only sets settings is added to shop/settings.py, and another one is run by Python
in the project; a block of text is what the commands before it print, and a command that ends in
"# fails" has to fail. Some commands are done in another way: `python FILE` in a fork of a Python
that has imported Django, `createdb` by SQL, `runserver` on a free port and `curl` by Python, since
the name of the database and the port must be free in the tests.
"""

import ast
import doctest
import http.client
import itertools
import json
import os
import pickle
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sybil import Example

import appschema
from tests.docs.pages import examples_of, language_of, name_of, reason_not_run
from tests.server import URL

INTERPRETER = Path(__file__).with_name("interpreter.py")
DUMP_SETTINGS = Path(__file__).with_name("dump_settings.py")
FORKS = Path(__file__).with_name("forks.py")
DATABASE = "shop"  # As the pages call it.
_FILE = re.compile(r"(?:#|--) (?P<path>[\w./]+\.\w+)(?P<end>, at its end)?\n")
_REPLAYED = re.compile(r"(\w+: \d+ migrations?, replayed,) [\d.]+ s")
_LIBPQ = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}


def environment() -> dict[str, str]:
    """Return what the commands of a page find in the environment: the server, and no settings."""
    given = conninfo_to_dict(os.environ[URL])
    server = {name: str(given[key]) for key, name in _LIBPQ.items() if given.get(key)}
    others = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "PG", "PYTEST_"))
    }
    return {
        **others,
        **server,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(appschema.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_COLORS": "nocolor",
    }


class Forks:
    """A process that runs `python FILE ...` in forks of itself, which spares the imports."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._process = _python([FORKS])

    def run(self, words: list[str], directory: Path) -> tuple[int, str]:
        """Return the exit code, and all that was printed."""
        order = {"words": words, "directory": str(directory), "output": str(self._output)}
        code = int(_send(self._process, order))
        return code, self._output.read_text()

    def stop(self) -> None:
        self._process.communicate()


class Project:
    """A directory and a database in which the blocks of pages are run."""

    def __init__(self, directory: Path, database: str, forks: Forks) -> None:
        self.directory, self.database, self.forks = directory, database, forks
        self.ran: list[Example] = []
        self.output = ""
        self._python: subprocess.Popen[str] | None = None
        self._server: subprocess.Popen[str] | None = None
        self._port = 0

    def follow(self, page: Path) -> None:
        """Run all blocks of a page, in their order."""
        for example in examples_of(page, self.run):
            if reason_not_run(example) is None:
                example.evaluate()
                self.ran.append(example)
        self.stop()

    def run(self, example: Example) -> None:
        source, language = str(example.parsed), language_of(example)
        where = f"{name_of(Path(example.path))}:{example.line}"
        if language == "text":
            self._compare(source, where)
        elif named := _FILE.match(source):
            self._write(named["path"], source, at_end=bool(named["end"]))
        elif language == "python" and _settings_of(source):
            self._write("shop/settings.py", source, at_end=True)
        elif language == "sh":
            self.output = "".join(self._type(line, where) for line in source.splitlines())
        elif language == "sql":
            self._ask("python", SENT.format(expected=" ".join(source.split())), where, 0)
        elif language in {"python", "pycon"}:
            self.output = self._ask(language, source, where, example.line)
        else:
            pytest.fail(f"{where}: a block of {language!r} must begin with the name of a file")

    def copy(self, directory: Path, database: str) -> "Project":
        """Return a project with the same files and rows."""
        shutil.copytree(self.directory, directory)
        _administrate("CREATE DATABASE {} TEMPLATE {}", database, self.database)
        settings = directory / "shop/settings.py"
        settings.write_text(settings.read_text().replace(self.database, database))
        return Project(directory, database, self.forks)

    def drop(self) -> None:
        self.stop()
        _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)

    def stop(self) -> None:
        """End the interpreter and the server, whose files have changed, or whose page is read."""
        for process in (self._python, self._server):
            if process is not None:
                process.terminate()
                process.communicate()
        self._python = self._server = None

    def _write(self, name: str, source: str, *, at_end: bool) -> None:
        path = self.directory / name
        text = source.replace(f'"NAME": "{DATABASE}"', f'"NAME": "{self.database}"')
        before = self.settings() if path.name == "settings.py" else {}
        path.write_text(f"{path.read_text()}\n{text}" if at_end else text)
        if self._python is not None:
            self.stop()
        if path.name == "settings.py":
            self._compare_settings(before, text)

    def _compare_settings(self, before: dict[str, Any], text: str) -> None:
        """The settings of the block are those that Django has loaded."""
        expected = dict(before)
        exec(text, expected)
        names = _settings_of(text)
        assert names, "a block of settings sets something, and does nothing else"
        loaded = self.settings()
        assert {name: loaded[name] for name in names} == {name: expected[name] for name in names}

    def settings(self) -> dict[str, Any]:
        """Return the project's settings as Django has loaded them."""
        code, printed = self.forks.run([str(DUMP_SETTINGS)], self.directory)
        assert code == 0, printed
        return dict(pickle.loads(bytes.fromhex(printed)))

    def _type(self, line: str, where: str) -> str:
        words = shlex.split(line, comments=True)
        fails = line.rstrip().endswith("# fails")
        match words:
            case []:
                return ""
            case ["cd", directory]:
                self.directory /= directory
                assert self.directory.is_dir(), where
                return ""
            case ["createdb", name]:
                assert name == DATABASE, where
                _administrate("CREATE DATABASE {}", self.database)
                return ""
            case ["curl", *flags, url]:
                return self._get(url, with_status="-i" in flags)
            case ["python", "manage.py", "runserver"]:
                self._serve()
                return ""
            case ["python", *arguments]:
                code, printed = self.forks.run(arguments, self.directory)
            case _:
                code, printed = self._start(words)
        assert (code != 0) == fails, f"{where}: {line}\n{printed}"
        return printed

    def _start(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            words,
            cwd=self.directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def _serve(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._server = subprocess.Popen(
            ["python", "manage.py", "runserver", "--noreload", f"127.0.0.1:{self._port}"],
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._server.stdout
        seen = ""
        # Printed once the port is bound; the words around it differ between versions of Django.
        while f"http://127.0.0.1:{self._port}/" not in seen:
            line = self._server.stdout.readline()
            seen += line
            assert line, seen

    def _get(self, url: str, *, with_status: bool) -> str:
        parts = urlsplit(url)
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        client.request("GET", parts.path or "/", headers={"Host": parts.netloc})
        response = client.getresponse()
        text = response.read().decode()
        client.close()
        if with_status:
            return f"HTTP/1.1 {response.status} {response.reason}\n{text}"
        assert response.status == 200, text
        return text

    def _ask(self, kind: str, source: str, where: str, line: int) -> str:
        if self._python is None:
            self._python = _python([INTERPRETER], self.directory)
        order = {"kind": kind, "source": source, "where": where, "line": line}
        answered = _send(self._python, order)
        answer = json.loads(answered)
        assert answer["error"] is None, f"{where}\n{answer['error']}"
        return str(answer["printed"])

    def _compare(self, expected: str, where: str) -> None:
        checker = doctest.OutputChecker()
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        wanted, found = _in_one_order(expected), _in_one_order(self.output)
        assert checker.check_output(wanted, found, flags), f"{where}:\n{self.output}"


def _in_one_order(text: str) -> str:
    """Sort the lines of schemas that workers are done with in any order, and take their times away."""
    found: list[str] = []
    for is_replayed, lines in itertools.groupby(
        text.splitlines(), lambda line: bool(_REPLAYED.fullmatch(line))
    ):
        some = [_REPLAYED.sub(r"\1 ... s", line) for line in lines]
        found += sorted(some) if is_replayed else some
    return "\n".join([*found, ""])


# What Django sends for a statement in the schema acme, as libpq traces it.
SENT = """
import tempfile
from django.db import connection
from appschema import schema_context
connection.ensure_connection()
with tempfile.TemporaryFile("w+") as trace, schema_context("acme"), connection.cursor() as cursor:
    connection.connection.pgconn.trace(trace.fileno())
    cursor.execute("SELECT 'so'")
    connection.connection.pgconn.untrace()
    trace.seek(0)
    sent = " ".join(trace.read().replace("\\\\n", " ").split())
assert {expected!r}.replace("SELECT ...", "SELECT 'so'") in sent, sent
"""


def _python(words: list[Path], directory: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=directory,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _send(process: subprocess.Popen[str], order: dict[str, Any]) -> str:
    """Send one line, and return the line of the answer."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, f"Python ended at {order}"
    return answer


def _settings_of(source: str) -> list[str]:
    """Return the names that a block sets, if all that it does is to set settings."""
    names = []
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper():
                names.append(name)
            case _:
                return []
    return names


def _administrate(statement: str, *names: str) -> None:
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

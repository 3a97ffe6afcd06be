"""The demo as its visitors have it: `python -m demo.run` with a database and a directory of its own, once per module."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from demo.browser import demo_process
from tests.server import URL


@dataclass
class Demo:
    port: int
    database: str
    files: Path

    def address(self, workspace: str = "") -> str:
        return f"http://{workspace}{'.' if workspace else ''}localhost:{self.port}"


@pytest.fixture(scope="module")
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    name = f"{request.module.__name__.rpartition('.')[2]}_{os.getpid()}"
    files = tmp_path_factory.mktemp("files")
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            database = make_conninfo(os.environ[URL], dbname=name)
            with demo_process(database, files) as port:
                yield Demo(port, database, files)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))

"""A database of each module's own, with a schema that holds an object of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.catalog.database import COPY, WRITTEN, Database, new_database

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with new_database() as database:
        yield database


@pytest.fixture(scope="module")
def everything(database: Database) -> Database:
    """The schema ``source``, with an object of every kind and rows in its tables."""
    database.run((HERE / "everything.sql").read_text())
    if database.version >= 18:
        database.run((HERE / "since_18.sql").read_text())
    return database


@pytest.fixture(scope="module")
def copy(everything: Database) -> Database:
    """As ``everything``, and a copy of the schema under a name that wants quotes; to be read only."""
    everything.make(everything.script("source"), COPY)
    return everything


@pytest.fixture
def written(everything: Database) -> Iterator[Database]:
    """As ``everything``, and a copy for one test: values of sequences stay after a rollback."""
    everything.make(everything.script("source"), WRITTEN)
    yield everything
    everything.connection.rollback()
    everything.drop(WRITTEN)

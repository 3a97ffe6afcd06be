"""The project that the quickstart makes, which the other pages go on with."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.project import Forks, Project

_numbers = itertools.count()


def _name() -> str:
    return f"appschema_docs_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks") / "output")
    yield forks
    forks.stop()


@pytest.fixture(scope="session")
def quickstart(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project of somebody who has followed the quickstart to its end."""
    project = Project(tmp_path_factory.mktemp("quickstart"), _name(), forks)
    try:
        project.follow(ROOT / "docs/quickstart.md")
        yield project
    finally:
        project.drop()


@pytest.fixture
def empty(forks: Forks, tmp_path: Path) -> Iterator[Project]:
    """An empty directory, and the name of a database that is not there."""
    project = Project(tmp_path, _name(), forks)
    yield project
    project.drop()


@pytest.fixture
def copy(quickstart: Project, tmp_path: Path) -> Iterator[Project]:
    """The quickstart's project, for one page."""
    project = quickstart.copy(tmp_path / "shop", _name())
    yield project
    project.drop()


Follow = Callable[[Path], Project]


@pytest.fixture
def follow(request: pytest.FixtureRequest) -> Follow:
    """Follow a page and return the project: the quickstart itself, one of its own, or a copy."""

    def follow(page: Path) -> Project:
        if page == ROOT / "docs/quickstart.md":
            return request.getfixturevalue("quickstart")  # type: ignore[no-any-return]
        project: Project = request.getfixturevalue(
            "empty" if page == ROOT / "README.md" else "copy"
        )
        project.follow(page)
        return project

    return follow

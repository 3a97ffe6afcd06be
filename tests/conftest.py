"""In which order the files begin, and their database; the server is the concern of `tests/server.py`."""

from collections.abc import Iterator

import pytest
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker

# What takes longest, the longest first: each file is one process's, and begun last, one of these would leave the others without work.
LONGEST = (
    "tests/docs/test_pages.py",
    "tests/acceptance/demo/test_demo_in_a_browser.py",
    "tests/acceptance/test_wagtail.py",
    "tests/integration/roles/test_fleet.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/template/test_killed_while_making.py",
    "tests/integration/test_postgres_launcher.py",
    "tests/integration/test_testing.py",
    "tests/acceptance/demo/test_demo_by_http.py",
    "tests/integration/lifecycle/test_killed.py",
    "tests/integration/poolers/test_migrate.py",
    "tests/integration/backend/test_carriers.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Stable: what is not listed keeps its random order.
    ranks = {path: rank for rank, path in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(LONGEST)))


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """As pytest-django's own, which makes no database where no test that was collected bears a mark of its own.

    A file of tests that ask for `committing` could not be run alone.
    """
    verbosity = request.config.option.verbose
    with django_db_blocker.unblock():
        made = setup_databases(verbosity, interactive=False, serialized_aliases=set())
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity)

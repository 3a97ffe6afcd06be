"""In which order the files begin; the server is the concern of `tests/server.py`."""

import pytest

# What takes longest, the longest first: each file is one process's, and begun last, one of these would leave the others without work.
LONGEST = (
    "tests/acceptance/demo/test_demo_in_a_browser.py",
    "tests/docs/test_pages.py",
    "tests/acceptance/test_wagtail.py",
    "tests/integration/roles/test_fleet.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/template/test_killed_while_making.py",
    "tests/integration/roles/test_each_way_to_send.py",
    "tests/integration/fleet/test_migrate_flags.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Stable: what is not listed keeps its random order.
    ranks = {path: rank for rank, path in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(LONGEST)))

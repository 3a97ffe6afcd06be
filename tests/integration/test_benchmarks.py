"""The benchmarks still run; what they measure is asserted nowhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale import GROWTH, PARTS, ROW_LEVEL, spread, write
from tests.server import home_of_servers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("benchmarks") / "scale.md"
    return run("scale", "--schemas=0,3", "--tables=4", "--fleet=1,2", report=path)


@pytest.fixture(scope="module")
def sign_ups(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("benchmarks") / "sign_ups.md"
    counts = ("--tables=2", "--repeat=1", "--each=1", "--rounds=1", "--seconds=0.5")
    return run("sign_ups", "--alone", *counts, report=path)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("benchmarks") / "fleet.md"
    counts = ("--schemas=", "--ours=1,3", "--fsync=on", "--rounds=1", "--jobs=2")
    return run("fleet", "--alone", *counts, report=path)


def run(name: str, *arguments: str, report: Path) -> str:
    # A server and a process of its own: the settings of the tests are read once, with one database.
    with home_of_servers(f"benchmarks-{name}") as home:
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--report", report],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "APPSCHEMA_POSTGRES_DIR": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return report.read_text()


def rows(report: str) -> dict[str, list[str]]:
    """The cells of each row of each table, by the row's first."""
    found = {}
    for line in report.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            first, *cells = line.strip("| ").split(" | ")
            found[first] = cells
    return found


def test_the_report_of_scale_has_every_section(report):
    assert tuple(re.findall(r"^## (\w+)$", report, re.MULTILINE)) == PARTS


def test_the_report_of_scale_has_every_row_with_a_figure_for_the_last_step(report):
    found = rows(report)
    for title in [*GROWTH.values(), *ROW_LEVEL.values()]:
        assert re.match(r"\d", found[title][-1]), title


def test_what_can_be_counted_is_right_in_the_report_of_scale(report):
    found = rows(report)
    before, after = (int(each.split(",")[0]) for each in found[GROWTH["pg_attribute"]])
    assert after > before
    created = found["locks held by the transaction that creates one schema"]
    dropped = found["locks held by the transaction that drops one"]
    # A table with its identity, keys and TOAST: more locks than one, fewer than fifty.
    assert 4 < int(created[0]) < 200
    assert 4 < int(dropped[0]) < 200
    assert found["schemas dropped in one transaction before `out of shared memory`"] == [
        "more than 3"
    ]
    assert list(found)[-1] == "load of the machine"


def test_a_section_that_is_measured_again_replaces_its_old_self_and_no_other(tmp_path):
    path = tmp_path / "scale.md"
    write(path, {"growth": "old growth", "fleet": "old fleet"})
    write(path, {"growth": "new growth", "locks": "new locks"})
    sections = path.read_text().split("\n## ")[1:]
    assert sections == ["growth\n\nnew growth\n", "locks\n\nnew locks\n", "fleet\n\nold fleet\n"]


def test_a_spread_is_the_median_the_least_and_the_most():
    assert spread([0.001, 0.003, 0.1]) == "3.00 (1.00-100)"
    assert spread([2.0], unit=1) == "2.00"


def test_every_way_of_signing_up_makes_the_same_tables_indexes_and_foreign_keys(sign_ups):
    found = rows(sign_ups)
    ways = [
        cells[-1] for title, cells in found.items() if re.match("psycopg|django-appschema", title)
    ]
    assert len(ways) == 3
    assert set(ways) == {"10, 34, 11"}


def test_what_can_be_counted_is_right_in_the_report_of_sign_ups(sign_ups):
    found = [
        line.strip("| ").split(" | ") for line in sign_ups.splitlines() if line.startswith("| 2 |")
    ]
    quiet, template, spares, refill, at_once = found
    assert (at_once[1], at_once[-2]) == ("8", "0")
    assert int(refill[10]) > 0
    for phase, created in ((quiet, "0"), (template, "3"), (spares, "3"), (refill, refill[10])):
        assert (phase[2], phase[9], phase[10], phase[-1]) == ("56", "0", created, "0"), phase


def test_the_report_of_fleet_has_a_figure_for_each_size_and_a_verdict_for_each_bar(fleet):
    sections = dict(each.split("\n", 1) for each in fleet.split("\n## ")[1:])
    for title in ("Nothing to do", "A field with an index", "A function in each schema", "Memory"):
        found = rows(sections[title])
        for size in ("1", "3"):
            assert found[size][0] == "on"
            assert re.match(r"\d", found[size][1]), title
    bars = rows(sections["The bars"])
    del bars["bar"]
    assert len(bars) == 2 * 4 + 3
    for title, (_, verdict) in bars.items():
        assert re.match("met|missed|not asked", verdict), title


def test_what_can_be_counted_is_right_in_the_report_of_fleet(fleet):
    _, _, last = fleet.rpartition("## What was migrated")
    told = [line.strip("| ").split(" | ") for line in last.splitlines() if "appschema" in line]
    # 31 migrations, and three releases for each size; an index for two of them.
    assert told == [
        ["1", "appschema", "34, 115, 37, 34, 108"],
        ["3", "appschema", "34, 117, 37, 37, 108"],
    ]

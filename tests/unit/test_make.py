"""What `make` says when this machine lacks something: one sentence, never a traceback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LONGEST
from tools import bootstrap, environments, targets
from tools.environments import PROJECT

Script = Callable[[str, str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a maker of programs: give it a name and shell text, it gives the path."""

    def make(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty project, in which environments are made in this test."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "cell.txt").touch()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(environments, "PROJECT", tmp_path)
    monkeypatch.setattr(environments, "LOCKS", tmp_path / "requirements")
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / ".venv")
    return tmp_path


def test_this_python_is_found() -> None:
    pythons, _ = bootstrap.find_pythons()
    assert sys.version_info[:2] in pythons


def test_only_old_pythons_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: Script
) -> None:
    old = script("python3.10", "echo '3.10|/usr/bin/python3.10|-'")
    monkeypatch.setattr(bootstrap, "candidates", lambda: [old, "/nowhere/python3.12"])
    assert bootstrap.main() == 1
    version = ".".join(map(str, sys.version_info[:2]))
    assert capsys.readouterr().err == (
        f"{sys.executable} is Python {version} and no newer one was found. Install Python 3.11 or newer, "
        "or name another with 'make PYTHON=/path/to/python3 ...'.\n"
    )


def test_a_python_without_ensurepip_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: Script
) -> None:
    bare = script("python3.11", "echo '3.11|/usr/bin/python3.11|ensurepip'")
    monkeypatch.setattr(bootstrap, "candidates", lambda: [bare])
    assert bootstrap.main() == 1
    assert capsys.readouterr().err == (
        "/usr/bin/python3.11 lacks 'ensurepip'. Install the rest of it (on Debian the package is python3-venv), "
        "or name another with 'make PYTHON=/path/to/python3 ...'.\n"
    )


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "There is no space left on the disk"),
        ("NewConnectionError: Failed to establish", "The packages cannot be downloaded. Check"),
        ("ERROR: No matching distribution found for x==1", "the package index lacks a package"),
        ("ERROR: it broke", "The environment could not be made: it broke. The details are in"),
        ("", "The environment could not be made: no message. The details are in"),
    ],
)
def test_a_failed_installation_is_one_sentence(
    project: Path, script: Script, said: str, sentence: str
) -> None:
    failing = script("python", f"echo '{said}'; exit 1")
    with pytest.raises(environments.EnvironmentFailedError, match=sentence) as caught:
        environments.make_environment("cell", failing)
    assert "\n" not in str(caught.value)
    assert not (project / ".venv" / "cell" / "made-from").exists()


def test_an_environment_is_made_anew_only_when_its_lock_changes(
    project: Path, script: Script
) -> None:
    # In place of Python: makes a "Python" which installs nothing, and writes down that it was asked.
    python = script(
        "python", f'mkdir -p "$4/bin"; echo made >> {project}/made; cp /bin/true "$4/bin/python"'
    )
    for _ in range(2):
        environments.make_environment("cell", python)
    assert (project / "made").read_text() == "made\n"
    (project / "requirements" / "cell.txt").write_text("django==5.2.0\n")
    environments.make_environment("cell", python)
    assert (project / "made").read_text() == "made\n" * 2


def test_the_summary_ends_with_the_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(targets, "REPORTS", tmp_path)
    outcome = targets.Outcome()
    outcome.add("one", passed=3)
    outcome.add("two", passed=1, failed=2, skipped=4)
    outcome.left_out.append("three: no Python 3.12 was found, which this needs")
    assert outcome.close() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "  three: no Python 3.12 was found, which this needs" in lines
    assert lines[-1] == "4 passed, 2 failed, 4 skipped"


def test_a_run_without_a_passed_test_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(targets, "REPORTS", tmp_path)
    assert targets.Outcome().close() == 1


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_every_target_is_in_the_makefile(name: str) -> None:
    lines = (PROJECT / "Makefile").read_text().splitlines()
    declared = next(line for line in lines if line.startswith("TARGETS :="))
    assert name in declared.split()


def test_lock_files_name_no_package_index() -> None:
    for path in (PROJECT / "requirements").iterdir():
        text = path.read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text


def test_an_absent_python_is_one_sentence() -> None:
    done = subprocess.run(
        ["make", "--silent", "PYTHON=python3.999", "help"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "'python3.999' is absent or too old. Install Python 3.11 or newer, "
        "or run 'make PYTHON=/path/to/python3 help'."
    )


def test_the_tests_that_are_named_for_their_length_or_left_out_are_there() -> None:
    named = {*LONGEST, *(path for cell in targets.CELLS for path in cell.left_out)}
    assert [path for path in named if not (PROJECT / path).exists()] == []
    assert not targets.FIRST.left_out

"""The tests of a Django release, which its sdist contains and its wheel does not."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.django_suite_runs import SuiteError

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "django-suite"


def django_tests(version: str) -> Path:
    """Return the ``tests`` directory of this Django, downloaded when the cache does not have it."""
    source = CACHE / f"django-{version}"
    if not source.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            _unpack(_download(version, Path(directory)), Path(directory))
            # Another run may have been quicker: its copy is as good.
            if not source.is_dir():
                (Path(directory) / source.name).rename(source)
    return source / "tests"


def _download(version: str, directory: Path) -> Path:
    # pip prepares the metadata of what it downloads, in an environment of its own. Only Django is
    # asked for as source: the tools that this needs may come as wheels.
    asked = ["--no-deps", "--no-binary", "django", f"django=={version}", "--dest", str(directory)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *asked]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(directory.glob("*.tar.gz"))
    if process.returncode or not archives:
        raise SuiteError(
            f"The sdist of Django {version} could not be downloaded by pip: {process.stderr.strip()}"
        )
    return archives[0]


def _unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as stream:
        # Python 3.11.0 to 3.11.3 do not have the filter.
        stream.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        tests = [member for member in stream if "/tests/" in member.name]
        stream.extractall(directory, tests)  # noqa: S202 - Django's own, and filtered.

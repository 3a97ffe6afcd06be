"""Virtual environments in `.venv/`, each made from one lock file and made anew when that file changes."""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = PROJECT / ".venv"
LOCKS = PROJECT / "requirements"


class EnvironmentFailedError(Exception):
    """An environment cannot be made; the message is for the person at the terminal."""


def make_environment(name: str, python: str, *, install_project: bool = True) -> Path:
    """Return the Python of the environment made from `requirements/<name>.txt`, made now if it is absent or outdated."""
    lock = LOCKS / f"{name}.txt"
    directory = ENVIRONMENTS / name
    # The path is part of it: scripts and the editable installation name it, and a moved checkout would use the old one.
    identity = hashlib.sha256(
        f"{PROJECT} {python} {install_project}".encode() + lock.read_bytes() + _project_metadata()
    ).hexdigest()
    stamp = directory / "made-from"
    try:
        ENVIRONMENTS.mkdir(exist_ok=True)
        with (ENVIRONMENTS / f"{name}.lock").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not stamp.exists() or stamp.read_text() != identity:
                _make(name, python, lock, directory, install_project)
                stamp.write_text(
                    identity
                )  # Last: an interrupted installation has none and is made anew.
    except OSError as error:
        raise EnvironmentFailedError(
            f"The environment {str(directory)!r} cannot be written: {error.strerror}."
        ) from error
    return directory / "bin" / "python"


def _project_metadata() -> bytes:
    return (PROJECT / "pyproject.toml").read_bytes()


def _make(name: str, python: str, lock: Path, directory: Path, install_project: bool) -> None:
    print(
        f"Installing {str(lock.relative_to(PROJECT))!r} in {str(directory.relative_to(PROJECT))!r} ...",
        flush=True,
    )
    started = time.monotonic()
    pip = [
        str(directory / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--no-deps",
        "--no-compile",  # Most modules are never imported; Python compiles the others when they are.
        "--quiet",
    ]
    log = ENVIRONMENTS / f"{name}.log"
    with log.open("w+") as output:
        _run([python, "-m", "venv", "--clear", str(directory)], output, log)
        _run([*pip, "-r", str(lock)], output, log)
        if install_project:
            _run([*pip, "--no-build-isolation", "--editable", str(PROJECT)], output, log)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _run(command: list[str], output: IO[str], log: Path) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET"}
    }
    done = subprocess.run(
        command,
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return
    said = log.read_text(errors="replace")
    # pip ends a failed build with hints; what failed is said before them.
    errors = re.findall(r"(?:ERROR|[A-Za-z]*Error): (.*)$", said, re.MULTILINE)
    errors = errors or said.strip().splitlines()[-1:] or ["no message"]
    if "No space left on device" in said or "Disk quota exceeded" in said:
        raise EnvironmentFailedError(
            f"There is no space left on the disk of {str(PROJECT)!r}. Free about 1 GB and run it again."
        )
    if re.search(
        r"NewConnectionError|ConnectionError|NameResolutionError|ProxyError|Max retries|Read timed out|SSLError|SSLCertVerification",
        said,
    ):
        raise EnvironmentFailedError(
            f"The packages cannot be downloaded. Check the network and pip's configuration, then run it again. The details are in {str(log)!r}."
        )
    if re.search(r"No matching distribution|Could not find a version", said):
        raise EnvironmentFailedError(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} or the package index lacks a package: {errors[0]}. The details are in {str(log)!r}."
        )
    raise EnvironmentFailedError(
        f"The environment could not be made: {errors[0]}. The details are in {str(log)!r}."
    )

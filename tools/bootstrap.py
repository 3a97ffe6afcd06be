"""The first step of every make target: find a Python that will do and hand over to `tools.targets`.

`python3` may be older than the package supports. This file therefore keeps to syntax that such a Python understands, and
everything else lives in files which only a new one reads.
"""

import glob
import os
import subprocess
import sys

OLDEST = (3, 11)
PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROBE = """
import importlib.util, sys
specs = [(name, importlib.util.find_spec(name)) for name in ("venv", "ensurepip", "ssl")]
missing = [name for name, spec in specs if spec is None or spec.origin is None]
print("%d.%d" % sys.version_info[:2], sys.executable, ",".join(missing) or "-", sep="|")
"""


def candidates() -> "list[str]":
    """Return the paths where a Python may be: this one, those on PATH, and those of the usual version managers."""
    found = [sys.executable]
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep) + [
        "/usr/local/bin",
        "/usr/bin",
        "/opt/homebrew/bin",
    ]
    for directory in directories:
        found += sorted(glob.glob(os.path.join(directory, "python3.[1-9][0-9]")))
    roots = [os.environ.get("PYENV_ROOT", ""), os.path.expanduser("~/.pyenv")]
    # pyenv's shims refuse to run a version which is installed but not selected; the version itself runs.
    roots += [
        os.path.dirname(directory)
        for directory in directories
        if os.path.basename(directory) == "shims"
    ]
    for pattern in [os.path.join(root, "versions") for root in roots if root] + [
        os.path.expanduser("~/.local/share/uv/python")
    ]:
        found += sorted(glob.glob(os.path.join(pattern, "*3.[1-9][0-9]*", "bin", "python3")))
    return found


def find_pythons() -> "tuple[dict[tuple[int, ...], str], list[str]]":
    """Return the usable Pythons as {(3, 12): path}, and a list of what is wrong with the others."""
    pythons = {}  # type: dict[tuple[int, ...], str]
    unusable = []  # type: list[str]
    seen = set()  # type: set[str]
    for path in candidates():
        if not path or path in seen:
            continue
        seen.add(path)
        try:
            answer = subprocess.check_output(
                [path, "-c", PROBE], stderr=subprocess.DEVNULL, universal_newlines=True, timeout=30
            )
            version, executable, missing = answer.strip().split("|")
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        number = tuple(int(part) for part in version.split("."))
        lacks = missing.split(",") if missing != "-" else []
        if number >= OLDEST and lacks:
            unusable.append(
                "%s lacks %s" % (executable, " and ".join(repr(name) for name in lacks))
            )
        elif number >= OLDEST and number not in pythons:
            pythons[number] = executable
    return pythons, unusable


def main() -> int:
    """Run `tools.targets` with the oldest usable Python; say in one sentence why there is none."""
    pythons, unusable = find_pythons()
    if not pythons:
        if unusable:
            fault = (
                "%s. Install the rest of it (on Debian the package is python3-venv)"
                % "; ".join(unusable)
            )
        else:
            version = "%d.%d" % sys.version_info[:2]
            fault = "%s is Python %s and no newer one was found. Install Python 3.11 or newer" % (
                sys.executable,
                version,
            )
        sys.stderr.write("%s, or name another with 'make PYTHON=/path/to/python3 ...'.\n" % fault)
        return 1
    python = pythons[min(pythons)]
    os.chdir(PROJECT)
    os.execv(python, [python, "-m", "tools.targets"] + sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

"""A process of its own for each variant that is measured, ordered by lines of JSON on its stdin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


def inherited() -> dict[str, str]:
    """Return the environment for a process that is measured.

    Some machines forbid Python to keep what it has compiled. Each start would compile all of Django anew.
    """
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Worker:
    """Runs *module*, which answers one line of JSON for each line of JSON.

    The process can import the project and what lies in *also*; *environment* tells it what it is.
    """

    def __init__(self, module: str, environment: dict[str, str], *also: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env={
                **inherited(),
                "PYTHONPATH": os.pathsep.join(map(str, (PROJECT / "src", PROJECT, *also))),
                **environment,
            },
        )

    def order(self, do: str, **details: Any) -> None:
        """Give an order, whose answer is to be fetched."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer to the oldest order; end this program if the worker has ended."""
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise SystemExit(
                f"The worker {self._process.args!r} has ended without an answer; see above."
            )
        return json.loads(line)

    def ask(self, do: str, **details: Any) -> Any:
        """Give an order and wait for its answer."""
        self.order(do, **details)
        return self.answer()

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()

"""``manage.py`` in a process of its own, for what only a process has: signals, exit codes, a terminal."""

import contextlib
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from tests.integration.fleet.conftest import Site

ROOT = Path(__file__).parents[3]
_SETTINGS = (
    "CACHES",
    "INSTALLED_APPS",
    "APPSCHEMA_SHARED_APPS",
    "APPSCHEMA_BOTH_APPS",
    "APPSCHEMA_TEMPLATE",
)
_DATABASE = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")


@contextlib.contextmanager
def start(site: Site, *words: str, **streams: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a command in the site's database, with the settings that hold now; end it if it has not."""
    database = {key: connection.settings_dict[key] for key in _DATABASE}
    values = {name: getattr(settings, name) for name in _SETTINGS}
    values |= {"DATABASES": {"default": database}, "SECRET_KEY": "x", "USE_TZ": True}
    values["DEFAULT_AUTO_FIELD"] = "django.db.models.BigAutoField"
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    (site.root / "apart_settings.py").write_text("\n".join(lines))
    with subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "apart_settings",
            "PYTHONUNBUFFERED": "",
            "PYTHONPATH": os.pathsep.join([str(site.root), str(ROOT), *filter(None, sys.path)]),
        },
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(site: Site, *words: str) -> tuple[int, str, str]:
    """Run a command to its end, and return its exit code and what it printed."""
    with start(site, *words) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run_on_a_terminal(site: Site, *words: str) -> tuple[int, str]:
    """The same on a terminal, on which both streams are one."""
    terminal, theirs = pty.openpty()
    termios.tcsetwinsize(terminal, (25, 80))
    with start(site, *words, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b"".join(_read(terminal))
        process.wait(60)
    os.close(terminal)
    return process.returncode, shown.decode()


def _read(terminal: int) -> Iterator[bytes]:
    # The end of a terminal is an error on Linux.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            yield part

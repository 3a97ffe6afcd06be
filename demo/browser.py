"""The demo as a process of its own, and a headless Chromium in front of it: for its tests and its screenshots.

Needs the package playwright and a Chromium of the system; the demo itself needs neither.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from demo import LOGIN, PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROJECT = Path(__file__).resolve().parent.parent
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def demo_process(database: str, files: Path) -> Iterator[int]:
    """Run `python -m demo.run` on the database of that URL until the end of the block; give its port."""
    environment = {**os.environ, "PORT": "0", "DATABASE_URL": database, "DEMO_FILES": str(files)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo.run"],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            said = ""
            while "Press Ctrl-C" not in said:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"The demo has ended before it was ready. It said: {said!r}")
                said += line
            port = re.search(r"http://localhost:(\d+)/", said)
            assert port is not None
            yield int(port[1])
        finally:
            process.terminate()


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Give a headless Chromium that asks nobody but the pages it is sent to."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - installed for the tests only

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: "Page", address: str, username: str = LOGIN, password: str = PASSWORD) -> None:
    """Sign in to the workspace at `address`, and end on its first page."""
    page.goto(f"{address}/login/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()

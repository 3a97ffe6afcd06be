"""The documentation builds without a warning, and its pages load nothing from another host."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytest.importorskip("sphinx", reason="only the first cell of the matrix has Sphinx")

STRICT = ("-W", "--keep-going", "-n", "-q")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//"
    r"|@import\s+(?:url\()?[\"']?(?:https?:)?//|url\([\"']?(?:https?:)?//"
)


def test_the_documentation_builds_without_a_warning(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *STRICT, "-b", "html", ROOT / "docs", tmp_path / "html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    written = [each for each in (tmp_path / "html").rglob("*") if each.suffix in {".html", ".css"}]
    assert tmp_path / "html/quickstart.html" in written
    for path in written:
        assert not (found := _LOADED.search(path.read_text())), f"{path.name} loads {found}"
    shown = (tmp_path / "html/benchmarks.html").read_text()
    for result in (ROOT / "benchmarks/results").glob("*.md"):
        title = result.read_text().splitlines()[0].removeprefix("# ")
        assert title in shown, f"the results {result.name} are on the page of benchmarks"

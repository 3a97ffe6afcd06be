"""The pages and their blocks: which there are, and which are not run."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "pycon", "sh", "sql", "text", "ini")

_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$", re.MULTILINE)

_INSTALLS = "it installs from the network; the tests run where it is installed"
NOT_RUN = {
    "README.md": {
        "make demo": "the demo has tests of its own, in tests/acceptance",
        'pip install "django-appschema[binary]"': _INSTALLS,
    },
    "docs/quickstart.md": {
        "python3 -m venv tenancy\n. tenancy/bin/activate\n"
        'pip install "django-appschema[binary]"': _INSTALLS
    },
}
"""The blocks of each page that are not run, and why."""


def all_pages() -> list[Path]:
    """Return README.md and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples_of(page: Path, evaluator: Callable[[Example], str | None]) -> list[Example]:
    """Return the blocks of a page, in order, those in comments too."""
    parsers = [CodeBlockParser(language, evaluator) for language in LANGUAGES]
    document: Document = Sybil(parsers).parse(page)
    return list(document.examples())


def language_of(example: Example) -> str:
    return str(example.region.lexemes["arguments"]).strip()


def reason_not_run(example: Example) -> str | None:
    listed = NOT_RUN.get(name_of(Path(example.path)), {})
    return listed.get(str(example.parsed).strip())


def fences_of(page: Path) -> Iterator[str]:
    """Yield the language of each visible block, as a reader who knows only Markdown finds it.

    Directives ({toctree}) are no blocks of code: the build of the documentation runs them.
    """
    opened = ""
    for fence in _FENCE.finditer(page.read_text()):
        marks, info = fence[1], fence["info"].strip()
        if opened:
            if marks.startswith(opened) and not info:
                opened = ""
            continue
        opened = marks
        if not info.startswith("{"):
            yield info

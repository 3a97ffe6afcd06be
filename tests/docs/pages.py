"""The pages and their blocks: which there are, and which are not run."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "pycon", "sh", "sql", "text", "ini")

_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$", re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*\Z", re.DOTALL)


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
    """Return what the comment right before a block says of why it is not run."""
    found = _NOT_RUN.search(example.document.text[: example.region.start])
    return found["reason"] if found else None


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

"""What README.md and the pages show is run, block by block, in the order of the page."""

from pathlib import Path

import pytest

from tests.docs.conftest import Follow
from tests.docs.pages import (
    NOT_RUN,
    all_pages,
    examples_of,
    fences_of,
    language_of,
    name_of,
    reason_not_run,
)

PAGES_WITH_BLOCKS = [page for page in all_pages() if examples_of(page, lambda _: None)]


@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS, ids=name_of)
def test_what_the_page_shows_is_true(page: Path, follow: Follow):
    project = follow(page)
    listed = NOT_RUN.get(name_of(page), {})
    assert len(project.ran) == len(examples_of(page, lambda _: None)) - len(listed)


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_no_block_escapes(page: Path):
    examples = examples_of(page, lambda _: None)
    shown = [each for each in examples if page.read_text()[each.region.start] in "`~"]
    assert [language_of(each) for each in shown] == list(fences_of(page))


def test_what_is_listed_as_not_run_stands_on_its_page_once():
    found = {
        name_of(page): [
            str(each.parsed).strip()
            for each in examples_of(page, lambda _: None)
            if reason_not_run(each)
        ]
        for page in all_pages()
    }
    assert {name: blocks for name, blocks in found.items() if blocks} == {
        name: list(blocks) for name, blocks in NOT_RUN.items()
    }

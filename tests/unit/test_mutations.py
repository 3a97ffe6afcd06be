"""The list of guards that `make mutations` takes out one by one is true to the source."""

from pathlib import Path

import pytest

from tools.mutations import MUTATIONS, PROJECT, SOURCE, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.guard)
def test_each_guard_stands_in_the_source_and_its_tests_are_there(mutation: Mutation) -> None:
    text = (SOURCE / mutation.path).read_text()
    assert mutation.mutate(text) != text
    compile(mutation.mutate(text), mutation.path, "exec")
    for path in mutation.tests.split():
        assert (PROJECT / path).exists()


def test_a_guard_that_is_not_there_is_told() -> None:
    gone = Mutation("anything", "context.py", "no such text", "", "tests/unit")
    with pytest.raises(ValueError, match=r"'context\.py' holds 'no such text' 0 times"):
        gone.mutate((SOURCE / Path(gone.path)).read_text())

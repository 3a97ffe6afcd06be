"""With roles, a schema's own role reads no other schema: a delete still tells who refers to the row."""

from collections.abc import Iterator
from typing import Any

import pytest

from appschema import schema_context
from appschema.deletion import delete_everywhere
from appschema.exceptions import StillReferenced
from tests.integration.roles.conftest import run
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan


@pytest.fixture
def plan(in_fleet: None) -> Iterator[Any]:
    with schema_context("public"):
        plan = Plan.objects.create(name="of all")
    for name in ("alpha", "beta"):
        with schema_context(name):
            Note.objects.create(title="refers", plan=plan)
    yield plan
    run("DELETE FROM alpha.notes_note; DELETE FROM beta.notes_note; DELETE FROM plans_plan")


def test_a_refused_delete_names_the_other_schema(plan: Any) -> None:
    with schema_context("alpha"), pytest.raises(StillReferenced) as caught:
        plan.delete()
    assert caught.value.schemas == ("beta",)
    assert run("SELECT count(*) FROM alpha.notes_note WHERE plan_id IS NOT NULL") == [(1,)]


@pytest.mark.parametrize("active", [None, "public", "alpha"])
def test_delete_everywhere_works_in_each_role(plan: Any, active: str | None) -> None:
    with schema_context(active):
        assert delete_everywhere(plan)[1] == {"plans.Plan": 1}
    for name in ("alpha", "beta"):
        assert run(f"SELECT plan_id FROM {name}.notes_note WHERE title = 'refers'") == [(None,)]

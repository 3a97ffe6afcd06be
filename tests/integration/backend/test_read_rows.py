"""What a queryset has read in one schema is not shown in another."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db.models import Count, Exists, Subquery
from django.db.models.expressions import RawSQL
from django.test import override_settings

from appschema import schema_context
from appschema.exceptions import WrongSchema
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan

pytestmark = pytest.mark.usefixtures("notes")


@pytest.fixture
def notes() -> None:
    for name in ("alpha", "beta"):
        with schema_context(name):
            Note.objects.create(title=f"of {name}")


async def _read_async(queryset: Any) -> list[Any]:
    return [each async for each in queryset]


READS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "len": len,
    "bool": bool,
    "index": lambda queryset: queryset[0],
    "slice": lambda queryset: queryset[:1],
    "count": lambda queryset: queryset.count(),
    "exists": lambda queryset: queryset.exists(),
    "async": async_to_sync(_read_async),
    "pickled": lambda queryset: list(pickle.loads(pickle.dumps(queryset))),
}
QUERYSETS: dict[str, Callable[[], Any]] = {
    "instances": Note.objects.all,
    "values": lambda: Note.objects.values_list("title"),
    "joined": lambda: Plan.objects.values_list("note__title"),
    "annotated": lambda: Plan.objects.annotate(n=Count("note")),
    "subquery": lambda: Plan.objects.annotate(t=Subquery(Note.objects.values("title")[:1])),
    "exists": lambda: Plan.objects.filter(Exists(Note.objects.all())),
    "in": lambda: Plan.objects.exclude(pk__in=Note.objects.values("pk").filter(title="none")),
    "raw_expression": lambda: Plan.objects.annotate(
        t=RawSQL("SELECT max(title) FROM notes_note", ())
    ),
    "union": lambda: Plan.objects.values_list("name").union(Note.objects.values_list("title")),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("make", QUERYSETS.values(), ids=QUERYSETS)
@pytest.mark.parametrize("built_in", [None, "alpha"])
def test_a_queryset_that_was_read_in_another_schema_raises(
    built_in: str | None, make: Callable[[], Any], read: Callable[[Any], Any]
) -> None:
    with schema_context("public"):
        Plan.objects.create(name="small")
    with schema_context(built_in):
        shared = make()
    with schema_context("alpha"):
        list(shared)
        read(shared)
    with (
        schema_context("beta"),
        pytest.raises(
            WrongSchema,
            match=r"^The rows of 'notes.Note' .* were read in the schema 'alpha', and .* 'beta'",
        ),
    ):
        read(shared)


def test_read_anew_it_shows_the_rows_of_each_schema() -> None:
    with schema_context(None):
        shared = Note.objects.all()
    for name in ("alpha", "beta"):
        with schema_context(name):
            assert [each.title for each in shared.all()] == [f"of {name}"]


def test_a_raw_queryset_raises_too() -> None:
    with schema_context(None):
        shared = Note.objects.raw("SELECT * FROM notes_note")
    with schema_context("alpha"):
        assert [each.title for each in shared] == ["of alpha"]
    with schema_context("beta"), pytest.raises(WrongSchema):
        list(shared)


@pytest.mark.parametrize("elsewhere", [None, "public"])
def test_what_was_built_and_read_in_a_schema_may_be_shown_where_no_customer_is(
    elsewhere: str | None,
) -> None:
    with schema_context("alpha"):
        found = Note.objects.all()
        assert len(found) == 1
    with schema_context(elsewhere):
        assert [each.title for each in found] == ["of alpha"]


@pytest.mark.parametrize("elsewhere", [None, "public"])
def test_what_all_schemas_share_shows_a_schemas_rows_nowhere_else(elsewhere: str | None) -> None:
    with schema_context(None):
        shared = Note.objects.all()
    with schema_context("alpha"):
        assert len(shared) == 1
    with schema_context(elsewhere), pytest.raises(WrongSchema):
        list(shared)


def test_shared_rows_and_a_queryset_of_none_may_be_read_anywhere() -> None:
    with schema_context(None):
        plans, nothing = Plan.objects.all(), Note.objects.none()
    for name in ("alpha", "beta", "public"):
        with schema_context(name):
            assert not list(plans)
            assert not list(nothing)


def test_the_setting_turns_it_off() -> None:
    with schema_context(None):
        shared = Note.objects.all()
    with override_settings(APPSCHEMA_REFUSE_CROSSING=False):
        for name in ("alpha", "beta"):
            with schema_context(name):
                assert [each.title for each in shared] == ["of alpha"]


def test_raw_rows_of_a_shared_model_with_values_of_a_schema_are_not_shown_in_another() -> None:
    with schema_context("public"):
        Plan.objects.create(name="small")
    shared: Any = Plan.objects.raw(
        "SELECT p.*, (SELECT max(title) FROM notes_note) AS t FROM plans_plan p"
    )
    with schema_context("alpha"):
        assert shared[0].t == "of alpha"
    with schema_context("beta"), pytest.raises(WrongSchema, match=r"'notes.Note'"):
        shared[0]


def test_rows_of_a_shared_model_alone_are_shown_everywhere() -> None:
    with schema_context("public"):
        Plan.objects.create(name="small")
    shared = Plan.objects.all()
    for name in ("alpha", "beta"):
        with schema_context(name):
            assert [each.name for each in shared] == ["small"]

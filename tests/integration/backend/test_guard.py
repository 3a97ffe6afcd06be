"""With no schema active, or public, a query on isolated models raises instead of reading public."""

from collections.abc import AsyncIterable, Awaitable, Callable

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.db import connection, models, transaction
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Subquery

from appschema import schema_context
from appschema.exceptions import NoActiveSchema
from tests.sample.notes.models import Attachment, Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag


def _lock() -> object:
    with transaction.atomic():
        return list(Note.objects.select_for_update())


QUERIES: dict[str, Callable[[], object]] = {
    "list": lambda: list(Note.objects.all()),
    "first": Note.objects.first,
    "get": lambda: Note.objects.get(pk=1),
    "in_bulk": lambda: Note.objects.in_bulk([1]),
    "count": Note.objects.count,
    "exists": Note.objects.exists,
    "contains": lambda: Note.objects.contains(Note(pk=1)),
    "aggregate": lambda: Note.objects.aggregate(Count("pk")),
    "aggregate_of_distinct": lambda: Note.objects.distinct()[:3].aggregate(Count("pk")),
    "values": lambda: list(Note.objects.values("title")),
    "values_list": lambda: list(Note.objects.values_list("pk", flat=True)),
    "iterator": lambda: list(Note.objects.iterator()),
    "dates": lambda: list(User.objects.dates("date_joined", "year")),
    "explain": lambda: Note.objects.all().explain(),
    "select_for_update": _lock,
    "union": lambda: list(Plan.objects.values("pk").union(Note.objects.values("pk"))),
    "raw": lambda: list(Note.objects.raw("SELECT * FROM notes_note")),
    "raw_of_a_shared_model": lambda: list(Plan.objects.raw("SELECT 1 AS id FROM notes_note")),
    "raw_in_capitals": lambda: list(Note.objects.raw("SELECT * FROM NOTES_NOTE")),
    "select_related": lambda: list(Attachment.objects.select_related("note")),
    "prefetch": lambda: list(Plan.objects.prefetch_related(Prefetch("note_set"))),
    "prefetch_objects": lambda: models.prefetch_related_objects([Plan(pk=1)], "note_set"),
    "related_manager": lambda: list(Plan(pk=1).note_set.all()),
    "m2m_manager": lambda: list(Group(pk=1).user_set.all()),
    "m2m_add": lambda: Group(pk=1).user_set.add(1),
    "join_from_shared": lambda: list(Plan.objects.filter(note__title="x")),
    "outer_join_from_shared": lambda: list(Plan.objects.filter(note=None)),
    "exclude_from_shared": lambda: list(Plan.objects.exclude(note__title="x")),
    "order_by_from_shared": lambda: list(Plan.objects.order_by("note__title")),
    "annotate_from_shared": lambda: list(Plan.objects.annotate(n=Count("note"))),
    "in_subquery": lambda: list(Plan.objects.filter(pk__in=Note.objects.values("plan"))),
    "subquery": lambda: list(
        Plan.objects.annotate(t=Subquery(Note.objects.filter(plan=OuterRef("pk")).values("title")))
    ),
    "exists_subquery": lambda: list(
        Plan.objects.filter(Exists(Note.objects.filter(plan=OuterRef("pk"))))
    ),
    "create": lambda: Note.objects.create(title="lost"),
    "save": lambda: Note(pk=1, title="lost").save(),
    "save_update_fields": lambda: Note(pk=1, title="lost").save(update_fields=["title"]),
    "bulk_create": lambda: Note.objects.bulk_create([Note(title="lost")]),
    "bulk_update": lambda: Note.objects.bulk_update([Note(pk=1, title="lost")], ["title"]),
    "get_or_create": lambda: Note.objects.get_or_create(title="lost"),
    "update_or_create": lambda: Note.objects.update_or_create(title="lost"),
    "update": lambda: Note.objects.update(title="lost"),
    "update_with_f": lambda: Note.objects.update(title=F("body")),
    "update_shared_by_subquery": lambda: Plan.objects.filter(
        pk__in=Note.objects.values("plan")
    ).update(name="lost"),
    "delete": lambda: Note.objects.all().delete(),
    "delete_instance": lambda: Note(pk=1).delete(),
    "raw_delete": lambda: Note.objects.all()._raw_delete("default"),
    "refresh": lambda: Note(pk=1).refresh_from_db(),
    "deferred_field": lambda: Note.from_db("default", ["id"], [1]).title,
    "foreign_key": lambda: Attachment(note_id=1).note,
    "acount": lambda: _run(Note.objects.acount),
    "aget": lambda: _run(lambda: Note.objects.aget(pk=1)),
    "acreate": lambda: _run(lambda: Note.objects.acreate(title="lost")),
    "async_for": lambda: _run(lambda: _collect(Note.objects.all())),
    "aiterator": lambda: _run(lambda: _collect(Note.objects.aiterator())),
}
# Deleting a shared row looks for the isolated rows that refer to it.
OF_A_SHARED_ROW: dict[str, Callable[[], object]] = {
    "delete_shared_row_that_isolated_rows_refer_to": lambda: _plan().delete()
}


def _run(ask: Callable[[], Awaitable[object]]) -> object:
    """Await it with Django's calls in this thread: one of their own would keep its connection."""

    async def main() -> object:
        return await ask()

    return async_to_sync(main)()


async def _collect(items: AsyncIterable[object]) -> list[object]:
    return [item async for item in items]


def _plan() -> Plan:
    return Plan.objects.create(name="left")


@pytest.fixture(autouse=True)
def _tables_left_in_public():
    """Tables of isolated models in public, with a row that must not be seen."""
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE notes_note (LIKE alpha.notes_note INCLUDING ALL);"
            "CREATE TABLE notes_attachment (LIKE alpha.notes_attachment INCLUDING ALL);"
            "CREATE TABLE auth_user (LIKE alpha.auth_user INCLUDING ALL);"
            "CREATE TABLE auth_group (LIKE alpha.auth_group INCLUDING ALL);"
            "CREATE TABLE auth_user_groups (LIKE alpha.auth_user_groups INCLUDING ALL);"
            "INSERT INTO notes_note (id, title, body) VALUES (1, 'left in public', '')"
        )
    Plan.objects.create(name="a plan")
    yield
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notes_note WHERE title = 'left in public'")
        kept = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM notes_note")
        total = cursor.fetchone()
        cursor.execute(
            "DROP TABLE notes_note, notes_attachment, auth_user, auth_group, auth_user_groups CASCADE"
        )
    assert kept == total == (1,)


@pytest.mark.parametrize("active", [None, "public"])
@pytest.mark.parametrize("name", QUERIES | OF_A_SHARED_ROW)
def test_query_on_isolated_models_raises(name, active):
    with (
        schema_context(active),
        pytest.raises(NoActiveSchema, match=r"(notes\.\w+|auth\.\w+)'.*schema_context"),
    ):
        (QUERIES | OF_A_SHARED_ROW)[name]()


def test_error_names_the_model_and_what_to_do():
    with pytest.raises(NoActiveSchema) as caught:
        Note.objects.count()
    assert str(caught.value) == (
        "The tables of 'notes.Note' live in the customers' schemas, and no schema is active. Put the"
        " query into 'with appschema.schema_context(NAME):'; on the command line type"
        " 'manage.py inschema NAME COMMAND'."
    )
    with schema_context("public"), pytest.raises(NoActiveSchema) as caught:
        Note.objects.count()
    assert "the current schema is 'public', where it has no table" in str(caught.value)


BOTH: dict[str, Callable[[], object]] = {
    "list": lambda: list(Tag.objects.all()),
    "count": Tag.objects.count,
    "create": lambda: Tag.objects.create(label="lost"),
    "update": lambda: Tag.objects.update(label="lost"),
    "delete": lambda: Tag.objects.all()._raw_delete("default"),
    "raw": lambda: list(Tag.objects.raw("SELECT * FROM tags_tag")),
    "subquery": lambda: list(Plan.objects.filter(pk__in=Tag.objects.values("pk"))),
}


@pytest.mark.parametrize("name", BOTH)
def test_query_on_both_models_raises_with_no_schema_and_works_in_public(name):
    with pytest.raises(NoActiveSchema, match=r"tags\.Tag"):
        BOTH[name]()
    with schema_context("public"):
        BOTH[name]()


@pytest.mark.parametrize("active", [None, "public", "alpha"])
def test_query_on_shared_models_works_everywhere(active):
    with schema_context(active):
        plan = Plan.objects.create(name="new")
        assert Plan.objects.filter(name="new").update(price=3) == 1
        assert list(Plan.objects.raw("SELECT * FROM plans_plan WHERE name = 'new'")) == [plan]
        assert Plan.objects.filter(name="new").aggregate(Count("pk")) == {"pk__count": 1}


@pytest.mark.parametrize("name", ["list", "values", "iterator", "subquery", "union", "create"])
def test_query_works_inside_a_schema(name):
    with schema_context("alpha"):
        QUERIES[name]()


QUERYSETS = [
    Note.objects.all(),
    Note.objects.filter(tag__label="x").select_related("plan"),
    Plan.objects.filter(note__title="x"),
    Plan.objects.filter(pk__in=Note.objects.values("plan")),
    Tag.objects.annotate(n=Count("note")),
    Note.objects.raw("SELECT * FROM notes_note"),
    Plan.objects.values("pk").union(Note.objects.values("pk")),
]


@pytest.mark.parametrize("active", [None, "public", "alpha", "nowhere"])
@pytest.mark.parametrize("queryset", QUERYSETS)
def test_text_of_a_query_never_raises(queryset, active):
    with schema_context(active):
        assert "SELECT" in str(queryset.query)


@pytest.mark.parametrize("active", [None, "public"])
def test_query_that_is_empty_for_certain_sends_nothing_and_does_not_raise(active, wire):
    with schema_context(active), wire() as sent:
        assert list(Note.objects.none()) == []
        assert Note.objects.none().count() == 0
        assert Note.objects.filter(pk__in=[]).exists() is False
        assert Note.objects.none().update(title="lost") == 0
        assert Note.objects.bulk_create([]) == []
    assert sent == []


def test_queryset_runs_in_the_schema_in_which_it_is_evaluated():
    queryset = Note.objects.filter(title__startswith="of").order_by("title")
    with schema_context("alpha"):
        Note.objects.create(title="of alpha")
    with schema_context("beta"):
        Note.objects.create(title="of beta")
        assert [note.title for note in queryset] == ["of beta"]
    with pytest.raises(NoActiveSchema):
        list(queryset.all())


def test_guard_is_left_when_the_query_raises():
    with pytest.raises(NoActiveSchema):
        Note.objects.count()
    assert not vars(connection).get("runs_query")
    assert str(Note.objects.all().query)

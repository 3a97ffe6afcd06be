"""What was read or built in one schema is not silently used in another."""

import copy
import pickle
from collections.abc import Callable, Iterator
from operator import and_, attrgetter, or_, xor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Exists, F, OuterRef, Prefetch
from django.db.models import query as django_query
from django.test import override_settings

from appschema import schema_context
from appschema.exceptions import NoActiveSchema, WrongSchema
from tests.sample.notes.models import Attachment, Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag


@pytest.fixture
def both() -> tuple[Note, Note]:
    """A note of the same primary key in each of two schemas."""
    found = []
    for name in ("alpha", "beta"):
        with schema_context(name):
            Note.objects.all().delete()
            note = Note.objects.create(pk=1, title=f"of {name}")
            Attachment.objects.create(pk=1, note=note, name=f"of {name}")
            found.append(Note.objects.get(pk=1))
    return found[0], found[1]


def _changed(note: Note) -> Note:
    note.title = "crossed"
    return note


USES: dict[str, Callable[[Note], object]] = {
    "save": lambda note: _changed(note).save(),
    "save_using": lambda note: _changed(note).save(using="default"),
    "save_fields": lambda note: _changed(note).save(update_fields=["title"]),
    "save_forced": lambda note: note.save(force_insert=True),
    "asave": lambda note: async_to_sync(_changed(note).asave)(),
    "delete": lambda note: note.delete(),
    "delete_using": lambda note: note.delete(using="default"),
    "adelete": lambda note: async_to_sync(note.adelete)(),
    "refresh": lambda note: note.refresh_from_db(),
    "refresh_using": lambda note: note.refresh_from_db(using="default"),
    "arefresh": lambda note: async_to_sync(note.arefresh_from_db)(),
    "bulk_create": lambda note: Note.objects.bulk_create([note], ignore_conflicts=True),
    "bulk_update": lambda note: Note.objects.bulk_update([_changed(note)], ["title"]),
    "bulk_update_using": lambda note: Note.objects.using("default").bulk_update(
        [_changed(note)], ["title"]
    ),
    "reverse_manager": lambda note: list(note.attachment_set.all()),
    "reverse_manager_using": lambda note: list(note.attachment_set.using("default")),
    "reverse_create": lambda note: note.attachment_set.create(name="crossed"),
    "reverse_add": lambda note: note.attachment_set.add(Attachment.objects.get(pk=1)),
    "prefetch": lambda note: models.prefetch_related_objects([note], "attachment_set"),
    "filter": lambda note: list(Attachment.objects.filter(note=note)),
    "filter_in": lambda note: list(Attachment.objects.filter(note__in=[note])),
    "exclude": lambda note: list(Attachment.objects.exclude(note=note)),
    "new_row": lambda note: Attachment.objects.create(note=note, name="crossed"),
    "new_row_in_memory": lambda note: Attachment(note=note, name="crossed").save(),
    "new_rows": lambda note: Attachment.objects.bulk_create([Attachment(note=note, name="x")]),
    "get_or_create": lambda note: Attachment.objects.get_or_create(note=note),
    "pickled": lambda note: pickle.loads(pickle.dumps(note)).save(),
    "deep_copied": lambda note: copy.deepcopy(note).save(),
    "update": lambda note: Attachment.objects.update(note=note),
    "contains": Note.objects.contains,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_an_instance_is_refused_in_another_schema_and_nothing_is_written(
    both: tuple[Note, Note], use: Callable[[Note], object]
) -> None:
    of_alpha, _ = both
    with schema_context("beta"), pytest.raises(WrongSchema) as caught:
        use(of_alpha)
    assert "'notes.Note' with the primary key 1" in str(caught.value)
    assert "'alpha'" in str(caught.value)
    assert "'beta'" in str(caught.value)
    for name in ("alpha", "beta"):
        with schema_context(name):
            assert [note.title for note in Note.objects.all()] == [f"of {name}"]
            assert [each.name for each in Attachment.objects.all()] == [f"of {name}"]


READ: dict[str, Callable[[], Any]] = {
    "get": lambda: Note.objects.get(pk=1),
    "using": lambda: Note.objects.using("default").get(pk=1),
    "iterator": lambda: next(Note.objects.iterator()),
    "raw": lambda: Note.objects.raw("SELECT * FROM notes_note")[0],
    "only": lambda: Note.objects.only("pk").get(),
    "related": lambda: Attachment.objects.select_related("note").get().note,
    "followed": lambda: Attachment.objects.get().note,
    "prefetched": lambda: Attachment.objects.prefetch_related("note").get().note,
    "through_reverse_manager": lambda: next(iter(Note.objects.get(pk=1).attachment_set.all())),
    "created": lambda: Note.objects.create(pk=2, title="new"),
    "saved": lambda: _saved(Note(pk=3, title="new")),
    "saved_using": lambda: _saved(Note(pk=4, title="new"), using="default"),
    "bulk_created": lambda: Note.objects.bulk_create([Note(title="new")])[0],
    "got_or_created": lambda: Note.objects.get_or_create(title="new")[0],
    "updated_or_created": lambda: Note.objects.update_or_create(title="new")[0],
    "async": lambda: async_to_sync(_first)(Note.objects.filter(pk=1)),
    "in_bulk": lambda: Note.objects.in_bulk([1])[1],
    "earliest": lambda: Note.objects.earliest("pk"),
    "content_type": lambda: ContentType.objects.get_for_model(Note).get_object_for_this_type(pk=1),
}


def _saved(instance: Any, **kwargs: Any) -> Any:
    instance.save(**kwargs)
    return instance


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_every_way_to_get_an_instance_binds_it(
    both: tuple[Note, Note], read: Callable[[], Any]
) -> None:
    with schema_context("alpha"):
        instance = read()
        assert instance._state.db == "default"
        instance.save()
    with schema_context("beta"), pytest.raises(WrongSchema):
        instance.save()


def test_deferred_fields_and_foreign_keys_are_not_loaded_from_another_schema(
    both: tuple[Note, Note],
) -> None:
    with schema_context("alpha"):
        note = Note.objects.only("pk").get()
        attachment = Attachment.objects.get()
    with schema_context("beta"):
        with pytest.raises(WrongSchema):
            note.title  # noqa: B018 - reading it asks the database
        with pytest.raises(WrongSchema):
            attachment.note  # noqa: B018


def test_many_to_many_relations_do_not_mix_schemas() -> None:
    with schema_context("alpha"):
        group = Group.objects.create(name="of alpha")
        user_of_alpha = User.objects.create(username="a")
    with schema_context("beta"):
        user = User.objects.create(username="b")
        for change in (lambda: user.groups.add(group), lambda: user.groups.set([group])):
            with pytest.raises(WrongSchema):
                change()
        with pytest.raises(WrongSchema):
            list(user_of_alpha.groups.all())
        user.delete()
    with schema_context("alpha"):
        user_of_alpha.delete()
        group.delete()


def test_a_copy_on_purpose_is_a_new_row(both: tuple[Note, Note]) -> None:
    note, _ = both
    note.pk = None
    note._state.adding = True
    with schema_context("beta"):
        note.save()
        assert Note.objects.count() == 2
        note.save()
    with schema_context("alpha"), pytest.raises(WrongSchema):
        note.save()


def test_an_instance_made_in_memory_belongs_to_the_schema_that_saves_it() -> None:
    with schema_context("alpha"):
        note = Note(title="new")
    with schema_context("beta"):
        note.save()
        note.delete()


def test_shared_instances_are_used_everywhere() -> None:
    with schema_context("alpha"):
        plan = Plan.objects.create(name="small")
    with schema_context("beta"):
        plan.name = "medium"
        plan.save()
        plan.refresh_from_db()
        note = Note.objects.create(title="x", plan=plan)
        assert list(plan.note_set.all()) == [note]
        plan.delete()


def test_an_instance_of_a_both_app_belongs_to_public_or_to_a_schema() -> None:
    with schema_context("public"):
        tag = Tag.objects.create(label="of public")
    with schema_context("alpha"), pytest.raises(WrongSchema):
        tag.save()
    with schema_context("public"):
        tag.save()


def test_with_no_schema_active_the_query_itself_is_refused(both: tuple[Note, Note]) -> None:
    for use in (Note.save, Note.delete, Note.refresh_from_db):
        with pytest.raises(NoActiveSchema):
            use(both[0])


RUNS: dict[str, Callable[[Any], object]] = {
    "list": list,
    "count": lambda queryset: queryset.count(),
    "exists": lambda queryset: queryset.exists(),
    "get": lambda queryset: queryset.get(pk=1),
    "filtered": lambda queryset: list(queryset.filter(title="x").order_by("pk")),
    "values": lambda queryset: list(queryset.values("pk")),
    "aggregate": lambda queryset: queryset.aggregate(n=models.Count("pk")),
    "iterator": lambda queryset: list(queryset.iterator()),
    "using": lambda queryset: list(queryset.using("default")),
    "update": lambda queryset: queryset.update(title="crossed"),
    "delete": lambda queryset: queryset.delete(),
    "fast_delete": lambda queryset: queryset._raw_delete("default"),
    "create": lambda queryset: queryset.filter(pk=9).get_or_create(pk=9, title="crossed"),
    "explain": lambda queryset: queryset.explain(),
    "union": lambda queryset: list(Note.objects.values("pk").union(queryset.values("pk"))),
    "subquery": lambda queryset: list(Attachment.objects.filter(note__in=queryset)),
    "exists_subquery": lambda queryset: list(
        Attachment.objects.filter(Exists(queryset.filter(pk=OuterRef("note"))))
    ),
    "prefetch": lambda queryset: list(
        Attachment.objects.prefetch_related(Prefetch("note", queryset.all()))
    ),
    "update_from": lambda queryset: Attachment.objects.update(
        name=queryset.order_by().values("title")[:1]
    ),
    "async": lambda queryset: list(async_to_sync(_all)(queryset)),
    "pickled": lambda queryset: list(_unpickled(queryset)),
}


async def _first(queryset: Any) -> Any:
    return await queryset.aget()


async def _all(queryset: Any) -> list[Any]:
    return [each async for each in queryset]


def _unpickled(queryset: Any) -> Any:
    fresh = Note.objects.none().all()
    fresh.query = pickle.loads(pickle.dumps(queryset.query))
    return fresh


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_queryset_is_refused_in_another_schema(
    both: tuple[Note, Note], run: Callable[[Any], object]
) -> None:
    with schema_context("alpha"):
        queryset = Note.objects.all()
    with schema_context("beta"):
        with pytest.raises(WrongSchema, match=r"on 'notes.Note' was built in the schema 'alpha'"):
            run(queryset)
        assert [note.title for note in Note.objects.all()] == ["of beta"]
    with schema_context("alpha"):
        assert [note.title for note in queryset] == ["of alpha"]


def test_a_raw_queryset_is_refused_in_another_schema(both: tuple[Note, Note]) -> None:
    with schema_context("alpha"):
        found = Note.objects.raw("SELECT * FROM notes_note")
    with schema_context("beta"):
        for each in (found, found.using("default")):
            with pytest.raises(WrongSchema):
                list(each)


def test_a_queryset_built_with_no_schema_active_is_for_all(both: tuple[Note, Note]) -> None:
    queryset = Note.objects.filter(pk=1)
    for name in ("alpha", "beta"):
        with schema_context(name):
            assert [note.title for note in queryset.all()] == [f"of {name}"]


def test_a_queryset_on_shared_models_is_run_everywhere() -> None:
    with schema_context("alpha"):
        queryset = Plan.objects.all()
    with schema_context("beta"):
        assert list(queryset) == []
        assert not queryset.filter(pk=F("pk")).exists()
        with pytest.raises(WrongSchema):
            list(_joined(queryset, "alpha"))


def _joined(queryset: Any, schema_name: str) -> Any:
    with schema_context(schema_name):
        return Plan.objects.filter(note__title="x")


def test_a_prefetch_that_all_requests_share_keeps_no_instance_of_one(
    both: tuple[Note, Note],
) -> None:
    prefetch = Prefetch("attachment_set", Attachment.objects.all())
    for name in ("alpha", "beta"):
        with schema_context(name):
            (note,) = Note.objects.prefetch_related(prefetch)
            assert [each.name for each in note.attachment_set.all()] == [f"of {name}"]
    assert prefetch.queryset._hints == {}


class Reader:
    """A prefetcher that reads the queryset as it is given to it."""

    def get_prefetch_querysets(self, instances: Any, querysets: Any = None) -> tuple[Any, ...]:
        by_note: Callable[[Any], Any] = attrgetter("note_id")
        return querysets[0], by_note, attrgetter("pk"), False, "unused", False


def test_a_prefetcher_of_others_is_given_a_queryset_that_is_still_to_be_read(
    both: tuple[Note, Note],
) -> None:
    with schema_context("alpha"):
        note: Any = Note.objects.get()
        prefetch = Prefetch("attachments", Attachment.objects.all(), to_attr="found")
        django_query.prefetch_one_level([note], Reader(), prefetch, 0)
        assert [each.name for each in note.found] == ["of alpha"]


TAKEN: dict[str, Callable[[Any, Any], Any]] = {
    "remove": lambda relation, other: relation.remove(other),
    "remove one by one": lambda relation, other: relation.remove(other, bulk=False),
    "set": lambda relation, other: relation.set([other]),
    "set a generator": lambda relation, other: relation.set(each for each in [other]),
    "async": lambda relation, other: async_to_sync(relation.aremove)(other),
}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN)
def test_an_instance_is_not_taken_for_the_one_of_its_key_in_a_relation(
    both: tuple[Note, Note], take: Callable[[Any, Any], Any]
) -> None:
    other = both[0]
    with schema_context("beta"):
        tag = Tag.objects.create(label="of beta")
        tag.note_set.set(Note.objects.all())
        with pytest.raises(WrongSchema, match=r"'notes\.Note' .* belongs to the schema 'alpha'"):
            take(tag.note_set, other)
        assert tag.note_set.count() == 1
        take(tag.note_set, Note.objects.get())


@pytest.mark.parametrize("name", ["remove", "set", "set a generator", "async"])
def test_nor_in_a_relation_of_many_to_many(name: str) -> None:
    # Of a primary key that no sequence will come to.
    groups = []
    for schema_name in ("alpha", "beta"):
        with schema_context(schema_name):
            groups.append(Group.objects.create(pk=10**9, name=f"taken of {schema_name}"))
    with schema_context("beta"):
        user = User.objects.create(username="taken")
        user.groups.set(groups[1:])
        with pytest.raises(WrongSchema):
            TAKEN[name](user.groups, groups[0])
        assert user.groups.count() == 1
        TAKEN[name](user.groups, groups[1])
        user.delete()
    for schema_name, group in zip(("alpha", "beta"), groups, strict=True):
        with schema_context(schema_name):
            group.delete()


def test_queries_of_two_schemas_are_not_combined(both: tuple[Note, Note]) -> None:
    with schema_context(None):
        shared = Note.objects.filter(title__contains="of")
    with schema_context("alpha"):
        one = Note.objects.filter(pk=1)
    with schema_context("beta"):
        for combine in (or_, and_, xor):
            with pytest.raises(WrongSchema, match=r"^These queries on 'notes.Note' were built in"):
                combine(one, Note.objects.filter(pk=1))
            with pytest.raises(WrongSchema):
                list(combine(shared, one))
        assert [each.title for each in shared & Note.objects.filter(pk=1)] == ["of beta"]
    with schema_context("alpha"):
        assert [each.title for each in shared | one] == ["of alpha"]


def test_showing_the_sql_never_raises() -> None:
    with schema_context("alpha"):
        queryset = Note.objects.all()
    with schema_context("beta"):
        assert "notes_note" in str(queryset.query)


def test_a_queryset_in_use_may_be_read_to_its_end(both: tuple[Note, Note]) -> None:
    with schema_context("alpha"):
        found = list(Note.objects.all())
    with schema_context("beta"):
        assert [note.title for note in found] == ["of alpha"]


def test_the_setting_turns_it_off(both: tuple[Note, Note]) -> None:
    with schema_context("alpha"):
        queryset = Note.objects.all()
    with override_settings(APPSCHEMA_REFUSE_CROSSING=False), schema_context("beta"):
        assert [note.title for note in queryset] == ["of beta"]
        both[0].refresh_from_db()
        assert both[0].title == "of beta"


def test_an_instance_is_read_by_no_more_python_calls_than_before(both: tuple[Note, Note]) -> None:
    """The schema travels in the alias, which every instance is given anyhow."""
    with schema_context("alpha"):
        first, second = Note.objects.get(), Attachment.objects.get()
    assert first._state.db is second._state.db
    from_db: Any = models.Model.from_db
    assert from_db.__func__.__module__ == "django.db.models.base"


def test_each_instance_that_something_is_prefetched_for_is_looked_at(
    both: tuple[Note, Note],
) -> None:
    with schema_context("alpha"):
        of_alpha = Attachment.objects.get()
    with schema_context("beta"):
        of_beta = Attachment.objects.get()
        for lookup in ("note", Prefetch("note", Note.objects.all())):
            with pytest.raises(WrongSchema, match="'alpha'"):
                models.prefetch_related_objects([of_beta, of_alpha], lookup)
        with pytest.raises(WrongSchema, match="'alpha'"):
            models.prefetch_related_objects([both[1], both[0]], "attachment_set")
    assert "note" not in of_alpha._state.fields_cache


@pytest.mark.parametrize("use", ["save", "delete", "refresh_from_db"])
@pytest.mark.parametrize("make", ["save", "create", "raises"])
def test_a_new_instance_has_its_schema_when_its_receivers_are_called(
    both: tuple[Note, Note], make: str, use: str
) -> None:
    del both
    refused = []

    def receive(instance: Note, **kwargs: Any) -> None:
        with schema_context("beta"), pytest.raises(WrongSchema) as caught:
            getattr(instance, use)()
        refused.append(caught.value)
        if make == "raises":
            raise ZeroDivisionError

    models.signals.post_save.connect(receive, sender=Note)
    try:
        with schema_context("alpha"):
            Note.objects.all().delete()
            note = Note(pk=1, title="new")
            if make == "create":
                note = Note.objects.create(pk=1, title="new")
            elif make == "save":
                note.save()
            else:
                with pytest.raises(ZeroDivisionError):
                    note.save()
    finally:
        models.signals.post_save.disconnect(receive, sender=Note)
    assert len(refused) == 1
    if make == "raises":
        with schema_context("beta"), pytest.raises(WrongSchema):
            note.save()
    with schema_context("beta"):
        assert Note.objects.get(pk=1).title == "of beta"


MEMBERS: dict[str, Callable[[Any], object]] = {
    "read": lambda manager: list(manager.all()),
    "add": lambda manager: manager.add(Group.objects.get(pk=71)),
    "remove": lambda manager: manager.remove(Group.objects.get(pk=71)),
    "clear": lambda manager: manager.clear(),
    "set": lambda manager: manager.set([]),
    "create": lambda manager: manager.create(name="new"),
    "delete": lambda manager: manager.all().delete(),
    "update": lambda manager: manager.update(name="new"),
}


@pytest.fixture
def members() -> Iterator[list[User]]:
    """A user of the same primary key in each of two schemas, in a group of the same key."""
    found = []
    for name in ("alpha", "beta"):
        with schema_context(name):
            user = User.objects.create(pk=71, username=f"member of {name}")
            user.groups.add(Group.objects.create(pk=71, name=f"group of {name}"))
            found.append(User.objects.get(pk=71))
    yield found
    for name in ("alpha", "beta"):
        with schema_context(name):
            User.objects.filter(username__startswith="member").delete()
            Group.objects.filter(pk=71).delete()


@pytest.mark.parametrize("use", MEMBERS.values(), ids=MEMBERS)
def test_the_members_of_another_schemas_instance_are_refused_whatever_the_alias(
    members: list[User], use: Callable[[Any], object]
) -> None:
    with schema_context("beta"):
        with pytest.raises(WrongSchema, match="'alpha'"):
            use(members[0].groups.db_manager("default"))
        with pytest.raises(WrongSchema, match="'alpha'"):
            list(members[0].groups.using("default"))
        assert [each.name for each in members[1].groups.all()] == ["group of beta"]


@pytest.mark.skipif(
    not hasattr(models, "FETCH_PEERS"), reason="Django has fetch modes from 6.1 on."
)
def test_the_peers_of_an_instance_are_filled_in_their_schema_only(both: tuple[Note, Note]) -> None:
    del both
    with schema_context("alpha"):
        mode: Any = models.FETCH_PEERS  # type: ignore[attr-defined,unused-ignore]
        notes = list(Note.objects.all().fetch_mode(mode).only("pk"))  # type: ignore[attr-defined,unused-ignore]
        attachments = list(Attachment.objects.all().fetch_mode(mode))  # type: ignore[attr-defined,unused-ignore]
    with schema_context("beta"):
        with pytest.raises(WrongSchema):
            notes[0].title  # noqa: B018
        with pytest.raises(WrongSchema):
            attachments[0].note  # noqa: B018
    with schema_context("alpha"):
        assert notes[0].title == attachments[0].note.title == "of alpha"

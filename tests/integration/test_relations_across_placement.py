"""Foreign keys from the schemas to shared tables: what is read through them, and deletes."""

import importlib
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from django.contrib.admin.utils import NestedObjects
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import (
    Count,
    Prefetch,
    ProtectedError,
    RestrictedError,
    prefetch_related_objects,
)
from django.db.models.signals import post_delete, post_migrate, pre_delete, pre_migrate
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from appschema import schema_context
from appschema.deletion import delete_everywhere
from appschema.exceptions import NoActiveSchema, StillReferenced, WrongSchema
from appschema.models import Schema
from appschema.provisioning import new_schema
from appschema.resolver import forget_names
from appschema.testing import remove_schema
from tests.integration.fleet.conftest import Site, model

SCHEMAS = ("acme", "globex", "initech")

CATALOGUE = """
class Plan(models.Model):
    code = models.TextField(unique=True)

class Feature(models.Model):
    plan = models.ForeignKey(Plan, models.CASCADE)

class Place(models.Model):
    pass

class Account(models.Model):
    schema = models.OneToOneField("appschema.Schema", models.CASCADE)

class Contract(models.Model):
    schema = models.ForeignKey("appschema.Schema", models.PROTECT)

class Lonely(models.Model):
    pass
"""
KINDS = """
class Kind(models.Model):
    plan = models.ForeignKey("catalogue.Plan", models.CASCADE)
"""


def _key(name: str, on_delete: str, more: str = "", to: str = "catalogue.Plan") -> str:
    return f"""
class {name}(models.Model):
    key = models.ForeignKey("{to}", models.{on_delete}, null=True, {more})
"""


ORDERS = "".join(
    [
        _key("Cascading", "CASCADE"),
        _key("Line", "CASCADE", to="orders.Cascading"),
        _key("Nulled", "SET_NULL"),
        _key("Defaulted", "SET_DEFAULT", "default=1"),
        _key("Protected", "PROTECT"),
        _key("Restricted", "RESTRICT"),
        _key("Idle", "DO_NOTHING"),
        _key("OfFeature", "CASCADE", to="catalogue.Feature"),
        _key("Loose", "CASCADE", "db_constraint=False"),
        _key("ByCode", "CASCADE", "to_field='code'"),
        _key("OfSchema", "CASCADE", to="appschema.Schema"),
        _key("OfKind", "CASCADE", to="kinds.Kind"),
        _key("PartOfKind", "CASCADE", to="orders.OfKind"),
        _key("NulledOfKind", "SET_NULL", to="kinds.Kind"),
        _key("ProtectedOfKind", "PROTECT", to="kinds.Kind"),
        """
from django.contrib.contenttypes.fields import GenericForeignKey

class Only(models.Model):
    plan = models.OneToOneField("catalogue.Plan", models.CASCADE, related_name="only")

class Basket(models.Model):
    plans = models.ManyToManyField("catalogue.Plan")

from catalogue.models import Place

class Restaurant(Place):
    plan = models.ForeignKey("catalogue.Plan", models.CASCADE)

class Visit(models.Model):
    place = models.ForeignKey(Place, models.CASCADE)

class Mark(models.Model):
    content_type = models.ForeignKey("contenttypes.ContentType", models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    marked = GenericForeignKey()
""",
    ]
)


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Site]:
    """A database with three schemas, for all tests of this module."""
    name = f"appschema_relations_{os.getpid()}"
    server = os.environ["APPSCHEMA_TEST_DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    root = tmp_path_factory.mktemp("relations")
    with django_db_blocker.unblock(), ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.syspath_prepend(root)
        patch.setattr(sys, "dont_write_bytecode", True)
        for signal in (pre_migrate, post_migrate):
            patch.setattr(signal, "receivers", list(signal.receivers))
        connection.close()
        patch.setitem(connection.settings_dict, "NAME", name)
        forget_names()
        site = Site(root, stack)
        site.app("catalogue", models=CATALOGUE)
        site.app("kinds", models=KINDS)
        site.app("orders", models=ORDERS)
        site.place(shared=["catalogue"], both=["kinds"], also=["django.contrib.contenttypes"])
        call_command("makemigrations", "catalogue", "kinds", "orders", verbosity=0)
        importlib.invalidate_caches()
        site.migrate(verbosity=0)
        for each in SCHEMAS:
            site.new(each)
        yield site
        connection.close()
    forget_names()
    site.forget_all()
    for signal in (pre_migrate, post_migrate):
        signal.sender_receivers_cache.clear()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


# Without the foreign keys' triggers, in one message.
_EMPTY = """
DO $$ DECLARE each regclass; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT r.oid FROM pg_class AS r JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE relkind = 'r' AND relname ~ '^(orders|kinds|catalogue)_' AND nspname !~ '^crowd_'
    LOOP EXECUTE format('DELETE FROM %s', each); END LOOP;
END $$
"""


@pytest.fixture(autouse=True)
def rows(world: Site, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield
        if connection.in_atomic_block:
            connection.close()
        world.rows(_EMPTY)


@pytest.fixture
def plan() -> Any:
    model("catalogue.Plan").objects.create(pk=1, code="the default")
    return model("catalogue.Plan").objects.create(pk=2, code="small")


def refer(label: str, to: Any, *schemas: str, field: str = "key") -> None:
    """Create a row that refers to a shared one in each of some schemas."""
    for name in schemas:
        with schema_context(name):
            model(label).objects.create(**{field: to})


def left(label: str, field: str = "key_id") -> dict[str, list[Any]]:
    """Return what the rows of each schema hold in a column."""
    found = {}
    for name in SCHEMAS:
        with schema_context(name):
            found[name] = list(model(label).objects.values_list(field, flat=True))
    return found


def plans() -> set[int]:
    return set(model("catalogue.Plan").objects.values_list("pk", flat=True))


@pytest.fixture
def unmodelled(world: Site, plan: Any) -> Iterator[Callable[[str], None]]:
    """Make a table of no model in globex that refers to the plan, for one test."""

    def make(rule: str) -> None:
        world.rows(
            f"CREATE TABLE globex.old (plan bigint REFERENCES catalogue_plan {rule});"
            "INSERT INTO globex.old VALUES (2)"
        )

    yield make
    world.rows("DROP TABLE globex.old")


# Reading through the keys.


def test_a_reverse_accessor_shows_the_rows_of_the_current_schema(plan: Any) -> None:
    refer("orders.Nulled", plan, "acme", "acme", "globex")
    counts = {}
    for name in SCHEMAS:
        with schema_context(name):
            counts[name] = plan.nulled_set.count()
    assert counts == {"acme": 2, "globex": 1, "initech": 0}
    with pytest.raises(NoActiveSchema):
        plan.nulled_set.count()


READS = {
    "select_related": lambda: [
        each.key.code for each in model("orders.Nulled").objects.select_related("key")
    ],
    "followed": lambda: [each.key.code for each in model("orders.Nulled").objects.all()],
    "prefetched_forwards": lambda: [
        each.key.code for each in model("orders.Nulled").objects.prefetch_related("key")
    ],
    "prefetched_backwards": lambda: [
        "small"
        for each in model("catalogue.Plan").objects.prefetch_related(
            Prefetch("nulled_set", to_attr="found")
        )
        for _ in each.found
    ],
    "filtered": lambda: list(
        model("catalogue.Plan").objects.filter(nulled__isnull=False).values_list("code", flat=True)
    ),
    "annotated": lambda: [
        "small"
        for each in model("catalogue.Plan").objects.annotate(n=Count("nulled")).filter(n__gt=0)
        for _ in range(each.n)
    ],
    "aggregated": lambda: (
        ["small"] * model("catalogue.Plan").objects.aggregate(n=Count("nulled"))["n"]
    ),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_way_to_read_stays_in_the_current_schema(plan: Any, read: Any) -> None:
    refer("orders.Nulled", plan, "acme", "acme", "globex")
    for name, expected in {"acme": 2, "globex": 1, "initech": 0}.items():
        with schema_context(name):
            assert read() == ["small"] * expected


def test_a_prefetched_plan_does_not_show_what_was_read_in_another_schema(plan: Any) -> None:
    refer("orders.Nulled", plan, "acme")
    for prefetch in ("nulled_set", Prefetch("nulled_set", model("orders.Nulled").objects.all())):
        with schema_context("acme"):
            found = model("catalogue.Plan").objects.prefetch_related(prefetch).get(pk=2)
            assert len(found.nulled_set.all()) == 1
        for each in (found, pickle.loads(pickle.dumps(found))):
            with (
                schema_context("globex"),
                pytest.raises(WrongSchema, match=r"'orders\.Nulled' .*'acme'"),
            ):
                list(each.nulled_set.all())
        with schema_context("public"):  # A report on all schemas, say.
            assert len(found.nulled_set.all()) == 1


def test_what_is_one_to_one_with_a_shared_row_is_looked_for_in_each_schema(plan: Any) -> None:
    for name in ("acme", "globex"):
        with schema_context(name):
            model("orders.Only").objects.create(plan=plan)
    found = model("catalogue.Plan").objects.get(pk=2)
    for name in ("acme", "globex", "acme"):
        with schema_context(name):
            assert found.only._state.db.schema_name == name
            assert found.only is found.only
    with schema_context("initech"), pytest.raises(ObjectDoesNotExist):
        _ = found.only


def test_many_to_many_and_one_to_one_are_of_the_schema(plan: Any) -> None:
    for name in ("acme", "globex"):
        with schema_context(name):
            model("orders.Basket").objects.create().plans.add(plan)
            model("orders.Only").objects.create(plan=plan)
    with schema_context("acme"):
        plan.refresh_from_db()
        plan.basket_set.get().plans.clear()
        plan.only.delete()
        assert not plan.basket_set.exists()
    with schema_context("globex"):
        plan.refresh_from_db()
        assert plan.only.plan_id == 2
        assert plan.basket_set.count() == 1


def test_a_one_to_one_to_the_registry_and_a_key_to_it(world: Site) -> None:
    acme: Any = Schema.objects.get(name="acme")
    model("catalogue.Account").objects.create(schema=acme)
    refer("orders.OfSchema", acme, "globex")
    assert acme.account.schema.name == "acme"
    with schema_context("globex"):
        assert model("orders.OfSchema").objects.get(key__name="acme").key == acme


def test_a_generic_key_leads_to_a_shared_row_by_the_schemas_own_content_types(plan: Any) -> None:
    kinds = set()
    for name in SCHEMAS:
        with schema_context(name):
            if name == "acme":
                types = model("contenttypes.ContentType").objects
                types.create(app_label="other", model="other")
            mark = model("orders.Mark").objects.create(marked=plan)
            kinds.add(mark.content_type_id)
            assert model("orders.Mark").objects.get().marked == plan
    assert len(kinds) == 2


def test_a_generic_key_is_followed_in_its_schema_only(plan: Any) -> None:
    found, baskets = {}, {}
    for name in ("acme", "globex"):
        with schema_context(name):
            baskets[name] = model("orders.Basket").objects.create(pk=77)
            model("orders.Mark").objects.create(pk=77, marked=baskets[name])
            found[name] = model("orders.Mark").objects.get(pk=77)
    with schema_context("globex"):
        with pytest.raises(WrongSchema, match="'acme'"):
            found["acme"].marked  # noqa: B018
        with pytest.raises(WrongSchema, match="'acme'"):
            prefetch_related_objects([found["globex"], found["acme"]], "marked")
        assert found["globex"].marked == baskets["globex"]
    with schema_context("acme"):
        assert found["acme"].marked._state.db.schema_name == "acme"


# Deleting in one schema.


DELETES = {
    "instance": lambda plan: plan.delete(),
    "queryset": lambda plan: type(plan).objects.filter(pk=plan.pk).delete(),
    "raw": lambda plan: type(plan).objects.filter(pk=plan.pk)._raw_delete("default"),
    "in_atomic": lambda plan: _in_atomic(plan.delete),
    "by_join": lambda plan: type(plan).objects.filter(feature__isnull=True, pk=plan.pk).delete(),
}


def _in_atomic(function: Any) -> Any:
    with transaction.atomic():
        return function()


@pytest.mark.parametrize("delete", DELETES.values(), ids=DELETES)
@pytest.mark.parametrize("label", ["Cascading", "Nulled", "Idle", "ByCode"])
def test_a_row_to_which_other_schemas_refer_is_not_deleted(
    plan: Any, delete: Any, label: str
) -> None:
    refer(f"orders.{label}", plan, "globex", "initech")
    with schema_context("acme"), pytest.raises(StillReferenced) as caught:
        delete(plan)
    assert caught.value.schemas == ("globex", "initech")
    assert str(caught.value) == (
        f"Rows of 'catalogue.Plan' are still referred to by orders.{label}.key in 2 schemas:"
        " 'globex', 'initech'. Nothing was deleted. Call"
        " appschema.deletion.delete_everywhere(ROWS), which first does in each schema what the"
        " on_delete of its foreign keys says, or change those rows first."
    )
    assert isinstance(caught.value, IntegrityError)
    assert plans() == {1, 2}


def test_what_was_done_in_the_current_schema_is_undone_too(plan: Any) -> None:
    refer("orders.Cascading", plan, "acme", "globex")
    with schema_context("acme"), pytest.raises(StillReferenced):
        plan.delete()
    assert left("orders.Cascading") == {"acme": [2], "globex": [2], "initech": []}


def test_the_transaction_goes_on_after_a_refused_raw_delete(plan: Any) -> None:
    refer("orders.Idle", plan, "globex")
    with schema_context("acme"), transaction.atomic():
        with pytest.raises(StillReferenced):
            type(plan).objects.all()._raw_delete("default")
        assert plans() == {1, 2}


def test_a_row_to_which_only_the_current_schema_refers_is_deleted_as_always(plan: Any) -> None:
    refer("orders.Cascading", plan, "acme")
    refer("orders.Nulled", plan, "acme")
    with schema_context("acme"):
        assert plan.delete() == (2, {"orders.Cascading": 1, "catalogue.Plan": 1})
    assert left("orders.Cascading") == {name: [] for name in SCHEMAS}
    assert left("orders.Nulled")["acme"] == [None]


def test_do_nothing_in_the_current_schema_may_be_mended_until_commit(plan: Any) -> None:
    refer("orders.Idle", plan, "acme")
    with schema_context("acme"):
        with transaction.atomic():
            plan.delete()
            model("orders.Idle").objects.all().delete()
    assert plans() == {1}


def test_do_nothing_in_the_current_schema_is_djangos_own_error(plan: Any) -> None:
    refer("orders.Idle", plan, "acme")
    with schema_context("acme"), pytest.raises(IntegrityError) as caught:
        plan.delete()
    assert not isinstance(caught.value, StillReferenced)


def test_a_key_without_a_constraint_is_looked_for_too(plan: Any) -> None:
    refer("orders.Loose", plan, "globex")
    with schema_context("acme"), pytest.raises(StillReferenced, match=r"orders\.Loose\.key"):
        plan.delete()


def test_the_table_of_a_both_app_in_public_counts_as_well(plan: Any) -> None:
    refer("kinds.Kind", plan, "public", field="plan")
    with schema_context("acme"), pytest.raises(StillReferenced) as caught:
        plan.delete()
    assert caught.value.schemas == ("public",)


def test_a_both_apps_row_in_public_is_deleted_though_isolated_models_refer_to_such_rows(
    plan: Any,
) -> None:
    kinds = model("kinds.Kind").objects
    labels = ("orders.OfKind", "orders.NulledOfKind", "orders.ProtectedOfKind")
    with schema_context("acme"):
        row = kinds.create(pk=1, plan=plan)
        for label in labels:
            model(label).objects.create(key=row)
    with schema_context("public"):
        kinds.create(pk=1, plan=plan)
        kinds.create(pk=2, plan=plan).delete()
        assert kinds.all().delete() == (1, {"kinds.Kind": 1})
    with schema_context("acme"):
        assert [model(label).objects.get().key_id for label in labels] == [1, 1, 1]
        with pytest.raises(ProtectedError):
            row.delete()
        model(labels[2]).objects.all().delete()
        row.delete()
        assert not model(labels[0]).objects.exists()
        assert model(labels[1]).objects.get().key_id is None


def test_a_table_of_no_installed_model_is_named_by_its_table(plan: Any, unmodelled: Any) -> None:
    unmodelled("DEFERRABLE INITIALLY DEFERRED")
    with schema_context("acme"), pytest.raises(StillReferenced, match=r"by old\.plan in"):
        plan.delete()
    with pytest.raises(StillReferenced, match=r"by old\.plan in the schema 'globex'"):
        delete_everywhere(plan)


def test_a_constraint_that_is_checked_at_once_is_told_of_too(plan: Any, unmodelled: Any) -> None:
    unmodelled("ON DELETE RESTRICT")
    with schema_context("acme"), pytest.raises(StillReferenced) as caught:
        plan.delete()
    assert caught.value.schemas == ("globex",)


@pytest.mark.parametrize("everywhere", [False, True])
def test_what_the_database_cascades_itself_needs_nothing(
    world: Site, plan: Any, unmodelled: Any, everywhere: bool
) -> None:
    unmodelled("ON DELETE CASCADE")
    with schema_context("acme"):
        assert (delete_everywhere(plan) if everywhere else plan.delete())[0] == 1
    assert world.rows("SELECT * FROM globex.old") == []


def test_only_rows_that_are_deleted_count(plan: Any) -> None:
    refer("orders.Nulled", plan, "globex")
    with schema_context("acme"):
        type(plan).objects.filter(pk=1).delete()
    assert plans() == {2}


def test_deleting_nothing_asks_nothing(plan: Any) -> None:
    with schema_context("acme"), CaptureQueriesContext(connection) as queries:
        assert type(plan).objects.filter(pk=99).delete() == (0, {})
        assert not type(plan).objects.none()._raw_delete("default")
    assert not any("pg_depend" in each["sql"] for each in queries.captured_queries)


def test_no_other_delete_asks_more_than_before() -> None:
    lonely = model("catalogue.Lonely").objects.create()
    with schema_context("acme"):
        line = model("orders.Line").objects.create()
        with CaptureQueriesContext(connection) as queries:
            lonely.delete()
            line.delete()
    assert [each["sql"].split()[0] for each in queries.captured_queries] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("active", [None, "public"])
def test_without_a_schema_the_error_names_the_way(plan: Any, active: str | None) -> None:
    with schema_context(active):
        for delete in (plan.delete, type(plan).objects.all().delete):
            with pytest.raises(NoActiveSchema, match=r"appschema\.deletion\.delete_everywhere"):
                delete()
        with pytest.raises(NoActiveSchema, match="delete_everywhere"):
            NestedObjects("default").collect([plan])
    assert plans() == {1, 2}


def test_the_error_survives_pickling() -> None:
    error = StillReferenced("A sentence.", ("acme",))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.schemas) == ("A sentence.", ("acme",))


# Deleting everywhere.


@pytest.mark.parametrize("active", [None, "public", "acme"])
@pytest.mark.parametrize("as_queryset", [False, True])
def test_each_key_does_what_its_on_delete_says(
    plan: Any, active: str | None, as_queryset: bool
) -> None:
    for label in ("Cascading", "Nulled", "Defaulted", "Loose", "ByCode"):
        refer(f"orders.{label}", plan, "acme", "globex")
    for name in ("acme", "globex"):
        with schema_context(name):
            model("orders.Line").objects.create(key=model("orders.Cascading").objects.get())
            model("orders.Basket").objects.create().plans.add(plan)
            model("orders.Only").objects.create(plan=plan)
    refer("kinds.Kind", plan, "public", "globex", field="plan")
    feature = model("catalogue.Feature").objects.create(plan=plan)
    refer("orders.OfFeature", feature, "initech")
    with schema_context(active):
        rows = type(plan).objects.filter(code="small") if as_queryset else plan
        total, counts = delete_everywhere(rows)
    assert counts == {
        "catalogue.Plan": 1,
        "catalogue.Feature": 1,
        "kinds.Kind": 2,
        "orders.Cascading": 2,
        "orders.Line": 2,
        "orders.Loose": 2,
        "orders.ByCode": 2,
        "orders.Only": 2,
        "orders.Basket_plans": 2,
        "orders.OfFeature": 1,
    }
    assert total == sum(counts.values())
    assert left("orders.Nulled") == {"acme": [None], "globex": [None], "initech": []}
    assert left("orders.Defaulted") == {"acme": [1], "globex": [1], "initech": []}
    assert plans() == {1}
    assert as_queryset or plan.pk is None


@pytest.mark.parametrize(
    ("label", "error"), [("Protected", ProtectedError), ("Restricted", RestrictedError)]
)
def test_a_schema_that_protects_the_row_undoes_all_and_is_named(
    plan: Any, label: str, error: type[IntegrityError]
) -> None:
    refer("orders.Cascading", plan, "acme", "globex", "initech")
    refer(f"orders.{label}", plan, "globex", "initech")
    with transaction.atomic():
        with pytest.raises(error) as caught:
            delete_everywhere(plan)
        assert plans() == {1, 2}
    assert "2 schemas: 'globex', 'initech'. Nothing was deleted." in str(caught.value)
    assert left("orders.Cascading") == {"acme": [2], "globex": [2], "initech": [2]}
    assert plan.pk == 2


def test_do_nothing_leaves_a_clear_error(plan: Any) -> None:
    refer("orders.Cascading", plan, "acme")
    refer("orders.Idle", plan, "globex")
    with pytest.raises(StillReferenced, match=r"orders\.Idle\.key in the schema 'globex'"):
        delete_everywhere(plan)
    assert left("orders.Cascading")["acme"] == [2]


def test_signals_are_sent_in_the_schema_of_each_row_and_once_for_a_shared_one(plan: Any) -> None:
    refer("orders.Cascading", plan, "acme", "globex")
    seen = []

    def note(sender: Any, instance: Any, **kwargs: Any) -> None:
        from appschema import current_schema

        seen.append((sender.__name__, current_schema()))

    for label in ("orders.Cascading", "catalogue.Plan"):
        post_delete.connect(note, model(label))
    try:
        delete_everywhere(plan)
    finally:
        for label in ("orders.Cascading", "catalogue.Plan"):
            post_delete.disconnect(note, model(label))
    assert seen == [("Cascading", "acme"), ("Cascading", "globex"), ("Plan", "public")]


def test_the_shared_parent_of_an_isolated_row_goes_with_what_refers_to_it(plan: Any) -> None:
    with schema_context("acme"):
        place = model("orders.Restaurant").objects.create(plan=plan).place_ptr
    refer("orders.Visit", place, "globex", field="place")
    with schema_context("acme"), pytest.raises(StillReferenced, match=r"orders\.Visit\.place"):
        plan.delete()
    total, _ = delete_everywhere(plan)
    assert total == 4
    assert left("orders.Visit", "pk") == {name: [] for name in SCHEMAS}
    assert not model("catalogue.Place").objects.exists()


def test_schemas_that_do_not_refer_are_not_entered(plan: Any) -> None:
    refer("orders.Cascading", plan, "globex")
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        delete_everywhere(plan)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT nspname FROM pg_locks JOIN pg_class AS r ON r.oid = relation"
                " JOIN pg_namespace AS n ON n.oid = relnamespace"
                " WHERE mode = 'AccessShareLock' AND relname = 'django_migrations' AND locktype = 'relation'"
            )
            assert cursor.fetchall() == [("globex",)]
    assert len(queries) < 40


@pytest.mark.parametrize("when", [pre_delete, post_delete])
def test_a_row_that_would_refer_meanwhile_waits(world: Site, plan: Any, when: Any) -> None:
    refer("orders.Cascading", plan, "acme")
    seen = []

    def intrude(**kwargs: Any) -> None:
        # PostgreSQL looks for the row that is referred to when this commits.
        with psycopg.connect(world.url) as other:
            other.execute("SET lock_timeout = '100ms'")
            other.execute("INSERT INTO globex.orders_cascading (key_id) VALUES (2)")
            try:
                other.commit()
            except psycopg.errors.LockNotAvailable as error:
                seen.append(type(error))

    when.connect(intrude, model("orders.Cascading"))
    try:
        delete_everywhere(plan)
    finally:
        when.disconnect(intrude, model("orders.Cascading"))
    assert seen == [psycopg.errors.LockNotAvailable]


@pytest.mark.parametrize("label", ["orders.Cascading", "kinds.Kind"])
def test_a_model_that_is_not_shared_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="is not a shared model"):
        delete_everywhere(model(label).objects.all())


def test_an_unsaved_row_is_refused() -> None:
    with pytest.raises(ValueError, match="has no primary key"):
        delete_everywhere(model("catalogue.Plan")())


def test_no_rows_are_no_work(plan: Any) -> None:
    assert delete_everywhere(type(plan).objects.none()) == (0, {})


def test_dropping_a_schema_to_which_another_ones_rows_refer(world: Site) -> None:
    row = new_schema("hooli", "hooli.example.com")
    model("catalogue.Account").objects.create(schema=row)
    refer("orders.OfSchema", row, "acme", "hooli")
    remove_schema("hooli")
    assert not Schema.objects.filter(name="hooli").exists()
    assert left("orders.OfSchema") == {name: [] for name in SCHEMAS}


@pytest.mark.parametrize("label", ["catalogue.Account", "catalogue.Contract", "orders.OfSchema"])
def test_a_flush_forgets_a_schema_that_is_gone_whatever_rows_refer_to_it(
    world: Site, label: str
) -> None:
    """As a test leaves it that was rolled back, or that dropped its schema by hand."""
    gone = Schema.objects.create(name="gone")
    kept = Schema.objects.get(name="acme")
    with schema_context("acme"):
        for row in (gone, kept):
            field = "schema" if label.startswith("catalogue") else "key"
            model(label).objects.create(**{field: row})
    call_command("flush", interactive=False, verbosity=0)
    assert set(Schema.objects.values_list("name", flat=True)) == set(SCHEMAS)
    with schema_context("acme"):
        assert not model(label).objects.exists()


def test_a_flush_of_one_schema_forgets_no_other(world: Site) -> None:
    gone = Schema.objects.create(name="gone")
    for name in ("acme", "public"):
        with schema_context(name):
            call_command("flush", interactive=False, verbosity=0)
        assert Schema.objects.filter(pk=gone.pk).exists()
    delete_everywhere(gone)


# Many schemas.


@pytest.fixture
def crowd(world: Site, plan: Any) -> Iterator[list[str]]:
    """Schemas that refer to the row and have nothing else."""
    names = [f"crowd_{number:03}" for number in range(120)]
    each = """
        CREATE SCHEMA {0}; CREATE TABLE {0}.django_migrations ();
        CREATE TABLE {0}.orders_loose (id bigint PRIMARY KEY, key_id bigint);
        INSERT INTO {0}.orders_loose VALUES (1, 2);
    """
    world.rows("".join(each.format(name) for name in names))
    yield names
    world.rows("".join(f"DROP SCHEMA {name} CASCADE;" for name in names))


def test_an_error_names_ten_schemas_and_counts_the_rest(crowd: list[str], plan: Any) -> None:
    with schema_context("acme"), pytest.raises(StillReferenced) as caught:
        plan.delete()
    assert "in 120 schemas: 'crowd_000', " in str(caught.value)
    assert "'crowd_009' and 110 more. Nothing" in str(caught.value)
    assert caught.value.schemas == tuple(crowd)


def test_a_look_into_many_schemas_is_a_few_queries_and_lets_its_locks_go(
    crowd: list[str], plan: Any
) -> None:
    from appschema.isolation.references import find_references

    with transaction.atomic(), schema_context("public"):
        with CaptureQueriesContext(connection) as queries:
            find_references(connection, "catalogue_plan", {"id": [2]}, except_in=[])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_class AS r ON r.oid = relation"
                " WHERE relname = 'orders_loose' AND pid = pg_backend_pid()"
            )
            assert cursor.fetchone() == (0,)
    asked = [each["sql"] for each in queries.captured_queries if "UNION ALL" in each["sql"]]
    assert 2 <= len(asked) <= 3

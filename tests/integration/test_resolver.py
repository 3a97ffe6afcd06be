"""From a public name to its schema: from memory while it is right, from the database else."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from appschema import current_schema, resolver, schema_context
from appschema.exceptions import InvalidPublicName, NoSchemaError
from appschema.models import PublicName, Schema
from appschema.resolver import UNKNOWN_MAX_AGE, forget_names, is_remembered, resolve

pytestmark = pytest.mark.usefixtures("committing")

HOST = "one.resolver.test"


@pytest.fixture(autouse=True)
def schema(committing: None) -> Iterator[Schema]:
    """A registered row; nothing here needs the schema itself."""
    row = Schema.objects.create(name="resolver_one")
    PublicName.objects.create(schema=row, public_name=HOST, is_primary=True)
    forget_names()
    yield row
    Schema.objects.filter(name__startswith="resolver_").delete()
    forget_names()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("appschema.resolver.time.monotonic", lambda: now[0])
    return now


def queries(function: Any, *arguments: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        with contextlib.suppress(NoSchemaError):
            function(*arguments)
    return len(captured)


def in_thread(function: Any) -> Any:
    """Run it in a thread with a connection of its own."""

    def call() -> Any:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_a_name_is_looked_up_once(schema: Schema):
    assert queries(resolve, HOST) == 1
    assert queries(resolve, HOST) == 0
    assert queries(resolve, HOST.upper() + ".:8000") == 0
    assert resolve(HOST) == schema


def test_the_row_is_the_one_of_the_database_in_all_its_columns(schema: Schema):
    for _ in range(2):
        found = resolve(HOST)
        assert (found.name, found.is_active, found.created) == (
            "resolver_one",
            True,
            schema.created,
        )
        assert found._state.db == "default"
        assert not found._state.adding


def test_each_caller_has_an_instance_of_its_own():
    first, second = resolve(HOST), resolve(HOST)
    first.name = "changed"
    assert second.name == resolve(HOST).name == "resolver_one"


def test_the_registry_is_read_in_public_whatever_is_active(schema: Schema):
    with schema_context("nowhere"):
        assert resolve(HOST) == schema
        assert current_schema() == "nowhere"


def test_unknown_inactive_and_schemaless_names_are_refused(schema: Schema):
    Schema.objects.filter(pk=schema.pk).update(is_active=False)
    for name in (HOST, "unknown.resolver.test"):
        with pytest.raises(NoSchemaError) as raised:
            resolve(name)
        assert raised.value.public_name == name
        assert str(raised.value).startswith(f"No active schema has the public name {name!r}.")


def test_a_malformed_name_asks_nothing():
    with CaptureQueriesContext(connection) as captured, pytest.raises(InvalidPublicName):
        resolve("no host")
    assert len(captured) == 0


def test_a_known_name_is_looked_up_again_when_it_is_old(clock: list[float]):
    resolve(HOST)
    clock[0] += 29.9
    assert queries(resolve, HOST) == 0
    clock[0] += 0.2
    assert queries(resolve, HOST) == 1


def test_the_age_is_a_setting(clock: list[float]):
    with override_settings(APPSCHEMA_RESOLVER_MAX_AGE=5):
        resolve(HOST)
        clock[0] += 5.1
        assert queries(resolve, HOST) == 1


@pytest.mark.parametrize("max_age", [30, 3600])
def test_an_unknown_name_is_remembered_for_two_seconds_at_most(clock: list[float], max_age: int):
    assert UNKNOWN_MAX_AGE <= 2
    with override_settings(APPSCHEMA_RESOLVER_MAX_AGE=max_age):
        assert queries(resolve, "unknown.resolver.test") == 1
        clock[0] += 1.9
        assert queries(resolve, "unknown.resolver.test") == 0
        clock[0] += 0.2
        assert queries(resolve, "unknown.resolver.test") == 1


def test_another_processs_sign_up_is_found_after_two_seconds(clock: list[float], schema: Schema):
    with pytest.raises(NoSchemaError):
        resolve("new.resolver.test")
    with connection.cursor() as cursor:  # As another process: none of our signals is sent.
        cursor.execute(
            "INSERT INTO public.appschema_publicname (public_name, schema_id, is_primary)"
            " VALUES ('new.resolver.test', %s, false)",
            [schema.pk],
        )
    clock[0] += 2.1
    assert resolve("new.resolver.test") == schema


def test_memory_is_bounded_and_forgets_the_oldest():
    with override_settings(APPSCHEMA_RESOLVER_SIZE=3):
        for number in range(5):
            queries(resolve, f"{number}.resolver.test")
        assert [is_remembered(f"{number}.resolver.test") for number in range(5)] == [
            False,
            False,
            True,
            True,
            True,
        ]
        assert len(resolver._memory._entries) == 3


CHANGES = {
    "schema saved": lambda schema: schema.save(),
    "schema deleted": lambda schema: schema.delete(),
    "name saved": lambda schema: schema.public_names.get().save(),
    "name deleted": lambda schema: schema.public_names.get().delete(),
    "names deleted": lambda schema: PublicName.objects.filter(schema=schema).delete(),
    "name added": lambda schema: schema.public_names.create(public_name="two.resolver.test"),
    "names added": lambda schema: PublicName.objects.bulk_create(
        [PublicName(schema=schema, public_name="two.resolver.test")]
    ),
    "schemas updated": lambda schema: Schema.objects.filter(pk=schema.pk).update(is_active=False),
    "active ones updated": lambda schema: (
        Schema.objects.active().filter(pk=schema.pk).update(is_active=False)
    ),
    "names updated": lambda schema: schema.public_names.update(public_name="two.resolver.test"),
    "names bulk updated": lambda schema: PublicName.objects.bulk_update(
        schema.public_names.all(), ["public_name"]
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_at_once(schema: Schema, change: str):
    resolve(HOST)
    CHANGES[change](schema)
    assert not is_remembered(HOST)
    assert queries(resolve, HOST) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_in_its_transaction_and_again_when_it_commits(
    schema: Schema, change: str
):
    resolve(HOST)
    with transaction.atomic():
        CHANGES[change](schema)
        assert not is_remembered(HOST)
        # Another thread reads the old row meanwhile, and remembers it.
        assert in_thread(lambda: resolve(HOST)).name == "resolver_one"
        assert is_remembered(HOST)
    assert not is_remembered(HOST)


def test_what_is_rolled_back_is_not_remembered(schema: Schema):
    with transaction.atomic():
        schema.public_names.create(public_name="never.resolver.test")
        assert resolve("never.resolver.test") == schema
        transaction.set_rollback(True)
    with pytest.raises(NoSchemaError):
        resolve("never.resolver.test")


def test_a_look_up_that_began_before_a_change_does_not_store_the_old_row(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
):
    read = resolver._Memory.put

    def change_then_store(self: Any, *arguments: Any) -> None:
        monkeypatch.setattr(resolver._Memory, "put", read)
        Schema.objects.filter(pk=schema.pk).update(is_active=False)
        read(self, *arguments)

    monkeypatch.setattr(resolver._Memory, "put", change_then_store)
    assert resolve(HOST) == schema
    with pytest.raises(NoSchemaError):
        resolve(HOST)


def test_settings_that_may_matter_forget_all_names():
    resolve(HOST)
    with override_settings(APPSCHEMA_RESOLVER_SIZE=5):
        assert not is_remembered(HOST)


def test_many_threads_find_the_right_rows(schema: Schema):
    other = Schema.objects.create(name="resolver_two")
    other.public_names.create(public_name="two.resolver.test")
    hosts = [HOST, "two.resolver.test"] * 50

    def name_of(host: str) -> str:
        try:
            if host == HOST:
                forget_names()
            return str(resolve(host).name)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(name_of, hosts))
    assert found == ["resolver_one", "resolver_two"] * 50

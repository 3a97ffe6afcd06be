"""Each function has a twin for coroutines, which keeps the caller's schema and transaction."""

import asyncio
import inspect
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from appschema import current_schema, provisioning, schema_context
from appschema.exceptions import NameRetired, SchemaExists
from appschema.models import Schema
from appschema.provisioning import (
    aactivate_schema,
    aadd_public_name,
    aadopt_schema,
    adeactivate_schema,
    adrop_schema,
    adue_schemas,
    anew_schema,
    apurge_schema,
    aremove_public_name,
    arename_schema,
    aundrop_schema,
)
from appschema.resolver import resolve
from tests.integration.fleet.conftest import Site, model
from tests.integration.lifecycle.conftest import Told


def run(function: Any) -> Any:
    async def close() -> None:
        await sync_to_async(lambda: connection.close())()  # noqa: PLW0108 - of that thread

    async def all_of_it() -> Any:
        # An earlier test may have left one there, to a database that is gone.
        await close()
        try:
            return await function()
        finally:
            await close()

    return asyncio.run(all_of_it())


def test_each_function_has_one_with_the_same_arguments():
    names = set(provisioning.__all__)
    plain = {name for name in names if f"a{name}" in names}
    # A generator's twin would be an asynchronous generator; adue_schemas and a loop are that. What is
    # for whoever deploys or reviews is not called by a coroutine.
    without = {"purge_due_schemas", "compile_template", "export_template"}
    assert names - plain - {f"a{name}" for name in plain} == without
    for name in plain:
        one, twin = getattr(provisioning, name), getattr(provisioning, f"a{name}")
        assert inspect.iscoroutinefunction(twin)
        assert twin.__name__ == f"a{name}"
        assert inspect.signature(one) == inspect.signature(twin)


def test_a_whole_life(shop: Site, told: Told):
    async def live() -> None:
        async with schema_context("elsewhere"):
            row = await anew_schema("acme", "acme.example.com")
            assert row.name == "acme"
            assert current_schema() == "elsewhere"
        async with schema_context("acme"):
            await model("shop.Item").objects.acreate(title="x")
        with pytest.raises(SchemaExists):
            await anew_schema("acme", "other.example.com")
        await aadd_public_name("acme", "two.example.com")
        await aremove_public_name("two.example.com")
        await adeactivate_schema("acme", "Later.")
        await aactivate_schema("acme")
        await arename_schema("acme", "globex")
        async with schema_context("globex"):
            assert await model("shop.Item").objects.acount() == 1
        await adrop_schema("globex")
        await aundrop_schema("globex")
        await adrop_schema("globex")
        assert await adue_schemas() == []
        await apurge_schema("globex", now=True)
        with pytest.raises(NameRetired):
            await aadopt_schema("globex", "globex.example.com")

    run(live)
    assert [name for name, _ in told] == [
        "schema_created",
        "schema_renamed",
        "schema_dropped",
        "schema_undropped",
        "schema_dropped",
        "schema_purged",
    ]
    assert not Schema.objects.exists()


def test_it_belongs_to_the_transaction_around_it(shop: Site):
    """Django's transactions are of one thread, which is that of the twins as well."""

    async def make() -> Any:
        return await anew_schema("acme", "acme.example.com")

    async def in_vain() -> None:
        outer = transaction.atomic()
        await sync_to_async(outer.__enter__)()
        await make()
        await sync_to_async(transaction.set_rollback)(True)
        await sync_to_async(outer.__exit__)(None, None, None)

    before = shop.snapshot()
    run(in_vain)
    assert shop.snapshot() == before


def test_many_at_once_are_made_one_after_the_other(shop: Site):
    async def many() -> Any:
        calls = [anew_schema(f"acme{n % 3}", f"{n}.example.com") for n in range(6)]
        return await asyncio.gather(*calls, return_exceptions=True)

    made = [each.name for each in run(many) if isinstance(each, Schema)]
    assert sorted(made) == ["acme0", "acme1", "acme2"]
    assert resolve("0.example.com").name == "acme0"

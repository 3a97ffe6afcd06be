"""A shop with a shared app of plans and an isolated app of items that refer to them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.dispatch import Signal

from appschema import schema_context, signals
from tests.integration.fleet.conftest import (  # noqa: F401 - site is a fixture
    Site,
    create,
    migration,
    model,
    site,
)

PLAN = "class Plan(models.Model):\n    title = models.TextField(default='')\n"
ITEM = (
    "class Item(models.Model):\n"
    "    title = models.TextField(default='')\n"
    "    plan = models.ForeignKey('plans.Plan', models.CASCADE, null=True)\n"
)
KEY = '("plan", models.ForeignKey("plans.Plan", models.CASCADE, null=True))'
OPEN = [("plans", "0001_first")]


@pytest.fixture
def shop(site: Site) -> Site:  # noqa: F811 - the fixture
    site.app("plans", migration(create("Plan")), models=PLAN)
    site.app("shop", migration(create("Item", KEY), depends=OPEN), models=ITEM)
    site.place(shared=["plans"])
    site.migrate()
    return site


Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def told() -> Iterator[Told]:
    """What the signals of a schema's life told, and that all of it was committed then."""
    calls: Told = []

    def note(name: str) -> Callable[..., None]:
        def receive(sender: Any, signal: Any, using: str, **given: Any) -> None:
            assert not connection.in_atomic_block
            calls.append((name, given))

        return receive

    receivers = {
        name: note(name)
        for name, each in vars(signals).items()
        if isinstance(each, Signal) and name != "registry_changed"
    }
    for name, receive in receivers.items():
        getattr(signals, name).connect(receive)
    yield calls
    for name, receive in receivers.items():
        getattr(signals, name).disconnect(receive)


def add_item(schema_name: str, title: str = "x", **more: Any) -> None:
    with schema_context(schema_name):
        model("shop.Item").objects.create(title=title, **more)


def items(schema_name: str) -> list[str]:
    with schema_context(schema_name):
        return list(model("shop.Item").objects.order_by("id").values_list("title", flat=True))


@contextmanager
def beside(function: Callable[[], Any]) -> Iterator[Any]:
    """Run *function* in a thread with a connection of its own; give its future."""

    def call() -> Any:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


@contextmanager
def holding(url: str, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """Keep the locks of *statement* in an open transaction of somebody else, until ``rollback()``."""
    with psycopg.connect(url) as other:
        other.execute(statement)
        yield other
        other.rollback()


def pass_while_others_wait(url: str, table: str, wanted: str) -> None:
    """Get what *wanted* takes, three times while somebody waits for an exclusive lock on *table*."""
    waiting = (
        f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass('{table}')"
    )
    with psycopg.connect(url, autocommit=True) as visitor:
        visitor.execute("SET statement_timeout = '5s'")
        passed = 0
        deadline = time.monotonic() + 30
        while passed < 3:
            assert time.monotonic() < deadline
            if visitor.execute(waiting).fetchone() != (0,):
                visitor.execute(wanted)
                passed += 1

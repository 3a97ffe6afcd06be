"""One of each kind of statement, for counting what is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps

from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction

from appschema import schema_context

from .items.models import Item
from .settings import VARIANT

KINDS: dict[str, Callable[[], None]] = {}


def _schema() -> AbstractContextManager[object]:
    if VARIANT == "plain":
        return nullcontext()
    return schema_context("s1")


def kind(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(function: Callable[[], None]) -> Callable[[], None]:
        @wraps(function)
        def in_schema() -> None:
            with _schema():
                function()

        KINDS[title] = in_schema
        return function

    return register


@kind("get() in autocommit")
def get() -> None:
    Item.objects.get(pk=1)


@kind("create(): INSERT ... RETURNING")
def create() -> None:
    Item.objects.create(name="new")


@kind("filter().update()")
def update() -> None:
    Item.objects.filter(pk=1).update(name="item 1")


@kind("bulk_create() of ten")
def bulk_create() -> None:
    Item.objects.bulk_create([Item(name="new")] * 10)


@kind("atomic(): BEGIN, get(), COMMIT")
def atomic() -> None:
    with transaction.atomic():
        get()


@kind("atomic() with five get()")
def atomic_of_five() -> None:
    with transaction.atomic():
        for _ in range(5):
            get()


@kind("atomic() in atomic(): a savepoint, get() in each")
def savepoint() -> None:
    with transaction.atomic():
        get()
        with transaction.atomic():
            get()


@kind("iterator(): a named cursor")
def iterator() -> None:
    list(Item.objects.filter(pk__lte=10).iterator())


@kind("iterator() in atomic(), ten pages")
def iterator_in_atomic() -> None:
    with transaction.atomic():
        list(Item.objects.filter(pk__lte=100).iterator(chunk_size=10))


@kind("aget(): an async query")
def asynchronous() -> None:
    async_to_sync(_aget)()


async def _aget() -> None:
    await Item.objects.aget(pk=1)


def _execute(using: str = "default", times: int = 1) -> None:
    with connections[using].cursor() as cursor:
        for _ in range(times):
            cursor.execute("SELECT name FROM items_item WHERE id = %s", [1])


@kind("cursor.execute()")
def execute() -> None:
    _execute()


@kind("cursor.execute() of three statements in one text")
def three_in_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT name FROM items_item WHERE id = 1; SELECT 2")


@kind("cursor.executemany() of ten")
def executemany() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE items_item SET name = %s WHERE id = %s", [["item 1", 1]] * 10)


@kind("COPY ... TO STDOUT")
def copy_out() -> None:
    with connection.cursor() as cursor, cursor.copy("COPY items_item TO STDOUT") as copy:
        for _ in copy:
            pass


@kind("COPY ... FROM STDIN of one row")
def copy_in() -> None:
    sql = "COPY items_item (name) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        copy.write_row(["new"])


@kind("connection.pipeline() of five")
def pipeline() -> None:
    connection.ensure_connection()
    with connection.connection.pipeline():
        for _ in range(5):
            connection.connection.execute("SELECT name FROM items_item WHERE id = %s", [1])


@kind("server_side_binding: cursor.execute()")
def bound() -> None:
    _execute("bound")


@kind("server_side_binding, in atomic(): five cursor.execute()")
def bound_in_atomic() -> None:
    with transaction.atomic(using="bound"):
        _execute("bound", 5)


@kind("VACUUM: what PostgreSQL refuses beside an envelope")
def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM items_item")

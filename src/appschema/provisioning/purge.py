"""Drop a schema for good, in steps that take few locks each.

PostgreSQL locks every table, index, constraint and trigger that one transaction drops, and all
sessions share the room for locks. So a large schema goes in chunks of tables. What the steps leave
if they are interrupted is finished by the next call: the registry row goes with the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from psycopg import errors

from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.deletion import delete_everywhere, refuse_protected
from appschema.exceptions import SchemaBusy, UnknownSchema, WrongState
from appschema.fleet.know.entries import drop_entry
from appschema.fleet.result import Result
from appschema.models import Schema
from appschema.names import PUBLIC, marker_table, quote_identifier, validate_schema_name
from appschema.patience import patiently
from appschema.roles.database import DatabaseRoles
from appschema.signals import schema_purged

from .drop import due_at
from .parts import (
    Part,
    count_locks,
    drop_statements,
    foreign_keys_outside,
    lock_room,
    parts_of,
    take,
)
from .register import find_row, retire_name, tell_on_commit

SHARE_OF_LOCKS = 8
"""One transaction takes one in so many of the locks for which the server has room."""


def purge_schema(name: str, *, now: bool = False, using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop the schema *name* with all its rows, and its registry row, for good.

    The schema must have been dropped by ``drop_schema``, and APPSCHEMA_DROP_GRACE be over, unless
    *now* is true. First nobody can enter it any more, which waits for transactions that use it; then
    foreign keys to shared tables go one by one, then the tables in chunks, at last the rest with the
    row and, if there is one, the role. Each step is a transaction that waits for no lock longer than
    a tenth of a second, and tries again. Interrupted, call it again. The name is retired: see
    ``NameRetired``. ``schema_purged`` is sent after the last commit.

    In a transaction of the caller all of it is part of that one, and takes its locks at once.

    Raises ``UnknownSchema``; ``WrongState`` if it is not dropped or the time is not over;
    ``ProtectedError`` and the like, before anything is dropped, if rows of others refer to the
    registry row; and ``SchemaBusy`` if others hold locks for a minute.
    """
    validate_schema_name(name)
    with schema_context(PUBLIC):
        if connections[using].in_atomic_block:
            _refuse_too_many_locks(name, using)
        row = patiently(
            lambda: _begin(name, now, using), using=using, what=f"Purging schema {name!r}"
        )
        _drop_foreign_keys(row, using)
        _drop_parts(row, using)
        patiently(lambda: _finish(row, using), using=using, what=f"The end of purging {name!r}")


def purge_due_schemas(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[Result]:
    """Purge, one after the other, all dropped schemas whose time is over; yield what became of each.

    One that fails does not stop the others: its result has the ``error``. Those that an interrupted
    purge has left are finished. Call it daily, by 'manage.py purgeschemas' or from a task.
    """
    yield from purge_schemas(due_schemas(using=using), using=using)


def purge_schemas(
    names: Iterable[str], *, now: bool = False, using: str = DEFAULT_DB_ALIAS
) -> Iterator[Result]:
    """Do as ``purge_due_schemas``, for the dropped schemas *names*; see ``purge_schema`` for *now*."""
    for name in names:
        try:
            purge_schema(name, now=now, using=using)
        except Exception as error:  # noqa: BLE001 - becomes this schema's result, which is reported
            yield Result(name, error=error)
        else:
            yield Result(name)


def due_schemas(*, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return the names of the dropped schemas that may be purged now, and of those half purged."""
    with schema_context(PUBLIC):
        rows = Schema.objects.using(using).filter(dropped__isnull=False).order_by("dropped")
        return [row.name for row in rows if row.purging or not _time_left(row)]


def _time_left(row: Schema) -> timedelta | None:
    due = due_at(row)
    assert due is not None
    return max(due - timezone.now(), timedelta()) or None


@as_owner()
def _begin(name: str, now: bool, using: str) -> Schema:
    """Refuse, or shut the schema: without its marker table no statement enters it."""
    row = find_row(name, using=using)
    if row.dropped is None:
        raise WrongState(
            f"Schema {name!r} is not dropped. Run 'manage.py dropschema {name}' first; with --now it"
            " purges it as well."
        )
    if not (row.purging or now) and _time_left(row):
        raise WrongState(
            f"Schema {name!r} can be had back until {due_at(row):%Y-%m-%d %H:%M}, when"
            f" APPSCHEMA_DROP_GRACE ({get_config().drop_grace}) is over. To purge it before, run"
            f" 'manage.py purgeschemas {name} --now', or say now=True."
        )
    refuse_protected(row, using=using, except_in=name)
    if not row.purging:
        row.purging = True
        row.save(update_fields=["purging"])
    with connections[using].cursor() as cursor:
        marker = marker_table(name)
        cursor.execute(f"DROP TABLE IF EXISTS {marker} CASCADE")
    return row


def _drop_foreign_keys(row: Schema, using: str) -> None:
    with as_owner(), connections[using].cursor() as cursor:
        keys = foreign_keys_outside(cursor, row.name)
    for key in keys:
        _step(
            row,
            f"ALTER TABLE IF EXISTS {key.table} DROP CONSTRAINT IF EXISTS {key.name}",
            f"Dropping the foreign key {key.name} of {key.table} to {key.target}",
            using,
        )


def _drop_parts(row: Schema, using: str) -> None:
    with as_owner(), connections[using].cursor() as cursor:
        budget = lock_room(cursor) // SHARE_OF_LOCKS
        parts: Sequence[Part] = parts_of(cursor, row.name)
    while parts:
        chunk = take(parts, budget)
        try:
            what = f"Dropping {len(chunk)} tables or the like of schema {row.name!r}"
            _step(row, drop_statements(chunk), what, using)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.OutOfMemory):
                raise
            if len(chunk) == 1:
                raise SchemaBusy(
                    f"Dropping {chunk[0].name} takes about {chunk[0].locks} locks, for which the server"
                    " has no room now. What was dropped before is gone, and nothing else is lost. Run"
                    " the same again when there is less traffic, or raise max_locks_per_transaction."
                ) from error
            # Others use the room as well: the estimate is no promise.
            budget = count_locks(chunk) // 2
        else:
            parts = parts[len(chunk) :]


def _step(row: Schema, sql: str, what: str, using: str) -> None:
    @as_owner()
    def act() -> None:
        _lock_again(row, using)
        with connections[using].cursor() as cursor:
            cursor.execute(sql)

    patiently(act, using=using, what=what)


@as_owner()
def _lock_again(row: Schema, using: str) -> None:
    """Let one purge at a time work on the schema, and none on a later one of the same name."""
    rows = Schema.objects.using(using).select_for_update(no_key=True)
    if rows.filter(pk=row.pk, purging=True).first() is None:
        raise UnknownSchema(row.name)


def _finish(row: Schema, using: str) -> None:
    with as_owner():
        _lock_again(row, using)
        with connections[using].cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(row.name)} CASCADE")
        DatabaseRoles(connections[using]).drop_that_of(row.name)
        drop_entry(row.name, using=using)
        # Rows of other schemas may refer to it.
        delete_everywhere(row, using=using)
        retire_name(row.name, using=using)
    tell_on_commit(schema_purged, schema_name=row.name, using=using)


def _refuse_too_many_locks(name: str, using: str) -> None:
    """Refuse what would take the locks of all sessions: in one transaction there are no chunks."""
    with as_owner(), connections[using].cursor() as cursor:
        needed, room = count_locks(parts_of(cursor, name)), lock_room(cursor)
    if needed > room // 2:
        raise TransactionManagementError(
            f"To drop schema {name!r} takes about {needed} locks, and the server has room for {room}"
            " in all. It can be purged in chunks, but not inside a transaction of yours. Call"
            " purge_schema() outside of transaction.atomic()."
        )

"""From a public name to its schema, from memory where it can be.

A process remembers at most ``APPSCHEMA_RESOLVER_SIZE`` names. A known one is looked up again
after ``APPSCHEMA_RESOLVER_MAX_AGE`` seconds, an unknown or inactive one after two, so that a visitor who
signs up in one process finds the new schema in another. A row that changes in this process is
forgotten at once, and again when its transaction commits.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.core.signals import setting_changed
from django.db import connections, router, transaction
from django.db.models import OuterRef, Subquery
from django.db.models.base import ModelState
from django.db.models.signals import post_delete, post_save

from .conf import get_config
from .context import schema_context
from .exceptions import InvalidPublicName, NoSchemaError, SchemaUnavailable
from .models import PublicName, Schema
from .names import PUBLIC, normalise_public_name
from .signals import registry_changed

UNKNOWN_MAX_AGE = 2.0
"""Seconds for which a process answers an unknown public name from memory."""


@dataclass(frozen=True, slots=True)
class _Entry:
    schema: Schema | None
    database: str
    expires: float
    primary: str | None = None
    notice: str = ""
    """For visitors of an inactive schema, in place of its row."""


class _Memory:
    """A bounded map, oldest out first. ``generation`` counts how often it was emptied."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = Lock()
        self.generation = 0

    def get(self, name: str) -> _Entry | None:
        # No lock: reading a dict is atomic, and so is what an entry holds.
        entry = self._entries.get(name)
        return entry if entry and entry.expires > time.monotonic() else None

    def put(self, name: str, entry: _Entry, generation: int) -> None:
        with self._lock:
            # Whoever read the database before a change must not store the old row after it.
            if generation != self.generation:
                return
            self._entries.pop(name, None)
            self._entries[name] = entry
            while len(self._entries) > get_config().resolver_size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self._entries.clear()


_memory = _Memory()
_FIELDS = [field.attname for field in Schema._meta.concrete_fields]
_IS_ACTIVE, _NOTICE = _FIELDS.index("is_active"), _FIELDS.index("notice")


def resolve(public_name: str) -> Schema:
    """Return the active ``Schema`` of *public_name*, an instance of the caller's own.

    Raises ``NoSchemaError`` for a name that is unknown or whose schema is inactive or dropped, as
    ``SchemaUnavailable`` if an inactive one has a notice for its visitors, and
    ``InvalidPublicName``, without asking the database, for a name that no host could have.
    """
    return resolve_normal(normalise_public_name(public_name))


def resolve_normal(name: str) -> Schema:
    """Do as ``resolve``, for a public name that ``normalise_public_name`` has returned."""
    entry = _memory.get(name) or _look_up(name)
    if entry.schema is None:
        raise _refusal(name, entry)
    return _copy(entry.schema)


def resolve_with_primary(name: str) -> tuple[Schema, str | None]:
    """Do as ``resolve_normal``, and give the primary public name as well, if there is one.

    It is known while APPSCHEMA_REDIRECT_TO_PRIMARY is on, and comes with the same query.
    """
    entry = _memory.get(name) or _look_up(name)
    if entry.schema is None:
        raise _refusal(name, entry)
    return _copy(entry.schema), entry.primary


def _copy(remembered: Schema) -> Schema:
    """Return an instance of the caller's own, as unpickling makes one: without its signals."""
    found = Schema.__new__(Schema)
    found.__dict__.update(remembered.__dict__)
    state = found._state = ModelState()
    state.db, state.adding = remembered._state.db, False
    return found


def _refusal(name: str, entry: _Entry) -> NoSchemaError:
    return SchemaUnavailable(name, entry.notice) if entry.notice else NoSchemaError(name)


def is_remembered(public_name: str) -> bool:
    """Tell whether ``resolve`` would answer without the database. Never raises."""
    try:
        return _memory.get(normalise_public_name(public_name)) is not None
    except InvalidPublicName:
        return True


def forget_names() -> None:
    """Forget all public names in this process."""
    _memory.clear()


def remember(public_name: str) -> None:
    """Look *public_name* up and remember it, inside a transaction too.

    For tests, which call ``forget_names`` when they roll their transaction back.
    """
    name = normalise_public_name(public_name)
    generation = _memory.generation
    _memory.put(name, _read(name), generation)


def _look_up(name: str) -> _Entry:
    generation = _memory.generation
    entry = _read(name)
    # What an open transaction reads may be rolled back, which nobody would tell of.
    if not connections[entry.database].in_atomic_block:
        _memory.put(name, entry, generation)
    return entry


def _read(name: str) -> _Entry:
    database = router.db_for_read(Schema)
    config = get_config()
    fields: list[Any] = [*_FIELDS]
    with schema_context(PUBLIC):
        if config.redirect_to_primary:
            names = PublicName.objects.filter(schema=OuterRef("pk"), is_primary=True)
            fields.append(Subquery(names.values("public_name")))
        row = (
            Schema.objects.using(database)
            .filter(public_names__public_name=name, dropped__isnull=True)
            .values_list(*fields)
            .first()
        )
    now = time.monotonic()
    if row is None or not row[_IS_ACTIVE]:
        # Not for long: who is active again is seen at once.
        notice = row[_NOTICE] if row else ""
        return _Entry(None, database, now + UNKNOWN_MAX_AGE, notice=notice)
    primary = row[len(_FIELDS)] if config.redirect_to_primary else None
    schema = Schema.from_db(database, _FIELDS, row[: len(_FIELDS)])
    return _Entry(schema, database, now + config.resolver_max_age, primary)


def _forget_changed(*, using: str, **kwargs: object) -> None:
    forget_names()
    transaction.on_commit(forget_names, using=using)


def _forget_on_setting(*, setting: str, **kwargs: object) -> None:
    if setting.startswith("APPSCHEMA_") or setting == "DATABASES":
        forget_names()


for _model in (Schema, PublicName):
    post_save.connect(_forget_changed, sender=_model, dispatch_uid="appschema.resolver")
    post_delete.connect(_forget_changed, sender=_model, dispatch_uid="appschema.resolver")
registry_changed.connect(_forget_changed, dispatch_uid="appschema.resolver")
setting_changed.connect(_forget_on_setting, dispatch_uid="appschema.resolver")

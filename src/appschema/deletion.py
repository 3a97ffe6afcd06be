"""Delete rows of shared tables to which schemas refer, in all schemas at once.

Django's collector does the work, once in each schema that refers to the rows and once for the
shared tables, so every foreign key's own ``on_delete``, and every signal, is as in one schema.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.models import Model, ProtectedError, QuerySet, RestrictedError
from django.db.models.deletion import Collector

from .context import schema_context
from .isolation.referenced_deletes import looked_into, name_schemas, still_referenced
from .isolation.references import (
    Reference,
    Values,
    find_references,
    keys_to,
    target_of,
    which_hold,
)
from .names import PUBLIC
from .placement import get_tables


def delete_everywhere(
    rows: Model | QuerySet[Any], *, using: str | None = None
) -> tuple[int, dict[str, int]]:
    """Delete rows of a shared model, and do in every schema what its foreign keys' on_delete says.

    Takes an instance or a queryset, whatever the current schema, and returns what Django's own
    ``delete()`` does: the number of rows, and the numbers by model, over all schemas. All of it
    commits in one transaction, or with the caller's if one is open. Signals are sent in the schema
    of each row, those of shared rows in ``public``.

    Raises ``ProtectedError`` or ``RestrictedError``, naming the schemas, and ``StillReferenced``
    where a DO_NOTHING or a table of no installed model still refers to the rows; nothing is deleted
    then. Raises ``ValueError`` for a model that is not shared.

    Only schemas that refer to the rows are entered. Their tables stay locked until the commit:
    thousands of schemas need a higher ``max_locks_per_transaction``.
    """
    model = type(rows) if isinstance(rows, Model) else rows.model
    if model._meta.db_table in get_tables().in_schemas:
        raise ValueError(
            f"{model._meta.label!r} is not a shared model: its rows belong to one schema. Delete them"
            " there, inside 'with appschema.schema_context(NAME)'."
        )
    if isinstance(rows, Model):
        using = using or router.db_for_write(model, instance=rows)
        found = [rows]
        if rows.pk is None:
            raise ValueError(f"This {model._meta.label!r} has no primary key: it is not saved.")
    else:
        asked: Any = rows
        using = using or asked._db or router.db_for_write(model)  # noqa: SLF001 - what using() set
        found = list(rows.using(using))
    with transaction.atomic(using=using):
        counts = _delete(found, using) if found else Counter()
    return counts.total(), dict(counts)


def _delete(rows: list[Model], using: str) -> Counter[str]:
    with schema_context(PUBLIC):
        # From here on nobody else can refer to the rows, nor to what is found with them.
        _lock(rows, using)
        shared = _SharedCollector(using)
        shared.collect(rows)
        for model, instances in shared.data.items():
            if keys_to(model._meta.db_table):
                _lock(instances, using)
        looks = _look(shared, using, PUBLIC)
    counts: Counter[str] = Counter()
    refusals: dict[str, ProtectedError | RestrictedError] = {}
    known = {each for instances in shared.data.values() for each in instances}
    others: dict[type[Model], set[Model]] = defaultdict(set)
    for name in sorted({each.schema_name for look in looks for each in look.found}):
        with schema_context(name):
            collector = _SchemaCollector(using)
            try:
                collector.collect(rows)
            except (ProtectedError, RestrictedError) as error:
                refusals[name] = error
                continue
            if not refusals:
                for model, instances in collector.leave_shared().items():
                    others[model] |= instances - known
                counts.update(collector.delete()[1])
    if refusals:
        _refuse(refusals)
    # The shared parents of isolated rows that are gone now; other schemas may refer to these.
    for instances in others.values():
        if instances:
            counts.update(_delete(list(instances), using))
    with schema_context(PUBLIC):
        for look in looks:
            if left := which_hold(connections[using], look.found, look.values):
                raise still_referenced(look.model, left)
        with looked_into({look.model._meta.db_table for look in looks}):
            counts.update(shared.delete()[1])
    return counts


def refuse_protected(row: Model, *, using: str, except_in: str | None = None) -> None:
    """Raise what ``delete_everywhere`` would raise of *row* now; delete nothing, send no signal.

    What rows of the schema *except_in* say does not count: they are to go before.
    """
    with schema_context(PUBLIC):
        shared = _SharedCollector(using)
        shared.collect([row])
        looks = _look(shared, using, PUBLIC, except_in)
    refusals: dict[str, ProtectedError | RestrictedError] = {}
    for name in sorted({each.schema_name for look in looks for each in look.found}):
        with schema_context(name):
            try:
                _SchemaCollector(using).collect([row])
            except (ProtectedError, RestrictedError) as error:
                refusals[name] = error
    if refusals:
        _refuse(refusals)


def _lock(rows: Iterable[Model], using: str) -> None:
    rows = list(rows)
    if rows:
        manager = type(rows[0])._base_manager  # noqa: SLF001 - as Django's collector
        locked = manager.using(using).filter(pk__in=[each.pk for each in rows]).order_by("pk")
        list(locked.select_for_update(of=("self",)).values_list("pk"))


class _Look(NamedTuple):
    """Which columns of schemas refer to rows of a shared model."""

    model: type[Model]
    values: Values
    found: list[Reference]


def _look(shared: Collector, using: str, *except_in: str | None) -> list[_Look]:
    looks = []
    for model, rows in shared.data.items():
        targets = {target_of(key) for key in keys_to(model._meta.db_table)}
        if rows and targets:
            values = {each.column: [getattr(row, each.attname) for row in rows] for each in targets}
            table = model._meta.db_table
            found = find_references(connections[using], table, values, except_in=except_in)
            looks.append(_Look(model, values, found))
    return looks


def _refuse(refusals: dict[str, ProtectedError | RestrictedError]) -> None:
    first = next(iter(refusals.values()))
    objects = {each for error in refusals.values() for each in error.args[1]}
    message = f"{first.args[0]} So it is in {name_schemas(list(refusals))}. Nothing was deleted."
    raise type(first)(message, objects) from first


class _SharedCollector(Collector):
    """Collects what public has; isolated tables are left to the other one."""

    def related_objects(self, related_model: Any, related_fields: Any, objs: Any) -> Any:
        if related_model._meta.db_table in get_tables().isolated:
            return QuerySet(related_model, using=self.using).none()
        return super().related_objects(related_model, related_fields, objs)


class _SchemaCollector(Collector):
    """Collects as always, and deletes what belongs to the schema."""

    data: Any
    field_updates: Any
    dependencies: Any

    def leave_shared(self) -> dict[type[Model], set[Model]]:
        """Leave rows of shared tables out, and return them."""
        placed = get_tables().in_schemas
        shared = {m: set(rows) for m, rows in self.data.items() if m._meta.db_table not in placed}
        for model in shared:
            del self.data[model]
        self.dependencies = {m: needed - shared.keys() for m, needed in self.dependencies.items()}
        self.fast_deletes = [q for q in self.fast_deletes if q.model._meta.db_table in placed]
        self.field_updates = {
            (field, value): rows
            for (field, value), rows in self.field_updates.items()
            if field.model._meta.db_table in placed
        }
        return shared

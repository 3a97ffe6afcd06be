"""Which schemas a command addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connections

from appschema.context import current_schema, schema_context
from appschema.exceptions import UnknownSchema, WrongState
from appschema.models import Schema
from appschema.names import PUBLIC, validate_active_name

from .know.entries import table_of


@dataclass(frozen=True)
class Selection:
    """Whether public is addressed, and which schemas: None means all that are registered."""

    public: bool
    schemas: tuple[str, ...] | None
    exclude: tuple[str, ...] = ()
    canary: tuple[str, ...] = ()
    """Those that go first; the others follow if none of them fails."""

    @property
    def is_whole(self) -> bool:
        """Tell whether all schemas are addressed, but for those that are excluded."""
        return self.schemas is None


def read_selection(
    schemas: Iterable[str] | None,
    *,
    shared_only: bool = False,
    exclude: Iterable[str] | None = None,
    canary: Iterable[str] | None = None,
) -> Selection:
    """Return what ``--schema NAME ...``, ``--shared``, ``--exclude`` and ``--canary`` select.

    Without either, inside ``manage.py inschema NAME`` it is NAME, else everything.
    """
    if schemas is None and not shared_only:
        active = current_schema()
        if active is None:
            return Selection(True, None, _validated(exclude), _validated(canary))
        schemas, shared_only = ([], True) if active == PUBLIC else ([active], False)
    names = _validated(schemas)
    return Selection(
        shared_only or PUBLIC in names,
        tuple(name for name in names if name != PUBLIC),
        _validated(exclude),
        _validated(canary),
    )


def _validated(names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(validate_active_name, names or ())))


def select_waves(using: str, selection: Selection) -> list[list[str]]:
    """Return the names of the schemas that are addressed, wave by wave.

    Raises ``UnknownSchema`` for a name that is not registered, also for one that is left out.
    """
    chosen = select_schemas(using, selection.schemas)
    first = select_schemas(using, selection.canary) if selection.canary else []
    left_out = set(select_schemas(using, selection.exclude)) if selection.exclude else set()
    rest = [name for name in chosen if name not in left_out and name not in first]
    return [wave for wave in (first, rest) if wave]


def refuse_unknown(using: str, selection: Selection) -> None:
    """Raise as ``select_waves`` does for what is named, without reading the whole fleet."""
    named = [*(selection.schemas or ()), *selection.canary, *selection.exclude]
    if named:
        select_schemas(using, named)


def select_schemas(using: str, names: Iterable[str] | None = None) -> list[str]:
    """Return the names of all registered schemas, or *names* in their order.

    Inactive and dropped ones are among them, for they may be had back; one that is being purged is
    not. Raises ``UnknownSchema`` for a name that is not registered, and ``WrongState`` for one that is
    being purged. Before the first ``migrate`` there is no registry, and none are.
    """
    with schema_context(PUBLIC):
        states = read_registered(using)
    known = [name for name, purging in states.items() if not purging]
    if names is None:
        return known
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        if name not in states:
            raise UnknownSchema(name)
        if states[name]:
            raise WrongState(
                f"Schema {name!r} is being purged, and tables of it are gone. Run 'manage.py"
                f" purgeschemas {name}' to drop the rest."
            )
    return chosen


def select_undropped(using: str) -> list[str]:
    """Return the names of the registered schemas, without those that are dropped."""
    with schema_context(PUBLIC):
        rows = Schema.objects.using(using).filter(dropped__isnull=True).order_by("name")
        return list(rows.values_list("name", flat=True))


def read_registered(using: str) -> dict[str, bool]:
    """Return the names of all rows, and whether the schema is being purged."""
    table = table_of(Schema)
    with connections[using].cursor() as cursor:
        # An older registry, which migrate is about to change, tells nothing of purging.
        cursor.execute(
            "SELECT to_regclass(%s) IS NOT NULL, EXISTS (SELECT FROM pg_catalog.pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attname = 'purging' AND NOT attisdropped)",
            [table, table],
        )
        is_there, is_told = cursor.fetchone()
    if not is_there:
        return {}
    rows = Schema.objects.using(using).order_by("name")
    if not is_told:
        return dict.fromkeys(rows.values_list("name", flat=True), False)
    return dict(rows.values_list("name", "purging"))

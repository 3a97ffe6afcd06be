"""Which schemas a command addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connections

from appschema.context import current_schema, schema_context
from appschema.exceptions import UnknownSchema
from appschema.models import Schema
from appschema.names import PUBLIC, quote_identifier, validate_active_name


@dataclass(frozen=True)
class Selection:
    """Whether public is addressed, and which schemas: None means all that are registered."""

    public: bool
    schemas: tuple[str, ...] | None


def read_selection(schemas: Iterable[str] | None, *, shared_only: bool = False) -> Selection:
    """Return what ``--schema NAME ...`` and ``--shared`` select.

    Without either, inside ``manage.py inschema NAME`` it is NAME, else everything.
    """
    if schemas is None and not shared_only:
        active = current_schema()
        if active is None:
            return Selection(public=True, schemas=None)
        schemas, shared_only = ([], True) if active == PUBLIC else ([active], False)
    names = tuple(dict.fromkeys(map(validate_active_name, schemas or ())))
    return Selection(
        public=shared_only or PUBLIC in names,
        schemas=tuple(name for name in names if name != PUBLIC),
    )


def select_schemas(using: str, names: Iterable[str] | None = None) -> list[str]:
    """Return the names of all registered schemas, inactive ones too, or *names* in their order.

    Raises ``UnknownSchema`` for a name that is not registered. Before the first ``migrate``
    there is no registry, and none are.
    """
    with schema_context(PUBLIC):
        known = _registered(using)
    if names is None:
        return known
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            raise UnknownSchema(name)
    return chosen


def _registered(using: str) -> list[str]:
    table = f"{PUBLIC}.{quote_identifier(Schema._meta.db_table)}"
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        (is_there,) = cursor.fetchone()
    if not is_there:
        return []
    return list(Schema.objects.using(using).order_by("name").values_list("name", flat=True))

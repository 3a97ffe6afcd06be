"""Drift: in what the schemas of a fleet differ from the one that they should be like.

Schemas are read one after the other and forgotten again, so that memory does not grow with the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction

from appschema.catalog import Difference, SchemaSnapshot, compare, read_schema
from appschema.context import as_owner, schema_context
from appschema.exceptions import AppSchemaError, MigrationError
from appschema.fleet.origins import has_tables, own_schemas
from appschema.fleet.selection import select_schemas
from appschema.fleet.workers import share_out
from appschema.models import Template
from appschema.names import PUBLIC

from .entries import is_kept
from .ledger import State, read_ledger


@dataclass(frozen=True)
class Drift:
    """In what one schema differs from the one that it is compared with."""

    schema_name: str
    differences: tuple[Difference, ...] = ()
    lags: bool = False
    """Other migrations are applied in it, which may be all that makes the difference."""
    is_accepted: bool = False
    """``migrate --accept-drift`` has noted that it differs."""
    error: Exception | None = None
    """Why it could not be read."""


def find_origin(using: str, wanted: str | None = None) -> str:
    """Return the schema to compare with: the one that is *wanted*, the template, or the first one.

    Raises ``UnknownSchema`` for one that is neither registered nor the template nor a spare, and
    ``MigrationError`` if there is no schema.
    """
    if not has_tables(using) or not is_kept(connections[using]):
        raise MigrationError(
            "There is nothing to compare before the first migrate. Run 'manage.py migrate'."
        )
    if wanted is not None:
        return wanted if wanted in own_schemas(using) else select_schemas(using, [wanted])[0]
    with schema_context(PUBLIC), as_owner():
        template = Template.objects.using(using).values_list("schema_name", flat=True).first()
    names = [template] if template else select_schemas(using)
    if not names:
        raise MigrationError(
            "There are no schemas. Run 'manage.py createschema NAME PUBLIC_NAME' for the first."
        )
    return str(names[0])


def find_drift(using: str, names: Sequence[str], origin: str, *, jobs: int = 1) -> Iterator[Drift]:
    """Yield for each of *names*, but the origin itself, in what it differs from *origin*.

    Raises ``SchemaMissing`` and ``UnsupportedObject`` if the origin cannot be read; an error in another
    schema is part of its own outcome.
    """
    names = [name for name in names if name != origin]
    standings = read_ledger(using, [origin, *names], writes=False).standings
    states = {each.schema_name: each.state for each in standings}
    snapshot = _read(origin, using)

    def look(name: str) -> Drift:
        try:
            differences = _as_wholes(compare(snapshot, _read(name, using)))
        except (AppSchemaError, DatabaseError, InterfaceError) as error:
            return Drift(name, error=error.with_traceback(None))
        state = states[name]
        return Drift(
            name,
            differences,
            lags=_applied(state) != _applied(states[origin]),
            is_accepted=bool(state and state.drift),
        )

    yield from share_out(names, look, jobs=min(jobs, len(names)))


def _as_wholes(differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Leave out the columns and constraints of what only one of the schemas has."""
    wholes = {each.key[1] for each in differences if each.aspect is None and len(each.key) == 2}
    return tuple(each for each in differences if len(each.key) == 2 or each.key[1] not in wholes)


def _applied(state: State | None) -> str | None:
    return state.applied if state else None


def _read(name: str, using: str) -> SchemaSnapshot:
    connection: Any = connections[using]
    is_outermost = not connection.in_atomic_block
    connection.ensure_connection()
    connection.connection.touched_schemas.add(name)
    with (
        schema_context(PUBLIC),
        as_owner(),
        transaction.atomic(using=using),
        connection.cursor() as cursor,
    ):
        if is_outermost:
            # Of what others commit meanwhile nothing is seen, rather than a part.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return read_schema(cursor, name)

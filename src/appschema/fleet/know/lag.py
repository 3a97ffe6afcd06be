"""Which migrations schemas have not applied yet, read for many of them at once.

``fleet.records`` answers the same for one schema, to Django's executor, with the dependencies
between apps. Here nothing is to be run: it is enough to know what is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.migrations.loader import MigrationLoader

from appschema.names import marker_table, quote_literal

Key = tuple[str, str]
Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

SCHEMAS_PER_STATEMENT = 100
"""A statement locks each table that it reads, and a server's room for locks is limited."""


@dataclass(frozen=True)
class Lag:
    """What a schema has not applied."""

    missing: tuple[str, ...]
    """``app.name``, in the order of the graph."""

    apps: frozenset[str]


def find_lag(
    ask: Ask, loader: MigrationLoader, schemas: Sequence[str], is_placed: Callable[[str], bool]
) -> Iterator[tuple[str, Lag]]:
    """Yield each schema that lags. The loader was made without a connection.

    Each schema answers only with what it lacks, so that a fleet at head sends next to nothing.
    """
    on_disk = [key for key in loader.disk_migrations if is_placed(key[0])]
    wanted = [key for key in _in_order(loader) if is_placed(key[0])]
    for start in range(0, len(schemas), SCHEMAS_PER_STATEMENT):
        for name, *absent in _ask_some(ask, on_disk, schemas[start:][:SCHEMAS_PER_STATEMENT]):
            unrecorded = set(zip(*absent, strict=True))
            missing = [key for key in wanted if not _is_applied(loader, key, unrecorded)]
            if missing:
                labels = frozenset(app for app, _ in missing)
                yield name, Lag(tuple(".".join(key) for key in missing), labels)


def find_missing(
    loader: MigrationLoader, recorded: Collection[Key], is_placed: Callable[[str], bool]
) -> list[Key]:
    """Return what is not among the records of a schema. The loader was made without a connection."""
    unrecorded = {key for key in loader.disk_migrations if key not in recorded}
    return [
        key
        for key in _in_order(loader)
        if is_placed(key[0]) and not _is_applied(loader, key, unrecorded)
    ]


def _ask_some(ask: Ask, keys: Sequence[Key], schemas: Sequence[str]) -> list[tuple[Any, ...]]:
    one = """
        SELECT {name}::text, array_agg(k.app), array_agg(k.name) FROM k
         WHERE NOT EXISTS (SELECT FROM {table} m WHERE m.app = k.app AND m.name = k.name)
        HAVING count(*) > 0"""
    each = [
        one.format(
            name=quote_literal(schema).replace("%", "%%"),
            table=marker_table(schema).replace("%", "%%"),
        )
        for schema in schemas
    ]
    sql = "WITH k AS MATERIALIZED (SELECT * FROM unnest(%s::text[], %s::text[]) k(app, name))"
    apps, names = [key[0] for key in keys], [key[1] for key in keys]
    return ask(f"{sql} {' UNION ALL '.join(each)}", [apps, names])


def _in_order(loader: MigrationLoader) -> list[Key]:
    """Return the migrations as they would be applied; a squashed one stands for what it replaces."""
    seen: dict[Key, None] = {}
    for leaf in loader.graph.leaf_nodes():
        seen.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
    return list(seen)


def _is_applied(loader: MigrationLoader, key: Key, unrecorded: set[Key]) -> bool:
    if key not in unrecorded:
        return True
    replaces = loader.disk_migrations[key].replaces
    # One that is no longer on disk was not asked for, and cannot be told to be applied.
    return bool(replaces) and all(
        (app, name) in loader.disk_migrations and _is_applied(loader, (app, name), unrecorded)
        for app, name in replaces
    )

"""What schemas hold: tables that are missing or misplaced, lag, indexes, extensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import router

from appschema.conf import get_config
from appschema.context import schema_context
from appschema.fleet.know.lag import Lag, find_lag
from appschema.names import PUBLIC, quote_identifier
from appschema.placement import get_placement, get_tables

from .finding import Finding, error, warning
from .inspection import Inspection

_MISSING = """
    SELECT n.oid, t.name
      FROM unnest(%s::oid[]) n(oid) CROSS JOIN unnest(%s::name[]) t(name)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                        WHERE c.relname = t.name AND c.relnamespace = n.oid
                          AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
     ORDER BY n.oid, t.name
"""
_PRESENT = """
    SELECT n.nspname, c.relname, c.relkind::text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = ANY (%s::name[]) AND n.nspname = ANY (%s::name[])
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     ORDER BY 1, 2
"""
# An index that is being built is not valid yet.
_INVALID_INDEXES = """
    SELECT n.nspname, c.relname
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.oid = ANY (%s::oid[])
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                        WHERE p.index_relid = c.oid)
     ORDER BY 1, 2
"""
_EXTENSIONS = """
    SELECT n.nspname, e.extname, e.extrelocatable
      FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
     WHERE n.oid = ANY (%s::oid[])
     ORDER BY 1, 2
"""
_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table"}


def find_misplaced(look: Inspection) -> Iterator[Finding]:
    tables = _managed(look, get_tables().isolated)
    path = [name for name in get_config().default_path if name not in look.names]
    for where, name, kind in look.ask(_PRESENT, [sorted(tables), path]):
        what = _KINDS.get(kind, "table")
        statement = f"{quote_identifier(where)}.{quote_identifier(name)}"
        moves = f"ALTER TABLE {statement} SET SCHEMA ...; or " if what == "table" else ""
        yield error(
            "misplaced",
            where,
            f"The {what} {name!r} bears the name of an isolated app's table. A schema that lacks"
            " its own would read and write this one.",
            f"{moves}DROP {what.upper()} {statement};",
        )


def find_missing(look: Inspection, lags: dict[str, Lag]) -> Iterator[Finding]:
    """Find tables that a schema lacks though the migrations of their app are applied there."""
    tables = _managed(look, get_tables().in_schemas)
    missing = look.ask(_MISSING, [look.oids, sorted(tables)])
    lacking = {(look.names_by_oid[oid], table) for oid, table in missing}
    for where, table in sorted(lacking):
        label = tables[table]
        if where in lags and label in lags[where].apps:
            continue  # told by the lag
        both = label in get_placement().both
        sources = [PUBLIC] if both else [each.name for each in look.whole]
        like = next((each for each in sources if (each, table) not in lacking), None)
        quoted = quote_identifier(table)
        mend = "Restore it from a backup."
        if like is not None:
            mend += (
                " An empty one, without its foreign keys: CREATE TABLE"
                f" {quote_identifier(where)}.{quoted} (LIKE {quote_identifier(like)}.{quoted}"
                " INCLUDING ALL);"
            )
        yield error(
            "table-missing",
            where,
            f"It has no table {table!r} of the {'both' if both else 'isolated'} app {label!r},"
            " whose migrations are recorded as applied. Queries on it end with an error.",
            mend,
        )


def _managed(look: Inspection, tables: dict[str, Any]) -> dict[str, str]:
    """Return the app's label of each of *tables* that migrations make in a schema."""
    state = look.loader.project_state().models
    found = {}
    for table, model in tables.items():
        made = model._meta.auto_created or model  # of a many-to-many field, by its model
        label, name = made._meta.app_label, made._meta.model_name
        if label in look.loader.migrated_apps and (label, name) not in state:
            continue  # its migration is not written yet
        with schema_context(None):
            if router.allow_migrate_model(look.using, model) and model._meta.managed:
                found[table] = model._meta.app_label
    return found


def find_lags(look: Inspection) -> tuple[dict[str, Lag], list[Finding]]:
    placement = get_placement()
    with_records = [each.name for each in look.whole if each.has_records]
    lags = dict(find_lag(look.ask, look.loader, with_records, placement.in_schemas))
    if look.selection.public and look.namespaces[PUBLIC].has_records:
        lags |= find_lag(look.ask, look.loader, [PUBLIC], placement.in_public)
    findings = []
    for where, lag in lags.items():
        named = ", ".join(lag.missing[:5]) + (", ..." if len(lag.missing) > 5 else "")
        mend = "--shared" if where == PUBLIC else f"--schema {where}"
        findings.append(
            warning(
                "lag",
                where,
                f"Migrations that are not applied: {len(lag.missing)} ({named}).",
                f"manage.py migrate {mend}",
            )
        )
    return lags, findings


def find_invalid_indexes(look: Inspection) -> Iterator[Finding]:
    oids = look.oids + [look.namespaces[PUBLIC].oid] * look.selection.public
    for where, name in look.ask(_INVALID_INDEXES, [oids]):
        index = f"{quote_identifier(where)}.{quote_identifier(name)}"
        yield warning(
            "invalid-index",
            where,
            f"The index {name!r} is not valid: what built it concurrently did not end. Queries do"
            " not use it, writes pay for it.",
            f"REINDEX INDEX CONCURRENTLY {index}; or, if a migration is to build it again:"
            f" DROP INDEX CONCURRENTLY {index};",
        )


def find_extensions(look: Inspection) -> Iterator[Finding]:
    target = quote_identifier(get_config().extensions_schema)
    for where, name, relocatable in look.ask(_EXTENSIONS, [look.oids]):
        extension = quote_identifier(name)
        moves = f"ALTER EXTENSION {extension} SET SCHEMA {target};"
        anew = f"DROP EXTENSION {extension}; CREATE EXTENSION {extension} SCHEMA {target};"
        yield error(
            "extension",
            where,
            f"The extension {name!r} is in this schema. It belongs to the whole database, and"
            " goes when the schema is dropped.",
            moves if relocatable else f"{anew} -- it cannot be moved",
        )

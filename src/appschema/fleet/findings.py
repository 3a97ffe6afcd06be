"""What is wrong in a live database, found out without changing anything.

``migrate`` and ``provisioning`` keep the registry, the schemas and their tables together. What
others do to a database (psql, a backup that was restored in part, a pooler that was put in
between) they cannot see. ``find_all`` looks, and answers with values.

PostgreSQL is asked about all schemas at once: the number of statements does not grow with the
fleet. Only the records of migrations, which are in a table of each schema, are read by one
statement for each hundred of them. In pg_class tables are looked up by name and schema, for
which it has an index; it has none for the schema alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, router
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Q

from appschema.backends.roles import DatabaseRoles
from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import UnknownSchema
from appschema.models import Schema
from appschema.names import MARKER_TABLE, PUBLIC, is_own_name, quote_identifier
from appschema.placement import get_placement, get_tables

from .between import find_between
from .finding import Finding, error, warning
from .lag import Lag, find_lag
from .origin_findings import find_origins
from .origins import own_schemas
from .selection import Selection, read_registered

_NAMESPACES = """
    SELECT n.nspname, n.oid, c.oid,
           (SELECT count(*) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname IN ('app', 'name') AND NOT a.attisdropped)
      FROM pg_catalog.pg_namespace n
      LEFT JOIN pg_catalog.pg_class c
             ON c.relname = %s AND c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY n.nspname
"""
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
_LARGEST = """
    SELECT n.nspname, count(*)
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
       AND d.refobjid = ANY (%s::oid[])
       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
"""
_LOCKS = """
    SELECT current_setting('max_locks_per_transaction')::bigint
         * (current_setting('max_connections')::bigint
            + current_setting('max_prepared_transactions')::bigint),
           (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'S', 'v', 'm'))
"""
_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table"}


@dataclass(frozen=True)
class _Namespace:
    name: str
    oid: int
    has_marker: bool
    has_records: bool
    """The marker table has the columns of Django's records."""


class _Inspection:
    """One look at one database; asks as little as it can."""

    def __init__(self, using: str, selection: Selection) -> None:
        self.using = using
        self.selection = selection
        self.everything = selection.public and selection.schemas is None
        table = f"{PUBLIC}.{quote_identifier(Schema._meta.db_table)}"
        self.has_registry = self.ask("SELECT to_regclass(%s) IS NOT NULL", [table])[0][0]
        self.rows = self._read_registry() if self.has_registry else {}
        self.purging = {name for name, purging in read_registered(using).items() if purging}
        wanted = selection.schemas
        if unknown := [name for name in wanted or () if name not in self.rows]:
            raise UnknownSchema(unknown[0])
        self.names = list(self.rows) if wanted is None else list(wanted)
        self.namespaces = {
            name: _Namespace(name, oid, marker is not None, columns == 2)
            for name, oid, marker, columns in self.ask(_NAMESPACES, [MARKER_TABLE])
        }
        # Those that statements can be run in.
        self.whole = [
            found
            for name in self.names
            if (found := self.namespaces.get(name)) is not None and found.has_marker
        ]
        self.oids = [each.oid for each in self.whole]
        self.names_by_oid = {each.oid: each.name for each in self.whole}
        self.loader = MigrationLoader(None, ignore_no_migrations=True)

    def ask(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.fetchall()  # type: ignore[no-any-return]

    def _read_registry(self) -> dict[str, int]:
        """Return how many primary public names each registered schema has."""
        primaries = Count("public_names", filter=Q(public_names__is_primary=True))
        rows = Schema.objects.using(self.using).annotate(primaries=primaries).order_by("name")
        return dict(rows.values_list("name", "primaries"))

    # -- the registry and the schemas -----------------------------------------------------------

    def find_schemas(self) -> Iterator[Finding]:
        for name in self.names:
            found, quoted = self.namespaces.get(name), quote_identifier(name)
            if name in self.purging:
                yield warning(
                    "half-purged",
                    name,
                    "Purging it has begun, and has not ended: tables of it are gone, and nobody can"
                    " enter it.",
                    f"If it is not being done just now: manage.py purgeschemas {name}",
                )
                continue
            if found is None:
                yield error(
                    "schema-missing",
                    name,
                    "The registry has this schema, and the database has not. Its requests end with"
                    " SchemaMissing.",
                    f"Restore it from a backup, or remove its row: manage.py dropschema {name} --now",
                )
            elif not found.has_marker:
                yield error(
                    "marker-missing",
                    name,
                    f"It has no table {MARKER_TABLE}, by which a schema is known to be complete."
                    " Its requests end with SchemaMissing.",
                    f"CREATE TABLE {quoted}.{MARKER_TABLE} (LIKE {PUBLIC}.{MARKER_TABLE} INCLUDING"
                    f" ALL); and, if its other tables are complete: manage.py migrate --schema"
                    f" {name} --fake",
                )
            elif not found.has_records:
                yield error(
                    "marker-broken",
                    name,
                    f"Its table {MARKER_TABLE} has not the columns of Django's records of migrations.",
                    f"DROP TABLE {quoted}.{MARKER_TABLE}; and go on as for one that is missing:"
                    f" manage.py checkschemas --schema {name}",
                )
            if not self.rows[name]:
                yield warning(
                    "primary-missing",
                    name,
                    "It has no primary public name, so that no address leads to it, or none can be"
                    " written into its mails.",
                    f"manage.py addname {name} PUBLIC_NAME --primary",
                )

    def find_registry(self) -> Iterator[Finding]:
        if not self.has_registry:
            yield error(
                "registry-missing",
                PUBLIC,
                f"It has no table {Schema._meta.db_table}: nothing tells which schemas there are.",
                "manage.py migrate",
            )

    def find_unregistered(self) -> Iterator[Finding]:
        config = get_config()
        ours = {*self.rows, PUBLIC, *config.default_path, config.extensions_schema}
        ours.update(own_schemas(self.using))
        for each in self.namespaces.values():
            # What lacks the marker was never one of ours, and is left alone.
            if each.name in ours or is_own_name(each.name):
                continue
            if each.has_marker and each.has_records:
                yield warning(
                    "unregistered",
                    each.name,
                    f"It has a table {MARKER_TABLE} as our schemas have, and the registry has no row"
                    " for it: nothing migrates it.",
                    f"manage.py createschema {each.name} PUBLIC_NAME --adopt, or, if nobody needs it:"
                    f" DROP SCHEMA {quote_identifier(each.name)} CASCADE;",
                )

    # -- tables ---------------------------------------------------------------------------------

    def find_misplaced(self) -> Iterator[Finding]:
        tables = self._managed(get_tables().isolated)
        path = [name for name in get_config().default_path if name not in self.names]
        for where, name, kind in self.ask(_PRESENT, [sorted(tables), path]):
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

    def find_missing(self, lags: dict[str, Lag]) -> Iterator[Finding]:
        """Find tables that a schema lacks though the migrations of their app are applied there."""
        tables = self._managed(get_tables().in_schemas)
        missing = self.ask(_MISSING, [self.oids, sorted(tables)])
        lacking = {(self.names_by_oid[oid], table) for oid, table in missing}
        for where, table in sorted(lacking):
            label = tables[table]
            if where in lags and label in lags[where].apps:
                continue  # told by the lag
            both = label in get_placement().both
            sources = [PUBLIC] if both else [each.name for each in self.whole]
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

    def _managed(self, tables: dict[str, Any]) -> dict[str, str]:
        """Return the app's label of each of *tables* that migrations make in a schema."""
        state = self.loader.project_state().models
        found = {}
        for table, model in tables.items():
            made = model._meta.auto_created or model  # of a many-to-many field, by its model
            label, name = made._meta.app_label, made._meta.model_name
            if label in self.loader.migrated_apps and (label, name) not in state:
                continue  # its migration is not written yet
            with schema_context(None):
                if router.allow_migrate_model(self.using, model) and model._meta.managed:
                    found[table] = model._meta.app_label
        return found

    # -- the rest -------------------------------------------------------------------------------

    def find_lags(self) -> tuple[dict[str, Lag], list[Finding]]:
        placement = get_placement()
        with_records = [each.name for each in self.whole if each.has_records]
        lags = dict(find_lag(self.ask, self.loader, with_records, placement.in_schemas))
        if self.selection.public and self.namespaces[PUBLIC].has_records:
            lags |= find_lag(self.ask, self.loader, [PUBLIC], placement.in_public)
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

    def find_invalid_indexes(self) -> Iterator[Finding]:
        oids = self.oids + [self.namespaces[PUBLIC].oid] * self.selection.public
        for where, name in self.ask(_INVALID_INDEXES, [oids]):
            index = f"{quote_identifier(where)}.{quote_identifier(name)}"
            yield warning(
                "invalid-index",
                where,
                f"The index {name!r} is not valid: what built it concurrently did not end. Queries do"
                " not use it, writes pay for it.",
                f"REINDEX INDEX CONCURRENTLY {index}; or, if a migration is to build it again:"
                f" DROP INDEX CONCURRENTLY {index};",
            )

    def find_extensions(self) -> Iterator[Finding]:
        target = quote_identifier(get_config().extensions_schema)
        for where, name, relocatable in self.ask(_EXTENSIONS, [self.oids]):
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

    def find_roles(self) -> Iterator[Finding]:
        if get_config().roles:
            names = [each.name for each in self.whole]
            for fault in DatabaseRoles(connections[self.using]).faults(names):
                yield error("role", "the server", fault, "manage.py schemaroles --enable")

    def find_locks(self) -> Iterator[Finding]:
        ((room, relations),) = self.ask(_LOCKS)
        largest = self.ask(_LARGEST, [self.oids])
        yield from find_locks(room, relations, largest[0] if largest else None)


def find_locks(room: int, relations: int, largest: tuple[str, int] | None) -> Iterator[Finding]:
    """Compare the *room* for locks on the server with what is to be locked by one transaction.

    *relations* is what pg_dump locks or reads, *largest* the schema with most relations, which
    DROP SCHEMA locks all.
    """
    mend = "Raise max_locks_per_transaction in postgresql.conf, and restart PostgreSQL."
    if largest is not None and largest[1] > room:
        yield error(
            "locks",
            largest[0],
            f"It has {largest[1]} tables, indexes and sequences, and the server has room for {room}"
            " locks: the schema cannot be made or dropped in one transaction.",
            mend,
        )
    if relations > room:
        yield warning(
            "locks",
            "the server",
            f"The database has {relations} tables and sequences, and the server has room for {room}"
            " locks: a pg_dump of all of it ends with 'out of shared memory'.",
            f"{mend} Or dump the schemas one by one (pg_dump --schema).",
        )


def find_all(using: str, selection: Selection) -> list[Finding]:
    """Return what is wrong in the database, in the schemas of *selection*.

    With a selection of all also what belongs to none of them: schemas without a row, the server,
    and what stands between here and it. Raises ``UnknownSchema``. Writes nothing.
    """
    with schema_context(PUBLIC), as_owner():
        look = _Inspection(using, selection)
        lags, of_lags = look.find_lags()
        findings = [*look.find_schemas(), *look.find_missing(lags), *of_lags]
        if selection.public:
            findings += look.find_misplaced()
        findings += [*look.find_invalid_indexes(), *look.find_extensions()]
        if look.everything:
            findings += [*look.find_registry(), *look.find_unregistered()]
            findings += find_origins(using, set(look.namespaces))
            findings += [*look.find_roles(), *look.find_locks()]
            findings += find_between(connections[using])
    return findings

"""Make a snapshot of what the catalogs have said."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from appschema.exceptions import UnsupportedObject
from appschema.names import quote_identifier

from .canonical import canonical
from .members import Members, refuse
from .own_names import OwnNames
from .slots import ROLE
from .snapshot import (
    Collation,
    Column,
    Composite,
    Constraint,
    DefaultPrivilege,
    Domain,
    Enum,
    Grant,
    Identity,
    Index,
    Key,
    Policy,
    Range,
    Routine,
    Rule,
    SchemaSnapshot,
    Sequence,
    Statistics,
    Table,
    Trigger,
    View,
)

Rows = list[Any]

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_OBJECTS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}
_CODE = frozenset({"sql", "plpgsql"})
_STATISTICS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}
_FIRST_WITH_LOCALE = 170000


@dataclass(kw_only=True)
class Found:
    """The rows of each query in ``queries.py``, by its name."""

    schema: Any
    types: Rows
    default_privileges: Rows
    collations: Rows
    routines: Rows
    relations: Rows
    columns: Rows
    constraints: Rows
    indexes: Rows
    triggers: Rows
    rules: Rows
    policies: Rows
    sequences: Rows
    statistics: Rows
    dependencies: Rows = field(default_factory=list)

    def dependents(self) -> tuple[list[str], list[int]]:
        """Return catalogs and oids of all whose dependencies are of interest."""
        each = [
            *(("pg_type", row.oid) for row in self.types),
            *(("pg_class", row.oid) for row in self.relations),
            *(("pg_class", row.oid) for row in self.indexes),
            *(("pg_proc", row.oid) for row in self.routines),
            *(("pg_attrdef", row.default_oid) for row in self.columns if row.default_oid),
            *(("pg_constraint", row.oid) for row in self.constraints),
            *(("pg_trigger", row.oid) for row in self.triggers),
            *(("pg_rewrite", row.oid) for row in self.rules),
            *(("pg_policy", row.oid) for row in self.policies),
            *(("pg_statistic_ext", row.oid) for row in self.statistics),
        ]
        return [catalog for catalog, _ in each], [oid for _, oid in each]


class Assembly:
    """Turns rows into objects, and oids into keys."""

    def __init__(self, schema_name: str, own_role: str, members: Members, found: Found) -> None:
        self.schema_name, self.found, self.members = schema_name, found, members
        self._own_role = quote_identifier(own_role)
        self._keys: dict[tuple[str, int], Key] = {}
        self._columns: dict[int, list[Any]] = defaultdict(list)
        self._names = {row.oid: row.name for row in found.relations}
        self._types = {row.oid: row.name for row in found.types}
        # Since 18 NOT NULL is a constraint with a name.
        self._named_not_null = {
            (row.relation, row.column) for row in found.constraints if row.type == "n"
        }
        self.own = OwnNames(schema_name, self._names_of_objects())
        for row in found.columns:
            self._columns[row.relation].append(row)

    def snapshot(self) -> SchemaSnapshot:
        self._refuse_unknown()
        found = self.found
        relations = [row for row in found.relations if row.kind in "rpvm"]
        snapshot: dict[str, Any] = {
            "collations": [self._collation(row) for row in found.collations],
            "sequences": self._sequences(),
            "types": [self._type(row) for row in found.types if row.type != "m"],
            "routines": [self._routine(row) for row in found.routines],
            "tables": [self._table(row) for row in relations if row.kind in "rp"],
            "views": [self._view(row) for row in relations if row.kind in "vm"],
            "statistics": [self._statistics(row) for row in found.statistics],
        }
        needs = self._needs()
        for publication in self.members.publications:
            self.own.doubt("the schema", f"It is part of the {publication}.")
        return SchemaSnapshot(
            name=self.schema_name,
            comment=found.schema.comment,
            grants=self._grants(found.schema.rights),
            default_privileges=tuple(self._default_privileges()),
            **{
                kind: tuple(sorted(each, key=lambda one: one.name))
                for kind, each in snapshot.items()
            },
            needs=needs,
            doubts=tuple(self.own.doubts),
        )

    def _names_of_objects(self) -> frozenset[str]:
        found = self.found
        rows = (found.relations, found.indexes, found.types, found.collations, found.statistics)
        names = {row.name for each in rows for row in each}
        return frozenset(names | {row.bare_name for row in found.routines})

    def _refuse_unknown(self) -> None:
        found = self.found
        unknown = [f"foreign table {row.name}" for row in found.relations if row.kind == "f"]
        unknown += [
            f"base type {row.name}" for row in found.types if row.type in "bp" or not row.is_defined
        ]
        unknown += [f"aggregate {row.name}" for row in found.routines if row.kind == "a"]
        refuse(self.schema_name, unknown)

    # -- What is made of one row

    def _text(self, text: str | None, where: str) -> Any:
        """Return a deparsed text as it is kept."""
        return None if text is None else canonical(self.own.in_deparsed(text, where))

    def _know(self, catalog: str, oid: int, key: Key) -> None:
        self._keys[catalog, oid] = key

    def _collation(self, row: Any) -> Collation:
        self._know("pg_collation", row.oid, ("collation", row.name))
        return Collation(
            name=row.name,
            comment=row.comment,
            provider=_PROVIDERS[row.provider],
            is_deterministic=row.is_deterministic,
            locale=row.locale or row.old_locale,
            lc_collate=row.lc_collate,
            lc_ctype=row.lc_ctype,
            rules=row.rules,
        )

    def _type(self, row: Any) -> Enum | Domain | Composite | Range:
        key = ("type", row.name)
        for oid in (row.oid, row.array_type, row.multirange):
            if oid:
                self._know("pg_type", oid, key)
        common = {"name": row.name, "comment": row.comment, "grants": self._grants(row.rights)}
        if row.type == "e":
            return Enum(labels=tuple(row.labels), **common)
        if row.type == "c":
            self._know("pg_class", row.relation, key)
            return Composite(columns=self._columns_of(row.relation, row.name), **common)
        if row.type == "r":
            return Range(options=self._range_options(row), **common)
        where = f"type {row.name!r}"
        constraints = [
            self._constraint(each, row.name, key)
            for each in self.found.constraints
            if each.type_oid == row.oid
        ]
        return Domain(
            base=row.base,
            collation=row.collation,
            default=self._text(row.default, where),
            not_null=row.not_null,
            constraints=tuple(constraints),
            **common,
        )

    def _range_options(self, row: Any) -> tuple[str, ...]:
        if row.canonical is not None:
            raise UnsupportedObject(
                f"The range type {row.name!r} has a canonical function, which cannot be made before"
                " the type. Drop it, or move it to a schema of the default path.",
                (f"type {row.name}",),
            )
        given = {
            "subtype": row.subtype,
            "subtype_opclass": row.opclass,
            "collation": row.range_collation,
            "subtype_diff": row.subtype_diff,
            "multirange_type_name": quote_identifier(row.multirange_name),
        }
        return tuple(f"{name} = {value}" for name, value in given.items() if value is not None)

    def _routine(self, row: Any) -> Routine:
        self._know("pg_proc", row.oid, ("routine", row.name))
        word = "PROCEDURE" if row.kind == "p" else "FUNCTION"
        where = f"{word.lower()} {row.name}"
        definition = self.own.without_own(row.definition.rstrip("\n"), word)
        if row.language in _CODE and not row.is_parsed:
            definition = self.own.in_code(definition, where)
        else:
            if row.language not in {*_CODE, "c", "internal"} and self.own.may_be_in(definition):
                self.own.doubt(where, f"Its language is {row.language}, which is not read here.")
            definition = canonical(self.own.in_deparsed(definition, where))
        return Routine(
            name=row.name,
            word=word,
            definition=definition,
            comment=row.comment,
            grants=self._grants(row.rights),
        )

    def _sequences(self) -> list[Sequence]:
        relations = {row.oid: row for row in self.found.relations}
        self._identities: dict[tuple[int, int], Sequence] = {}
        plain = []
        for row in self.found.sequences:
            relation = relations[row.oid]
            table = self._names.get(row.relation)
            column = next(
                (each.name for each in self._columns[row.relation] if each.number == row.number),
                None,
            )
            is_owned = table is not None and column is not None and not row.is_identity
            sequence = Sequence(
                name=relation.name,
                comment=relation.comment,
                grants=self._grants(relation.rights),
                type=row.type,
                start=row.start,
                increment=row.increment,
                minimum=row.minimum,
                maximum=row.maximum,
                cache=row.cache,
                cycles=row.cycles,
                is_unlogged=relation.is_unlogged,
                owner=(table, column) if is_owned else None,  # type: ignore[arg-type]
            )
            if row.is_identity:
                self._identities[row.relation, row.number] = sequence
                self._know("pg_class", row.oid, ("table", table or ""))
            else:
                self._know("pg_class", row.oid, sequence.key)
                plain.append(sequence)
        return plain

    def _columns_of(self, relation: int, name: str) -> tuple[Column, ...]:
        return tuple(self._column(row, name) for row in self._columns[relation])

    def _column(self, row: Any, relation: str) -> Column:
        if row.default_oid:
            self._know("pg_attrdef", row.default_oid, ("default", relation, row.name))
        sequence = self._identities.get((row.relation, row.number))
        identity = (
            Identity(always=row.identity == "a", sequence=sequence)
            if row.identity and sequence
            else None
        )
        return Column(
            name=row.name,
            type=row.type,
            collation=row.collation,
            default=self._text(row.default, f"column {row.name!r} of {relation!r}"),
            generated=row.generated,
            identity=identity,
            not_null=row.not_null and (row.relation, row.name) not in self._named_not_null,
            storage=row.storage,
            compression=row.compression,
            statistics=row.statistics,
            options=tuple(row.options),
            is_local=row.is_local,
            comment=row.comment,
        )

    def _constraint(self, row: Any, table: str, key: Key | None = None) -> Constraint:
        where = f"constraint {row.name!r} of {table!r}"
        constraint = Constraint(
            name=row.name,
            comment=row.comment,
            table=table,
            type=row.type,
            definition=self._text(row.definition, where),
            column=row.column,
            is_local=row.is_local,
            is_validated=row.is_validated,
            refers_outside=bool(row.refers_outside),
        )
        self._know("pg_constraint", row.oid, key or constraint.key)
        return constraint

    def _index(self, row: Any, table: str) -> Index:
        definition = self.own.without_own(row.definition, "ON", "ONLY")
        index = Index(
            name=row.name,
            comment=row.comment,
            table=table,
            definition=self._text(definition, f"index {row.name!r}"),
            constraint=row.constraint,
            parent=row.parent,
            is_clustered=row.is_clustered,
            is_replica_identity=row.is_replica_identity,
            statistics=tuple((number, target) for number, target in _json(row.statistics)),
            tablespace=row.tablespace,
        )
        if not (row.is_valid or row.is_partitioned):
            self.own.doubt(
                f"index {row.name!r}", "It is invalid, as CONCURRENTLY leaves it; a copy's is not."
            )
        key = index.key if row.constraint is None else ("constraint", table, row.constraint)
        self._know("pg_class", row.oid, key)
        return index

    def _trigger(self, row: Any, table: str) -> Trigger:
        definition = self.own.without_own(row.definition, "ON")
        trigger = Trigger(
            name=row.name,
            comment=row.comment,
            table=table,
            definition=self._text(definition, f"trigger {row.name!r} of {table!r}"),
            enabled=row.enabled,
            is_inherited=row.is_inherited,
        )
        self._know("pg_trigger", row.oid, trigger.key)
        return trigger

    def _rule(self, row: Any, table: str) -> Rule:
        definition = self.own.without_own(row.definition, "TO").rstrip(";")
        rule = Rule(
            name=row.name,
            comment=row.comment,
            table=table,
            definition=self._text(definition, f"rule {row.name!r} of {table!r}"),
            enabled=row.enabled,
        )
        self._know("pg_rewrite", row.oid, rule.key)
        return rule

    def _policy(self, row: Any, table: str) -> Policy:
        where = f"policy {row.name!r} of {table!r}"
        policy = Policy(
            name=row.name,
            comment=row.comment,
            table=table,
            command=row.command,
            is_permissive=row.is_permissive,
            roles=tuple(map(self._grantee, row.roles)),
            using=self._text(row.using, where),
            check=self._text(row.check, where),
        )
        self._know("pg_policy", row.oid, policy.key)
        return policy

    def _statistics(self, row: Any) -> Statistics:
        self._know("pg_statistic_ext", row.oid, ("statistics", row.name))
        return Statistics(
            name=row.name,
            comment=row.comment,
            table=row.table,
            kinds=tuple(_STATISTICS[each] for each in row.kinds if each in _STATISTICS),
            columns=self._text(row.columns, f"statistics {row.name!r}"),
            target=row.target,
        )

    def _relation(self, row: Any, kind: str) -> dict[str, Any]:
        """Return what tables and views have in common."""
        for catalog, oid in (
            ("pg_class", row.oid),
            ("pg_type", row.type),
            ("pg_type", row.array_type),
        ):
            if oid:
                self._know(catalog, oid, (kind, row.name))
        for rule in self.found.rules:
            if rule.relation == row.oid and rule.is_view:
                self._know("pg_rewrite", rule.oid, (kind, row.name))
        rules = [each for each in self.found.rules if not each.is_view]
        column_rights = [
            grant
            for each in self._columns[row.oid]
            for grant in self._grants(each.rights, each.name)
        ]
        return {
            "name": row.name,
            "comment": row.comment,
            "grants": (*self._grants(row.rights), *column_rights),
            "columns": self._columns_of(row.oid, row.name),
            "options": tuple(row.options),
            "toast_options": tuple(row.toast_options),
            "access_method": row.access_method,
            "tablespace": row.tablespace,
            "indexes": _each(self._index, self.found.indexes, row),
            "triggers": _each(self._trigger, self.found.triggers, row),
            "rules": _each(self._rule, rules, row),
        }

    def _table(self, row: Any) -> Table:
        return Table(
            **self._relation(row, "table"),
            constraints=_each(self._constraint, self.found.constraints, row),
            policies=_each(self._policy, self.found.policies, row),
            of_type=row.of_type,
            parents=tuple(row.parents),
            partition_key=self._text(row.partition_key, f"table {row.name!r}"),
            partition_bound=self._text(row.partition_bound, f"table {row.name!r}"),
            is_unlogged=row.is_unlogged,
            replica_identity=row.replica_identity,
            row_security=row.row_security,
            forces_row_security=row.forces_row_security,
        )

    def _view(self, row: Any) -> View:
        definition = row.definition.strip().rstrip(";")
        return View(
            **self._relation(row, "view"),
            definition=self._text(definition, f"view {row.name!r}"),
            is_materialised=row.kind == "m",
            is_populated=row.is_populated,
        )

    # -- Rights

    def _grants(self, rights: Any, column: str | None = None) -> tuple[Grant, ...]:
        return tuple(
            Grant(privilege, self._grantee(grantee), is_grantable, is_revoked, column)
            for privilege, grantee, is_grantable, is_revoked in _json(rights)
        )

    def _grantee(self, name: str) -> str:
        # The server quotes a name only where it must.
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        if name in {"PUBLIC", "CURRENT_USER"}:
            return name
        return ROLE if quote_identifier(plain) == self._own_role else quote_identifier(plain)

    def _default_privileges(self) -> Iterable[DefaultPrivilege]:
        for row in self.found.default_privileges:
            for grant in self._grants(row.rights):
                yield DefaultPrivilege(_OBJECTS[row.objects], row.role, grant)

    # -- What must be there before what

    def _needs(self) -> frozenset[tuple[Key, Key]]:
        inline = {
            ("default", self._names[row.relation], row.name)
            for row in self.found.columns
            if row.generated and row.relation in self._names
        }
        sequences = {row.oid for row in self.found.sequences}
        needs = set()
        for row in self.found.dependencies:
            one = self._keys.get((row.catalog, row.oid))
            other = self._keys.get((row.ref_catalog, row.ref_oid))
            if row.type == "x":
                raise UnsupportedObject(
                    f"The schema {self.schema_name!r} holds an object that depends on an extension:"
                    f" {one}. Drop that dependency (ALTER ... NO DEPENDS ON EXTENSION).",
                    (str(one),),
                )
            # A sequence is dropped with its column, and made before it.
            if one is None or other is None or (row.catalog == "pg_class" and row.oid in sequences):
                continue
            if one in inline:
                one = ("table", one[1])
            if one != other:
                needs.add((one, other))
        return frozenset(needs)


def _each(make: Any, rows: Rows, relation: Any) -> tuple[Any, ...]:
    return tuple(make(row, relation.name) for row in rows if row.relation == relation.oid)


def _json(value: Any) -> Any:
    """Return a JSON column, which some connections load and some do not."""
    return json.loads(value) if isinstance(value, str) else value or ()

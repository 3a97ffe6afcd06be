"""Write a snapshot as SQL for any name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appschema.names import MARKER_TABLE, quote_literal
from appschema.names import quote_identifier as quoted

from . import ddl
from .order import in_order, needed_by
from .rights import default_rights, rights_on
from .script import Script
from .slots import SCHEMA
from .snapshot import (
    Column,
    Constraint,
    Key,
    SchemaObject,
    SchemaSnapshot,
    Sequence,
    Table,
    View,
)

_EARLY = frozenset({"collation", "type", "routine", "sequence", "table", "default"})


def write_schema(snapshot: SchemaSnapshot, rows: Iterable[str] = ()) -> Script:
    """Return the SQL that makes a schema like *snapshot*.

    ``rows`` are statements as ``read_rows`` gives them; without them the tables are empty.
    The copy belongs to whoever sends the SQL. Raises ``UnsupportedObject`` for objects that
    need one another in a circle.
    """
    return _Writer(snapshot).script(tuple(rows))


class _Writer:
    def __init__(self, snapshot: SchemaSnapshot) -> None:
        self.snapshot = snapshot
        self.tables = {table.name: table for table in snapshot.tables}
        self.needs: dict[Key, set[Key]] = {}
        for one, other in snapshot.needs:
            self.needs.setdefault(one, set()).add(other)
        self.objects = dict(self._objects())
        self.made: set[Key] = set()

    def script(self, rows: tuple[str, ...]) -> Script:
        marker = ("table", MARKER_TABLE)
        early = {key for key in self.objects if key[0] in _EARLY}
        early |= needed_by(early, self.needs) & set(self.objects)
        order = in_order(early, self.needs)
        schema = [f"CREATE SCHEMA {SCHEMA}"]
        if marker in self.objects and not self.needs.get(marker):
            schema += self._make(marker)
        structure = [text for key in order for text in self._make(key)]
        structure += self._owners()
        dependents = [text for key in self._late(early) for text in self._make(key)]
        inside, outside = self._foreign_keys()
        dependents += [*inside, *self._settings(), *self._comments(), *self._rights()]
        return Script(tuple(schema), tuple(structure), rows, tuple(dependents), tuple(outside))

    def _late(self, early: set[Key]) -> list[Key]:
        return in_order(set(self.objects) - early, self.needs)

    def _objects(self) -> Iterator[tuple[Key, SchemaObject | Column]]:
        """Yield all that is made by a statement of its own; foreign keys are apart."""
        snapshot = self.snapshot
        for kind in (snapshot.collations, snapshot.types, snapshot.routines, snapshot.sequences):
            yield from ((each.key, each) for each in kind)
        yield from ((each.key, each) for each in snapshot.statistics)
        for relation in snapshot.relations:
            yield relation.key, relation
            for column in relation.columns:
                if column.default and not column.generated:
                    yield ("default", relation.name, column.name), column
            for each in (*relation.triggers, *relation.rules):
                yield each.key, each
            for index in relation.indexes:
                if index.constraint is None:
                    yield index.key, index
        for table in snapshot.tables:
            for policy in table.policies:
                yield policy.key, policy
            for constraint in table.constraints:
                if constraint.type != "f" and _is_made(constraint, table):
                    yield constraint.key, constraint

    # -- One object

    def _make(self, key: Key) -> Iterator[str]:
        """Yield the statements for one object that has not been made as part of another."""
        if key in self.made:
            return
        self.made.add(key)
        each = self.objects[key]
        match key[0]:
            case "collation":
                yield ddl.create_collation(each)  # type: ignore[arg-type]
            case "type":
                yield ddl.create_type(each)  # type: ignore[arg-type]
            case "routine" | "rule":
                yield each.definition  # type: ignore[union-attr]
            case "trigger":
                if not each.is_inherited:  # type: ignore[union-attr]
                    yield each.definition  # type: ignore[union-attr]
            case "index":
                yield each.definition  # type: ignore[union-attr]
            case "sequence":
                yield ddl.create_sequence(each)  # type: ignore[arg-type]
            case "table":
                yield from self._table(each)  # type: ignore[arg-type]
            case "view":
                yield ddl.create_view(each)  # type: ignore[arg-type]
            case "default":
                kind = "TABLE ONLY" if key[1] in self.tables else "VIEW"
                yield (
                    f"ALTER {kind} {quoted(key[1])} ALTER COLUMN {quoted(key[2])}"
                    f" SET DEFAULT {each.default}"  # type: ignore[union-attr]
                )
            case "constraint":
                yield _add(each)  # type: ignore[arg-type]
            case "policy":
                yield ddl.create_policy(each)  # type: ignore[arg-type]
            case "statistics":
                yield from ddl.create_statistics(each)  # type: ignore[arg-type]

    def _table(self, table: Table) -> Iterator[str]:
        defaults = [
            column.name
            for column in table.columns
            if self._is_ready(("default", table.name, column.name))
            and (column.is_local or table.partition_bound)
            and not table.of_type
        ]
        constraints = [
            each
            for each in table.constraints
            if self._is_ready(each.key) and _fits_into_create(each, table)
        ]
        self.made.update(("default", table.name, name) for name in defaults)
        self.made.update(each.key for each in constraints)
        yield ddl.create_table(table, defaults, constraints)
        if table.partition_bound:
            (parent,) = table.parents
            yield (
                f"ALTER TABLE ONLY {parent} ATTACH PARTITION {quoted(table.name)} {table.partition_bound}"
            )
        for column in table.columns:
            yield from self._inherited(table, column)

    def _is_ready(self, key: Key) -> bool:
        if key not in self.objects:
            return False
        return self.needs.get(key, set()) <= self.made

    def _inherited(self, table: Table, column: Column) -> Iterator[str]:
        """Yield what a child has otherwise than the parent from which it has the column."""
        if column.is_local or table.partition_bound or column.generated:
            return
        start = f"ALTER TABLE ONLY {quoted(table.name)} ALTER COLUMN {quoted(column.name)}"
        if column.not_null:
            yield f"{start} SET NOT NULL"
        if column.default is None:
            yield f"{start} DROP DEFAULT"

    # -- What holds for many

    def _owners(self) -> Iterator[str]:
        for sequence in self.snapshot.sequences:
            if sequence.owner:
                owner = ".".join(map(quoted, sequence.owner))
                yield f"ALTER SEQUENCE {quoted(sequence.name)} OWNED BY {owner}"
        for table in self.snapshot.tables:
            for column in table.columns:
                if column.identity:
                    yield from _alter_identity(table, column, column.identity.sequence)

    def _foreign_keys(self) -> tuple[list[str], list[str]]:
        inside: list[str] = []
        outside: list[str] = []
        for table in self.snapshot.tables:
            for each in table.constraints:
                if each.type == "f" and _is_made(each, table):
                    (outside if each.refers_outside else inside).append(
                        _add(each, only=table.partition_key is None)
                    )
        return inside, outside

    def _settings(self) -> Iterator[str]:
        snapshot = self.snapshot
        for relation in snapshot.relations:
            kind = "TABLE" if isinstance(relation, Table) else "MATERIALIZED VIEW"
            for column in relation.columns:
                yield from ddl.column_settings(relation, column)
            for index in relation.indexes:
                yield from ddl.index_settings(index, kind)
            for trigger in relation.triggers:
                if trigger.enabled != "O" or trigger.is_inherited:
                    yield ddl.enable(relation.name, "TRIGGER", trigger.name, trigger.enabled)
            for rule in relation.rules:
                if rule.enabled != "O":
                    yield ddl.enable(relation.name, "RULE", rule.name, rule.enabled)
        for table in snapshot.tables:
            start = f"ALTER TABLE ONLY {quoted(table.name)}"
            if table.replica_identity in "nf":
                yield f"{start} REPLICA IDENTITY {'NOTHING' if table.replica_identity == 'n' else 'FULL'}"
            if table.row_security:
                yield f"{start} ENABLE ROW LEVEL SECURITY"
            if table.forces_row_security:
                yield f"{start} FORCE ROW LEVEL SECURITY"
        for each in snapshot.types:
            for constraint in getattr(each, "constraints", ()):
                if not constraint.is_validated:
                    yield f"ALTER DOMAIN {quoted(each.name)} ADD {ddl.named(constraint)}"

    def _comments(self) -> Iterator[str]:
        for target, comment in self._commented():
            if comment is not None:
                yield f"COMMENT ON {target} IS {quote_literal(comment)}"

    def _commented(self) -> Iterator[tuple[str, str | None]]:
        snapshot = self.snapshot
        yield f"SCHEMA {SCHEMA}", snapshot.comment
        for collation in snapshot.collations:
            yield f"COLLATION {quoted(collation.name)}", collation.comment
        for each in snapshot.types:
            is_domain = each.__class__.__name__ == "Domain"
            yield f"{'DOMAIN' if is_domain else 'TYPE'} {quoted(each.name)}", each.comment
            for constraint in getattr(each, "constraints", ()):
                yield (
                    f"CONSTRAINT {quoted(constraint.name)} ON DOMAIN {quoted(each.name)}",
                    constraint.comment,
                )
            for column in getattr(each, "columns", ()):
                yield f"COLUMN {quoted(each.name)}.{quoted(column.name)}", column.comment
        for routine in snapshot.routines:
            yield f"{routine.word} {routine.name}", routine.comment
        for sequence in all_sequences(snapshot):
            yield f"SEQUENCE {quoted(sequence.name)}", sequence.comment
        for statistics in snapshot.statistics:
            yield f"STATISTICS {quoted(statistics.name)}", statistics.comment
        for relation in snapshot.relations:
            name = quoted(relation.name)
            yield f"{_word_of(relation)} {name}", relation.comment
            for column in relation.columns:
                yield f"COLUMN {name}.{quoted(column.name)}", column.comment
            for index in relation.indexes:
                yield f"INDEX {quoted(index.name)}", index.comment
            parts = (*relation.triggers, *relation.rules, *getattr(relation, "policies", ()))
            for part in (*parts, *getattr(relation, "constraints", ())):
                yield f"{part.kind.upper()} {quoted(part.name)} ON {name}", part.comment

    def _rights(self) -> Iterator[str]:
        snapshot = self.snapshot
        yield from rights_on(f"SCHEMA {SCHEMA}", snapshot.grants)
        for each in snapshot.types:
            yield from rights_on(f"TYPE {quoted(each.name)}", each.grants)
        for routine in snapshot.routines:
            yield from rights_on(f"{routine.word} {routine.name}", routine.grants)
        for sequence in all_sequences(snapshot):
            yield from rights_on(f"SEQUENCE {quoted(sequence.name)}", sequence.grants)
        for relation in snapshot.relations:
            yield from rights_on(f"TABLE {quoted(relation.name)}", relation.grants)
        yield from default_rights(SCHEMA, snapshot.default_privileges)


def _is_made(constraint: Constraint, table: Table) -> bool:
    """Tell whether a constraint is made for this table, and not for its parent."""
    is_checked = constraint.type in {"c", "n"}
    return constraint.is_local or not is_checked or table.partition_bound is not None


def _fits_into_create(constraint: Constraint, table: Table) -> bool:
    if constraint.type in {"p", "u", "x"}:
        # Their indexes are attached one by one, to one that stands on the parent only.
        return table.partition_key is None and not table.of_type
    return constraint.is_validated


def _add(constraint: Constraint, *, only: bool = True) -> str:
    only_table = "ONLY " if only else ""
    return f"ALTER TABLE {only_table}{quoted(constraint.table)} ADD {ddl.named(constraint)}"


def _alter_identity(table: Table, column: Column, sequence: Sequence) -> Iterator[str]:
    if sequence.type != column.type:
        yield (
            f"ALTER SEQUENCE {quoted(sequence.name)} AS {sequence.type}"
            f" MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum}"
        )
    if sequence.is_unlogged != table.is_unlogged:
        kind = "UNLOGGED" if sequence.is_unlogged else "LOGGED"
        yield f"ALTER SEQUENCE {quoted(sequence.name)} SET {kind}"


def all_sequences(snapshot: SchemaSnapshot) -> Iterator[Sequence]:
    """Yield the sequences of a schema, those of identity columns too."""
    yield from snapshot.sequences
    for table in snapshot.tables:
        for column in table.columns:
            if column.identity:
                yield column.identity.sequence


def _word_of(relation: Table | View) -> str:
    if isinstance(relation, Table):
        return "TABLE"
    return "MATERIALIZED VIEW" if relation.is_materialised else "VIEW"

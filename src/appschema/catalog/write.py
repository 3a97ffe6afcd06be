"""Write a snapshot as SQL for any name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from appschema.names import MARKER_TABLE
from appschema.names import quote_identifier as quoted

from . import ddl
from .additions import comments_of, rights_of, settings_of
from .order import in_order, needed_by
from .script import Script
from .slots import SCHEMA
from .snapshot import (
    Collation,
    Column,
    Composite,
    Constraint,
    Domain,
    Enum,
    Index,
    Key,
    Policy,
    Range,
    Routine,
    Rule,
    SchemaObject,
    SchemaSnapshot,
    Sequence,
    Statistics,
    Table,
    Trigger,
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
    """Keeps what is made already, for CREATE TABLE holds whatever it can."""

    def __init__(self, snapshot: SchemaSnapshot) -> None:
        self.snapshot = snapshot
        self.objects = dict(_objects(snapshot))
        self.needs: dict[Key, set[Key]] = defaultdict(set)
        for one, other in snapshot.needs:
            self.needs[one].add(other)
        self.made: set[Key] = set()

    def script(self, rows: tuple[str, ...]) -> Script:
        early = {key for key in self.objects if key[0] in _EARLY}
        early |= needed_by(early, self.needs) & set(self.objects)
        schema = [f"CREATE SCHEMA {SCHEMA}", *self._marker()]
        structure = [*self._make_all(in_order(early, self.needs)), *_owners(self.snapshot)]
        late = self._make_all(in_order(set(self.objects) - early, self.needs))
        dependents = [
            *late,
            *_validated_apart(self.snapshot),
            *_attached(self.snapshot),
            *_foreign_keys(self.snapshot, outside=False),
            *settings_of(self.snapshot),
            *comments_of(self.snapshot),
            *rights_of(self.snapshot),
        ]
        outside = _foreign_keys(self.snapshot, outside=True)
        return Script(tuple(schema), tuple(structure), rows, tuple(dependents), tuple(outside))

    def _marker(self) -> Iterator[str]:
        key = ("table", MARKER_TABLE)
        if key in self.objects and not self.needs[key]:
            yield from self._make_all([key])

    def _make_all(self, keys: Iterable[Key]) -> Iterator[str]:
        for key in keys:
            if key not in self.made:
                self.made.add(key)
                each = self.objects[key]
                yield from self._table(each) if isinstance(each, Table) else _make(each, key)

    def _table(self, table: Table) -> Iterator[str]:
        defaults = [
            column.name
            for column in table.columns
            if table.lists(column) and self._is_ready(("default", table.name, column.name))
        ]
        constraints = [each for each in _fitting_into_create(table) if self._is_ready(each.key)]
        self.made.update(("default", table.name, name) for name in defaults)
        self.made.update(each.key for each in constraints)
        yield ddl.create_table(table, defaults, constraints)
        if table.partition_bound:
            (parent,) = table.parents
            name = quoted(table.name)
            yield f"ALTER TABLE ONLY {parent} ATTACH PARTITION {name} {table.partition_bound}"
        for column in table.columns:
            yield from _inherited(table, column)

    def _is_ready(self, key: Key) -> bool:
        return key in self.objects and self.needs[key] <= self.made


def _objects(snapshot: SchemaSnapshot) -> Iterator[tuple[Key, SchemaObject | Column]]:
    """Yield all that is made by a statement of its own; foreign keys are apart."""
    plain = (snapshot.collations, snapshot.types, snapshot.routines, snapshot.sequences)
    for each in (one for kind in (*plain, snapshot.statistics) for one in kind):
        yield each.key, each
    for relation in snapshot.relations:
        yield relation.key, relation
        for column in relation.columns:
            if column.default and not column.generated:
                yield ("default", relation.name, column.name), column
        indexes = (index for index in relation.indexes if index.constraint is None)
        for part in (*relation.triggers, *relation.rules, *indexes):
            yield part.key, part
    for table in snapshot.tables:
        checked = (each for each in table.constraints if each.type != "f" and _is_made(each, table))
        for its in (*table.policies, *checked):
            yield its.key, its


def _make(each: SchemaObject | Column, key: Key) -> Iterator[str]:
    """Yield the statements for one object that is no table."""
    match each:
        case Collation():
            yield ddl.create_collation(each)
        case Enum() | Domain() | Composite() | Range():
            yield ddl.create_type(each)
        case Trigger(is_inherited=True):
            pass  # It comes with its parent's.
        case Routine() | Rule() | Trigger() | Index():
            yield each.definition
        case Sequence():
            yield ddl.create_sequence(each)
        case View():
            yield ddl.create_view(each)
        case Column():
            # ALTER TABLE takes views too.
            yield (
                f"ALTER TABLE ONLY {quoted(key[1])} ALTER COLUMN {quoted(key[2])}"
                f" SET DEFAULT {each.default}"
            )
        case Constraint():
            yield _add(each)
        case Policy():
            yield ddl.create_policy(each)
        case Statistics():
            yield from ddl.create_statistics(each)
        case _:
            raise AssertionError(key)


def _inherited(table: Table, column: Column) -> Iterator[str]:
    """Yield what a child has otherwise than the parent from which it has the column."""
    if column.is_local or table.partition_bound or column.generated:
        return
    start = f"ALTER TABLE ONLY {quoted(table.name)} ALTER COLUMN {quoted(column.name)}"
    if column.not_null:
        yield f"{start} SET NOT NULL"
    if column.default is None:
        yield f"{start} DROP DEFAULT"


def _owners(snapshot: SchemaSnapshot) -> Iterator[str]:
    """Yield what binds sequences to their columns."""
    for sequence in snapshot.sequences:
        if sequence.owner:
            owner = ".".join(map(quoted, sequence.owner))
            yield f"ALTER SEQUENCE {quoted(sequence.name)} OWNED BY {owner}"
    for table in snapshot.tables:
        for column in table.columns:
            if column.identity:
                yield from _alter_identity(table, column, column.identity.sequence)


def _validated_apart(snapshot: SchemaSnapshot) -> Iterator[str]:
    for table in snapshot.tables:
        for each in table.constraints:
            if each.is_validated_apart and not _is_made(each, table):
                yield f"ALTER TABLE ONLY {quoted(table.name)} VALIDATE CONSTRAINT {quoted(each.name)}"


def _attached(snapshot: SchemaSnapshot) -> Iterator[str]:
    """Yield what makes the indexes of partitioned tables valid, which foreign keys ask for."""
    for table in snapshot.tables:
        for index in table.indexes:
            if index.parent:
                yield f"ALTER INDEX {quoted(index.parent)} ATTACH PARTITION {quoted(index.name)}"


def _foreign_keys(snapshot: SchemaSnapshot, *, outside: bool) -> Iterator[str]:
    for table in snapshot.tables:
        for each in table.constraints:
            if each.type == "f" and each.refers_outside == outside:
                yield _add(each, is_partitioned=table.partition_key is not None)


def _is_made(constraint: Constraint, table: Table) -> bool:
    """Tell whether a constraint is made for this table, and not for its parent."""
    is_checked = constraint.type in {"c", "n"}
    return constraint.is_local or not is_checked or table.partition_bound is not None


def _fitting_into_create(table: Table) -> Iterator[Constraint]:
    """Yield what CREATE TABLE can hold of a table's constraints."""
    seen = set()
    for each in table.constraints:
        if each.type not in {"p", "u", "x"}:
            if each.is_validated and each.type != "f":
                yield each
        # The indexes of partitions are attached one by one, to one that stands on the parent only.
        elif table.partition_key is None and not table.of_type:
            # Of two on the same columns CREATE TABLE would make one.
            columns = each.definition.partition("(")[2]
            if columns not in seen:
                yield each
            seen.add(columns)


def _add(constraint: Constraint, *, is_partitioned: bool = False) -> str:
    # Children have a check from their parent; a partitioned table's foreign keys are its partitions'.
    reaches_children = constraint.type in {"c", "n"} or (constraint.type == "f" and is_partitioned)
    only = "" if reaches_children else "ONLY "
    return f"ALTER TABLE {only}{quoted(constraint.table)} ADD {ddl.named(constraint)}"


def _alter_identity(table: Table, column: Column, sequence: Sequence) -> Iterator[str]:
    if sequence.type != column.type:
        yield (
            f"ALTER SEQUENCE {quoted(sequence.name)} AS {sequence.type}"
            f" MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum}"
        )
    if sequence.is_unlogged != table.is_unlogged:
        kind = "UNLOGGED" if sequence.is_unlogged else "LOGGED"
        yield f"ALTER SEQUENCE {quoted(sequence.name)} SET {kind}"

"""A schema as a value: what PostgreSQL knows of it, whatever it is called.

Texts are SQL as PostgreSQL gives it back while the schema itself comes first in the search path,
so that they name its own objects without it. Where a text holds the schema's name all the same,
a slot stands for it (``slots.py``). What a copy need not have in common is left out of the
comparison: the name, the owner, the order in which objects depend on one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

Key = tuple[str, ...]
"""What one object is called: its kind, then the name of its table if it has one, then its own."""


@dataclass(frozen=True)
class Grant:
    """One right that differs from what the owner and PUBLIC have of a new object."""

    privilege: str

    grantee: str
    """SQL: ``PUBLIC``, ``CURRENT_USER`` for the owner, a quoted name, or the slot of the role."""

    is_grantable: bool = False

    is_revoked: bool = False
    """The right is one that new objects come with, and was taken."""

    column: str | None = None


@dataclass(frozen=True)
class DefaultPrivilege:
    """ALTER DEFAULT PRIVILEGES in the schema: rights of what is made in it later."""

    objects: str
    """``TABLES``, ``SEQUENCES``, ``FUNCTIONS`` or ``TYPES``."""

    role: str | None
    """Whose new objects are meant, quoted; None for the owner of the schema."""

    grant: Grant


@dataclass(frozen=True, kw_only=True)
class SchemaObject:
    """What all kinds have."""

    kind: ClassVar[str]

    name: str
    comment: str | None = None
    grants: tuple[Grant, ...] = ()

    @property
    def key(self) -> Key:
        return (self.kind, self.name)


@dataclass(frozen=True, kw_only=True)
class Collation(SchemaObject):
    kind = "collation"

    provider: str
    """``libc``, ``icu`` or ``builtin``."""
    is_deterministic: bool
    locale: str | None = None
    lc_collate: str | None = None
    lc_ctype: str | None = None
    rules: str | None = None


@dataclass(frozen=True, kw_only=True)
class Enum(SchemaObject):
    kind = "type"

    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Domain(SchemaObject):
    kind = "type"

    base: str
    collation: str | None = None
    default: str | None = None
    not_null: bool = False
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Composite(SchemaObject):
    kind = "type"

    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Range(SchemaObject):
    kind = "type"

    options: tuple[str, ...]
    """``subtype = integer``, ``multirange_type_name = "x"`` and the like."""


@dataclass(frozen=True, kw_only=True)
class Routine(SchemaObject):
    """A function, procedure, window function or aggregate; the name has its argument types."""

    kind = "routine"

    word: str
    """``FUNCTION``, ``PROCEDURE`` or ``AGGREGATE``."""

    definition: str
    """CREATE OR REPLACE of it."""


@dataclass(frozen=True, kw_only=True)
class Sequence(SchemaObject):
    """A sequence; that of an identity column is in the column."""

    kind = "sequence"

    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycles: bool
    is_unlogged: bool = False
    owner: tuple[str, str] | None = None
    """The table and column with which it is dropped."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """GENERATED AS IDENTITY, and its sequence."""

    always: bool
    sequence: Sequence


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table, a view or a composite type."""

    name: str
    type: str
    collation: str | None = None
    """Only where it is not its type's."""
    default: str | None = None
    generated: str | None = None
    """``STORED`` or ``VIRTUAL``; the expression is the default."""
    identity: Identity | None = None
    not_null: bool = False
    storage: str | None = None
    compression: str | None = None
    statistics: int | None = None
    options: tuple[str, ...] = ()
    is_local: bool = True
    """False if it is there only because a parent has it."""
    comment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Constraint(SchemaObject):
    kind = "constraint"

    table: str
    type: str
    """As pg_constraint has it: ``p``, ``u``, ``x``, ``c``, ``f`` or ``n``."""
    definition: str
    column: str | None = None
    """Of a NOT NULL constraint."""
    is_local: bool = True
    is_validated: bool = True
    is_validated_apart: bool = False
    """A child's, from a parent that has it NOT VALID."""
    refers_outside: bool = False
    """A foreign key to a table of another schema."""

    @property
    def key(self) -> Key:
        return (self.kind, self.table, self.name)


@dataclass(frozen=True, kw_only=True)
class Index(SchemaObject):
    """An index, also that of a constraint, which makes it."""

    kind = "index"

    table: str
    definition: str
    constraint: str | None = None
    parent: str | None = None
    """The index of the partitioned table to which it belongs."""
    is_clustered: bool = False
    is_replica_identity: bool = False
    statistics: tuple[tuple[int, int], ...] = ()
    tablespace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trigger(SchemaObject):
    kind = "trigger"

    table: str
    definition: str
    enabled: str = "O"
    """As pg_trigger has it: ``O`` (plainly), ``D``, ``R`` (replica) or ``A`` (always)."""
    is_inherited: bool = False
    """Its parent's, in a partition where it is enabled otherwise."""

    @property
    def key(self) -> Key:
        return (self.kind, self.table, self.name)


@dataclass(frozen=True, kw_only=True)
class Rule(SchemaObject):
    kind = "rule"

    table: str
    definition: str
    enabled: str = "O"

    @property
    def key(self) -> Key:
        return (self.kind, self.table, self.name)


@dataclass(frozen=True, kw_only=True)
class Policy(SchemaObject):
    kind = "policy"

    table: str
    command: str
    is_permissive: bool
    roles: tuple[str, ...]
    using: str | None = None
    check: str | None = None

    @property
    def key(self) -> Key:
        return (self.kind, self.table, self.name)


@dataclass(frozen=True, kw_only=True)
class Statistics(SchemaObject):
    kind = "statistics"

    table: str
    kinds: tuple[str, ...]
    columns: str
    target: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table(SchemaObject):
    """A table or a partitioned table."""

    kind = "table"

    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[Rule, ...] = ()
    policies: tuple[Policy, ...] = ()
    of_type: str | None = None
    parents: tuple[str, ...] = ()
    partition_key: str | None = None
    partition_bound: str | None = None
    is_unlogged: bool = False
    options: tuple[str, ...] = ()
    toast_options: tuple[str, ...] = ()
    access_method: str | None = None
    """Only where it is not ``heap``."""
    tablespace: str | None = None
    replica_identity: str = "d"
    row_security: bool = False
    forces_row_security: bool = False

    def lists(self, column: Column) -> bool:
        """Tell whether CREATE TABLE lists a column, and does not have it from a parent or a type."""
        return not self.of_type and (column.is_local or self.partition_bound is not None)

    @property
    def has_rows(self) -> bool:
        """A partitioned table's rows are its partitions'."""
        return self.partition_key is None


@dataclass(frozen=True, kw_only=True)
class View(SchemaObject):
    """A view or a materialised view."""

    kind = "view"

    columns: tuple[Column, ...]
    definition: str
    is_materialised: bool = False
    is_populated: bool = field(default=True, compare=False)
    options: tuple[str, ...] = ()
    toast_options: tuple[str, ...] = ()
    access_method: str | None = None
    tablespace: str | None = None
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Doubt:
    """Something that may name the schema, or belongs to it, and is left as it is in a copy."""

    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SchemaSnapshot:
    """A schema as a value; equal to another when the structure is equal."""

    name: str = field(compare=False)
    comment: str | None = None
    grants: tuple[Grant, ...] = ()
    default_privileges: tuple[DefaultPrivilege, ...] = ()
    collations: tuple[Collation, ...] = ()
    types: tuple[Enum | Domain | Composite | Range, ...] = ()
    routines: tuple[Routine, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    statistics: tuple[Statistics, ...] = ()
    needs: frozenset[tuple[Key, Key]] = field(default=frozenset(), compare=False, repr=False)
    """Pairs of objects, the second of which must be there before the first."""
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)
    """What a person should look at before the copy is trusted."""

    @property
    def relations(self) -> tuple[Table | View, ...]:
        """The tables, then the views."""
        return (*self.tables, *self.views)

    def all_sequences(self) -> Iterator[Sequence]:
        """Yield the sequences, those of identity columns too."""
        yield from self.sequences
        for table in self.tables:
            for column in table.columns:
                if column.identity:
                    yield column.identity.sequence

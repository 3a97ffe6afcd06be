"""What the catalogs have answered, before it is made into a snapshot."""

from __future__ import annotations

from collections import defaultdict, namedtuple
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Rows = list[Any]


def ask(cursor: Any, query: str, parameters: dict[str, Any]) -> Rows:
    """Return the rows of a query, whose columns are attributes."""
    cursor.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    row: Any = namedtuple("row", names)  # type: ignore[misc]  # noqa: PYI024 - the query names them
    return [row(*values) for values in cursor.fetchall()]


@dataclass(kw_only=True)
class Answers:
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

    def of_relation(self, kind: str, relation: int) -> Rows:
        """Return the columns, constraints, indexes and so on of one table or view."""
        return self._by_relation[kind].get(relation, [])

    @cached_property
    def _by_relation(self) -> dict[str, dict[int, Rows]]:
        kinds = ("columns", "constraints", "indexes", "triggers", "policies")
        return {
            **{kind: _grouped(getattr(self, kind)) for kind in kinds},
            "rules": _grouped(row for row in self.rules if not row.is_view),
            "selects": _grouped(row for row in self.rules if row.is_view),
        }

    @cached_property
    def named_not_null(self) -> frozenset[tuple[int, str]]:
        """Relation and column of each NOT NULL that is a constraint: since 18 all are."""
        return frozenset((row.relation, row.column) for row in self.constraints if row.type == "n")

    @cached_property
    def names(self) -> dict[int, str]:
        """The name of each table, view and sequence by its oid."""
        return {row.oid: row.name for row in self.relations}

    def inherited_order(self, relation: int) -> list[str]:
        """Return the names of a table's columns in the order that CREATE TABLE gives a copy.

        What a parent has comes first, also what was added to it after its child was made.
        """
        names = [row.name for row in self.of_relation("columns", relation)]
        table = self._tables.get(relation)
        if table is None or table.partition_bound is not None:
            return names
        ours = set(names)
        inherited = (
            name
            for parent in table.parent_oids
            for name in self.inherited_order(parent)
            if name in ours
        )
        return list(dict.fromkeys([*inherited, *names]))

    @cached_property
    def _tables(self) -> dict[int, Any]:
        return {row.oid: row for row in self.relations if row.parent_oids}

    def names_of_objects(self) -> frozenset[str]:
        """Return all names that may stand behind the schema's in a text."""
        kinds = (self.relations, self.indexes, self.types, self.collations, self.statistics)
        names = {row.name for kind in kinds for row in kind}
        return frozenset(names | {row.bare_name for row in self.routines})

    def dependents(self) -> tuple[list[str], list[int]]:
        """Return catalogs and oids of all whose dependencies are of interest."""
        each = [
            *(("pg_type", row.oid) for row in self.types),
            *(("pg_class", row.oid) for row in (*self.relations, *self.indexes)),
            *(("pg_proc", row.oid) for row in self.routines),
            *(("pg_attrdef", row.default_oid) for row in self.columns if row.default_oid),
            *(("pg_constraint", row.oid) for row in self.constraints),
            *(("pg_trigger", row.oid) for row in self.triggers),
            *(("pg_rewrite", row.oid) for row in self.rules),
            *(("pg_policy", row.oid) for row in self.policies),
            *(("pg_statistic_ext", row.oid) for row in self.statistics),
        ]
        return [catalog for catalog, _ in each], [oid for _, oid in each]


def _grouped(rows: Iterable[Any]) -> dict[int, Rows]:
    groups: dict[int, Rows] = defaultdict(list)
    for row in rows:
        groups[row.relation].append(row)
    return groups

"""Make tables and views, and what belongs to them, of what the catalogs have said."""

from __future__ import annotations

from typing import Any

from .context import Context, from_json
from .snapshot import (
    Column,
    Constraint,
    Identity,
    Index,
    Key,
    Policy,
    Rule,
    Statistics,
    Table,
    Trigger,
    View,
)

_STATISTICS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}


def table_of(context: Context, row: Any) -> Table:
    """Return a table or a partitioned table."""
    return Table(
        **_relation(context, row, "table"),
        constraints=_each(context, constraint_of, "constraints", row),
        policies=_each(context, _policy, "policies", row),
        of_type=row.of_type,
        parents=tuple(row.parents),
        partition_key=context.text(row.partition_key, f"table {row.name!r}"),
        partition_bound=context.text(row.partition_bound, f"table {row.name!r}"),
        is_unlogged=row.is_unlogged,
        replica_identity=row.replica_identity,
        row_security=row.row_security,
        forces_row_security=row.forces_row_security,
    )


def view_of(context: Context, row: Any) -> View:
    """Return a view or a materialised view."""
    definition = row.definition.strip().rstrip(";")
    return View(
        **_relation(context, row, "view"),
        definition=context.text(definition, f"view {row.name!r}"),
        is_materialised=row.kind == "m",
        is_populated=row.is_populated,
    )


def _relation(context: Context, row: Any, kind: str) -> dict[str, Any]:
    """Return what tables and views have in common."""
    for catalog, oid in (
        ("pg_class", row.oid),
        ("pg_type", row.type),
        ("pg_type", row.array_type),
    ):
        context.know(catalog, oid, (kind, row.name))
    # What a view selects is a rule.
    for rule in context.answers.of_relation("selects", row.oid):
        context.know("pg_rewrite", rule.oid, (kind, row.name))
    column_rights = [
        grant
        for each in context.answers.of_relation("columns", row.oid)
        for grant in context.grants(each.rights, each.name)
    ]
    return {
        "name": row.name,
        "comment": row.comment,
        "grants": (*context.grants(row.rights), *column_rights),
        "columns": columns_of(context, row.oid, row.name),
        "options": tuple(row.options),
        "toast_options": tuple(row.toast_options),
        "access_method": row.access_method,
        "tablespace": row.tablespace,
        "indexes": _each(context, _index, "indexes", row),
        "triggers": _each(context, _trigger, "triggers", row),
        "rules": _each(context, _rule, "rules", row),
    }


def columns_of(context: Context, relation: int, name: str) -> tuple[Column, ...]:
    """Return the columns of a table, a view or a composite type."""
    rows = context.answers.of_relation("columns", relation)
    order = context.answers.inherited_order(relation)
    if order != [row.name for row in rows]:
        context.own.doubt(
            f"table {name!r}",
            "Its parent's columns are not its first; a copy's are, as with pg_dump.",
        )
    places = {each: place for place, each in enumerate(order)}
    return tuple(
        _column(context, row, name) for row in sorted(rows, key=lambda row: places[row.name])
    )


def _column(context: Context, row: Any, relation: str) -> Column:
    if row.default_oid:
        context.know("pg_attrdef", row.default_oid, ("default", relation, row.name))
    sequence = context.identities.get((row.relation, row.number))
    identity = (
        Identity(always=row.identity == "a", sequence=sequence)
        if row.identity and sequence
        else None
    )
    return Column(
        name=row.name,
        type=row.type,
        collation=row.collation,
        default=context.text(row.default, f"column {row.name!r} of {relation!r}"),
        generated=row.generated,
        identity=identity,
        not_null=row.not_null and (row.relation, row.name) not in context.answers.named_not_null,
        storage=row.storage,
        compression=row.compression,
        statistics=row.statistics,
        options=tuple(row.options),
        is_local=row.is_local,
        comment=row.comment,
    )


def constraint_of(context: Context, row: Any, table: str, key: Key | None = None) -> Constraint:
    """Return a constraint of a table, or of the domain with this key."""
    where = f"constraint {row.name!r} of {table!r}"
    constraint = Constraint(
        name=row.name,
        comment=row.comment,
        table=table,
        type=row.type,
        definition=context.text(row.definition, where),
        column=row.column,
        is_local=row.is_local,
        is_validated=row.is_validated,
        is_validated_apart=row.is_validated_apart,
        refers_outside=bool(row.refers_outside),
    )
    context.know("pg_constraint", row.oid, key or constraint.key)
    return constraint


def _index(context: Context, row: Any, table: str) -> Index:
    definition = context.own.without_own(row.definition, "ON", "ONLY")
    index = Index(
        name=row.name,
        comment=row.comment,
        table=table,
        definition=context.text(definition, f"index {row.name!r}"),
        constraint=row.constraint,
        parent=row.parent,
        is_clustered=row.is_clustered,
        is_replica_identity=row.is_replica_identity,
        statistics=tuple((number, target) for number, target in from_json(row.statistics)),
        tablespace=row.tablespace,
    )
    if not (row.is_valid or row.is_partitioned):
        context.own.doubt(
            f"index {row.name!r}", "It is invalid, as CONCURRENTLY leaves it; a copy's is not."
        )
    key = index.key if row.constraint is None else ("constraint", table, row.constraint)
    context.know("pg_class", row.oid, key)
    return index


def _trigger(context: Context, row: Any, table: str) -> Trigger:
    definition = context.own.without_own(row.definition, "ON")
    trigger = Trigger(
        name=row.name,
        comment=row.comment,
        table=table,
        definition=context.text(definition, f"trigger {row.name!r} of {table!r}"),
        enabled=row.enabled,
        is_inherited=row.is_inherited,
    )
    context.know("pg_trigger", row.oid, trigger.key)
    return trigger


def _rule(context: Context, row: Any, table: str) -> Rule:
    definition = context.own.without_own(row.definition, "TO").rstrip(";")
    rule = Rule(
        name=row.name,
        comment=row.comment,
        table=table,
        definition=context.text(definition, f"rule {row.name!r} of {table!r}"),
        enabled=row.enabled,
    )
    context.know("pg_rewrite", row.oid, rule.key)
    return rule


def _policy(context: Context, row: Any, table: str) -> Policy:
    where = f"policy {row.name!r} of {table!r}"
    policy = Policy(
        name=row.name,
        comment=row.comment,
        table=table,
        command=row.command,
        is_permissive=row.is_permissive,
        roles=tuple(map(context.grantee, row.roles)),
        using=context.text(row.using, where),
        check=context.text(row.check, where),
    )
    context.know("pg_policy", row.oid, policy.key)
    return policy


def statistics_of(context: Context, row: Any) -> Statistics:
    """Return an object of extended statistics."""
    context.know("pg_statistic_ext", row.oid, ("statistics", row.name))
    return Statistics(
        name=row.name,
        comment=row.comment,
        table=row.table,
        kinds=tuple(_STATISTICS[each] for each in row.kinds if each in _STATISTICS),
        columns=context.text(row.columns, f"statistics {row.name!r}"),
        target=row.target,
    )


def _each(context: Context, make: Any, kind: str, relation: Any) -> tuple[Any, ...]:
    rows = context.answers.of_relation(kind, relation.oid)
    return tuple(make(context, row, relation.name) for row in rows)

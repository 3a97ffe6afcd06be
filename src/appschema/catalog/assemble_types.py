"""Make types, collations, functions and sequences of what the catalogs have said."""

from __future__ import annotations

from typing import Any

from appschema.exceptions import UnsupportedObject
from appschema.names import quote_identifier

from .assemble_tables import columns_of, constraint_of
from .canonical import canonical
from .context import Context
from .snapshot import Collation, Composite, Domain, Enum, Range, Routine, Sequence

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_CODE = frozenset({"sql", "plpgsql"})
_WITHOUT_TEXT = frozenset({"c", "internal"})


def collation_of(context: Context, row: Any) -> Collation:
    """Return a collation."""
    context.know("pg_collation", row.oid, ("collation", row.name))
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


def type_of(context: Context, row: Any) -> Enum | Domain | Composite | Range:
    """Return a type that is not a table's, an array's or a multirange's."""
    key = ("type", row.name)
    for oid in (row.oid, row.array_type, row.multirange):
        context.know("pg_type", oid, key)
    common = {"name": row.name, "comment": row.comment, "grants": context.grants(row.rights)}
    if row.type == "e":
        return Enum(labels=tuple(row.labels), **common)
    if row.type == "c":
        context.know("pg_class", row.relation, key)
        return Composite(columns=columns_of(context, row.relation, row.name), **common)
    if row.type == "r":
        return Range(options=_range_options(row), **common)
    where = f"type {row.name!r}"
    constraints = [
        constraint_of(context, each, row.name, key)
        for each in context.answers.constraints
        if each.type_oid == row.oid
    ]
    return Domain(
        base=row.base,
        collation=row.collation,
        default=context.text(row.default, where),
        not_null=row.not_null,
        constraints=tuple(constraints),
        **common,
    )


def _range_options(row: Any) -> tuple[str, ...]:
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


def routine_of(context: Context, row: Any) -> Routine:
    """Return a function or a procedure."""
    context.know("pg_proc", row.oid, ("routine", row.name))
    word = "PROCEDURE" if row.kind == "p" else "FUNCTION"
    where = f"{word.lower()} {row.name}"
    definition = context.own.without_own(row.definition.rstrip("\n"), word)
    if row.is_parsed or row.language in _WITHOUT_TEXT:
        definition = canonical(context.own.in_deparsed(definition, where))
    elif row.language in _CODE:
        definition = context.own.in_code(definition, where)
    elif context.own.may_be_in(definition):
        context.own.doubt(where, f"Its language is {row.language}, which is not read here.")
    return Routine(
        name=row.name,
        word=word,
        definition=definition,
        comment=row.comment,
        grants=context.grants(row.rights),
    )


def sequences_of(context: Context) -> list[Sequence]:
    """Return the sequences; those of identity columns are put into the context instead."""
    relations = {row.oid: row for row in context.answers.relations}
    plain = []
    for row in context.answers.sequences:
        relation = relations[row.oid]
        table = context.answers.names.get(row.relation)
        column = next(
            (
                each.name
                for each in context.answers.of_relation("columns", row.relation)
                if each.number == row.number
            ),
            None,
        )
        is_owned = table is not None and column is not None and not row.is_identity
        sequence = Sequence(
            name=relation.name,
            comment=relation.comment,
            grants=context.grants(relation.rights),
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
            context.identities[row.relation, row.number] = sequence
            context.know("pg_class", row.oid, ("table", table or ""))
        else:
            context.know("pg_class", row.oid, sequence.key)
            plain.append(sequence)
    return plain

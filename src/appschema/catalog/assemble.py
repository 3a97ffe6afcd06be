"""Make a snapshot of what the catalogs have said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appschema.exceptions import UnsupportedObject

from .answers import Answers
from .assemble_tables import statistics_of, table_of, view_of
from .assemble_types import collation_of, routine_of, sequences_of, type_of
from .context import Context
from .members import Members, refuse
from .order import describe_key
from .snapshot import DefaultPrivilege, Key, SchemaSnapshot

_OBJECTS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}


def assemble(schema_name: str, own_role: str, members: Members, answers: Answers) -> SchemaSnapshot:
    """Return the snapshot. Raises ``UnsupportedObject`` for what it could not hold."""
    _refuse_unknown(schema_name, answers)
    context = Context(schema_name, own_role, answers)
    objects = _objects(context)
    needs = frozenset(_needs(context))
    for publication in members.publications:
        context.own.doubt("the schema", f"It belongs to the {publication}; a copy does not.")
    for publication in answers.schema.publications:
        text = f"Some of them belong to the publication {publication}; a copy's do not."
        context.own.doubt("the tables", text)
    return SchemaSnapshot(
        name=schema_name,
        comment=answers.schema.comment,
        grants=context.grants(answers.schema.rights),
        default_privileges=tuple(_default_privileges(context)),
        **{kind: tuple(sorted(each, key=lambda one: one.name)) for kind, each in objects.items()},
        needs=needs,
        doubts=tuple(context.own.doubts),
    )


def _objects(context: Context) -> dict[str, list[Any]]:
    answers = context.answers
    tables = [row for row in answers.relations if row.kind in "rp"]
    views = [row for row in answers.relations if row.kind in "vm"]
    return {
        # First: identity columns look for their sequences.
        "sequences": sequences_of(context),
        "collations": [collation_of(context, row) for row in answers.collations],
        "types": [type_of(context, row) for row in answers.types if row.type != "m"],
        "routines": [routine_of(context, row) for row in answers.routines],
        "tables": [table_of(context, row) for row in tables],
        "views": [view_of(context, row) for row in views],
        "statistics": [statistics_of(context, row) for row in answers.statistics],
    }


def _refuse_unknown(schema_name: str, answers: Answers) -> None:
    unknown = [f"foreign table {row.name}" for row in answers.relations if row.kind == "f"]
    unknown += [
        f"base type {row.name}" for row in answers.types if row.type in "bp" or not row.is_defined
    ]
    unknown += [f"aggregate {row.name}" for row in answers.routines if row.kind == "a"]
    unknown += [f"security label of {described}" for described in answers.schema.labelled]
    refuse(schema_name, unknown)


def _default_privileges(context: Context) -> Iterator[DefaultPrivilege]:
    for row in context.answers.default_privileges:
        for grant in context.grants(row.rights):
            yield DefaultPrivilege(_OBJECTS[row.objects], row.role, grant)


def _needs(context: Context) -> Iterator[tuple[Key, Key]]:
    """Yield what must be there before what, of what has a key."""
    inside = _made_inside(context)
    sequences = {row.oid for row in context.answers.sequences}
    for row in context.answers.dependencies:
        one = context.keys.get((row.catalog, row.oid))
        other = context.keys.get((row.ref_catalog, row.ref_oid))
        if row.type == "x":
            _refuse_of_extension(context, one)
        # A sequence is dropped with its column, and made before it.
        if one is None or other is None or (row.catalog == "pg_class" and row.oid in sequences):
            continue
        one = inside.get(one, one)
        if one != other:
            yield one, other


def _made_inside(context: Context) -> dict[Key, Key]:
    """Return the defaults that CREATE TABLE must hold, and the tables: a generated column's."""
    answers = context.answers
    return {
        ("default", answers.names[row.relation], row.name): ("table", answers.names[row.relation])
        for row in answers.columns
        if row.generated and row.relation in answers.names
    }


def _refuse_of_extension(context: Context, key: Key | None) -> None:
    what = "an object" if key is None else describe_key(key)
    raise UnsupportedObject(
        f"The schema {context.schema_name!r} holds what depends on an extension: {what}. Run"
        " 'ALTER ... NO DEPENDS ON EXTENSION' for it.",
        (what,),
    )

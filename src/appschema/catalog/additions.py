"""What is said of objects once they are there: settings, comments and rights."""

from __future__ import annotations

from collections.abc import Iterator

from appschema.names import quote_identifier as quoted
from appschema.names import quote_literal

from . import ddl
from .rights import default_rights, rights_on
from .slots import SCHEMA
from .snapshot import Domain, SchemaSnapshot, Table, View


def settings_of(snapshot: SchemaSnapshot) -> Iterator[str]:
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


def comments_of(snapshot: SchemaSnapshot) -> Iterator[str]:
    for target, comment in _commented(snapshot):
        if comment is not None:
            yield f"COMMENT ON {target} IS {quote_literal(comment)}"


def _commented(snapshot: SchemaSnapshot) -> Iterator[tuple[str, str | None]]:
    yield f"SCHEMA {SCHEMA}", snapshot.comment
    for collation in snapshot.collations:
        yield f"COLLATION {quoted(collation.name)}", collation.comment
    for each in snapshot.types:
        is_domain = isinstance(each, Domain)
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
    for sequence in snapshot.all_sequences():
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


def rights_of(snapshot: SchemaSnapshot) -> Iterator[str]:
    yield from rights_on(f"SCHEMA {SCHEMA}", snapshot.grants)
    for each in snapshot.types:
        yield from rights_on(f"TYPE {quoted(each.name)}", each.grants)
    for routine in snapshot.routines:
        yield from rights_on(f"{routine.word} {routine.name}", routine.grants)
    for sequence in snapshot.all_sequences():
        yield from rights_on(f"SEQUENCE {quoted(sequence.name)}", sequence.grants)
    for relation in snapshot.relations:
        yield from rights_on(f"TABLE {quoted(relation.name)}", relation.grants)
    yield from default_rights(SCHEMA, snapshot.default_privileges)


def _word_of(relation: Table | View) -> str:
    if isinstance(relation, Table):
        return "TABLE"
    return "MATERIALIZED VIEW" if relation.is_materialised else "VIEW"

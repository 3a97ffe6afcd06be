"""What must be made anew when a schema is renamed: texts that hold its name.

``ALTER SCHEMA ... RENAME`` takes everything with it that PostgreSQL keeps by oid, and leaves the
bodies of functions, their SET search_path, and strings such as ``nextval('acme.s'::text)``.
"""

from __future__ import annotations

from collections.abc import Iterator

from appschema.exceptions import UnsupportedObject
from appschema.names import quote_identifier as quoted
from appschema.names import quote_literal

from . import ddl
from .order import describe_key
from .script import Script
from .slots import NAME, SCHEMA
from .snapshot import Domain, Policy, SchemaObject, SchemaSnapshot, Table, Trigger, View


def functions_naming_schema(snapshot: SchemaSnapshot) -> Script:
    """Return the SQL that makes functions, and all else whose text names the schema, name another.

    To be sent after ``ALTER SCHEMA ... RENAME``, in the same transaction, rendered for the new
    name; ``snapshot`` was read under any name. Functions keep their owner and rights. The
    script is empty if nothing names the schema. Raises ``UnsupportedObject`` for objects that
    cannot be replaced where they are (materialised views, indexes, domains' constraints).
    """
    return Script(structure=tuple(_replacements(snapshot)))


def _replacements(snapshot: SchemaSnapshot) -> Iterator[str]:
    for routine in snapshot.routines:
        if _names_schema(routine.definition):
            yield routine.definition
    for each in snapshot.types:
        if isinstance(each, Domain):
            if _names_schema(each.default):
                yield f"ALTER DOMAIN {quoted(each.name)} SET DEFAULT {each.default}"
            _refuse_any(each.constraints)
    for relation in snapshot.relations:
        yield from _of_relation(relation)
    _refuse_any(snapshot.statistics)


def _of_relation(relation: Table | View) -> Iterator[str]:
    kind = "TABLE ONLY" if isinstance(relation, Table) else "VIEW"
    for column in relation.columns:
        if column.default is None or not _names_schema(column.default):
            continue
        if column.generated:
            _refuse(f"column {column.name!r} of {relation.name!r}")
        yield (
            f"ALTER {kind} {quoted(relation.name)} ALTER COLUMN {quoted(column.name)}"
            f" SET DEFAULT {column.default}"
        )
    _refuse_any(relation.indexes)
    for trigger in relation.triggers:
        if _names_schema(trigger.definition) and not trigger.is_inherited:
            yield from _trigger(trigger)
    for rule in relation.rules:
        if _names_schema(rule.definition):
            yield rule.definition.replace("CREATE RULE", "CREATE OR REPLACE RULE", 1)
    if isinstance(relation, View):
        if _names_schema(relation.definition):
            if relation.is_materialised:
                _refuse(describe_key(relation.key))
            yield ddl.create_view(relation).replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)
        return
    for constraint in relation.constraints:
        if _names_schema(constraint.definition):
            yield f"ALTER TABLE {quoted(relation.name)} DROP CONSTRAINT {quoted(constraint.name)}"
            yield f"ALTER TABLE {quoted(relation.name)} ADD {ddl.named(constraint)}"
    for policy in relation.policies:
        if _names_schema(policy.using) or _names_schema(policy.check):
            yield _policy(policy)


def _trigger(trigger: Trigger) -> Iterator[str]:
    # CREATE OR REPLACE is refused for constraint triggers.
    yield f"DROP TRIGGER {quoted(trigger.name)} ON {quoted(trigger.table)}"
    yield trigger.definition
    if trigger.enabled != "O":
        yield ddl.enable(trigger.table, "TRIGGER", trigger.name, trigger.enabled)
    if trigger.comment is not None:
        on = f"{quoted(trigger.name)} ON {quoted(trigger.table)}"
        yield f"COMMENT ON TRIGGER {on} IS {quote_literal(trigger.comment)}"


def _policy(policy: Policy) -> str:
    using = f" USING ({policy.using})" if policy.using is not None else ""
    check = f" WITH CHECK ({policy.check})" if policy.check is not None else ""
    return f"ALTER POLICY {quoted(policy.name)} ON {quoted(policy.table)}{using}{check}"


def _names_schema(text: str | None) -> bool:
    return text is not None and (SCHEMA in text or NAME in text)


def _refuse_any(objects: tuple[SchemaObject, ...]) -> None:
    for each in objects:
        if _names_schema(getattr(each, "definition", None) or getattr(each, "columns", None)):
            _refuse(describe_key(each.key))


def _refuse(what: str) -> None:
    raise UnsupportedObject(
        f"The {what} holds the schema's name in a string, and cannot be replaced when the schema is"
        " renamed. Write it without the name.",
        (what,),
    )

"""The SQL of one object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appschema.names import quote_identifier as quoted
from appschema.names import quote_literal

from .snapshot import (
    Collation,
    Column,
    Composite,
    Constraint,
    Domain,
    Enum,
    Index,
    Policy,
    Range,
    Sequence,
    Statistics,
    Table,
    View,
)

_ENABLE = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS", "O": "ENABLE"}


def create_collation(collation: Collation) -> str:
    options = {
        "provider": collation.provider,
        "locale": collation.locale and quote_literal(collation.locale),
        "lc_collate": collation.lc_collate and quote_literal(collation.lc_collate),
        "lc_ctype": collation.lc_ctype and quote_literal(collation.lc_ctype),
        "rules": collation.rules and quote_literal(collation.rules),
        "deterministic": None if collation.is_deterministic else "false",
    }
    listed = ", ".join(f"{name} = {value}" for name, value in options.items() if value)
    return f"CREATE COLLATION {quoted(collation.name)} ({listed})"


def create_type(each: Enum | Domain | Composite | Range) -> str:
    name = quoted(each.name)
    if isinstance(each, Enum):
        return f"CREATE TYPE {name} AS ENUM ({', '.join(map(quote_literal, each.labels))})"
    if isinstance(each, Range):
        return f"CREATE TYPE {name} AS RANGE ({', '.join(each.options)})"
    if isinstance(each, Composite):
        columns = (f"{quoted(c.name)} {c.type}{_collate(c.collation)}" for c in each.columns)
        return f"CREATE TYPE {name} AS ({', '.join(columns)})"
    return " ".join(
        [
            f"CREATE DOMAIN {name} AS {each.base}{_collate(each.collation)}",
            *([f"DEFAULT {each.default}"] if each.default else []),
            *_not_null_of_domain(each),
            *(named(c) for c in each.constraints if c.is_validated and c.type == "c"),
        ]
    )


def _not_null_of_domain(domain: Domain) -> Iterator[str]:
    """Since PostgreSQL 17 NOT NULL of a domain has a name."""
    if domain.not_null:
        names = [quoted(each.name) for each in domain.constraints if each.type == "n"]
        yield f"CONSTRAINT {names[0]} NOT NULL" if names else "NOT NULL"


def named(constraint: Constraint) -> str:
    """Return a constraint as CREATE TABLE and ADD take it."""
    return f"CONSTRAINT {quoted(constraint.name)} {constraint.definition}"


def create_sequence(sequence: Sequence) -> str:
    unlogged = "UNLOGGED " if sequence.is_unlogged else ""
    return f"CREATE {unlogged}SEQUENCE {quoted(sequence.name)} AS {sequence.type} {_counting(sequence)}"


def _counting(sequence: Sequence) -> str:
    return (
        f"START WITH {sequence.start} INCREMENT BY {sequence.increment}"
        f" MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum}"
        f" CACHE {sequence.cache}{' CYCLE' if sequence.cycles else ''}"
    )


def create_table(table: Table, defaults: Iterable[str], constraints: Iterable[Constraint]) -> str:
    """Return CREATE TABLE with the defaults of these columns, and these constraints."""
    with_default = set(defaults)
    columns = [
        column_of(column, column.name in with_default)
        for column in table.columns
        if table.lists(column)
    ]
    inside = ", ".join([*columns, *map(named, constraints)])
    of_type = f" OF {table.of_type}" if table.of_type else ""
    return "".join(
        [
            f"CREATE {'UNLOGGED ' if table.is_unlogged else ''}TABLE {quoted(table.name)}{of_type}",
            f" ({inside})" if inside or not of_type else "",
            f" INHERITS ({', '.join(table.parents)})"
            if table.parents and not table.partition_bound
            else "",
            f" PARTITION BY {table.partition_key}" if table.partition_key else "",
            _stored(table),
        ]
    )


def _stored(relation: Table | View) -> str:
    """Return how and where a table or a materialised view is kept."""
    options = [
        *map(option, relation.options),
        *(f"toast.{option(each)}" for each in relation.toast_options),
    ]
    return "".join(
        [
            f" USING {relation.access_method}" if relation.access_method else "",
            f" WITH ({', '.join(options)})" if options else "",
            f" TABLESPACE {relation.tablespace}" if relation.tablespace else "",
        ]
    )


def option(text: str) -> str:
    """Return an option of pg_class, ``fillfactor=70``, as SQL takes it."""
    name, _, value = text.partition("=")
    return f"{quoted(name)}={quote_literal(value)}"


def column_of(column: Column, with_default: bool) -> str:
    """Return a column as CREATE TABLE takes it; NOT NULL with a name is a constraint."""
    parts = [f"{quoted(column.name)} {column.type}"]
    if column.compression:
        parts.append(f"COMPRESSION {column.compression}")
    parts.append(_collate(column.collation).strip())
    if column.generated:
        parts.append(f"GENERATED ALWAYS AS ({column.default}) {column.generated}")
    elif column.identity:
        sequence = column.identity.sequence
        kind = "ALWAYS" if column.identity.always else "BY DEFAULT"
        parts.append(
            f"GENERATED {kind} AS IDENTITY (SEQUENCE NAME {quoted(sequence.name)} {_counting(sequence)})"
        )
    elif with_default:
        parts.append(f"DEFAULT {column.default}")
    if column.not_null:
        parts.append("NOT NULL")
    return " ".join(filter(None, parts))


def _collate(collation: str | None) -> str:
    return f" COLLATE {collation}" if collation else ""


def create_view(view: View) -> str:
    columns = ", ".join(quoted(column.name) for column in view.columns)
    kind = "MATERIALIZED VIEW" if view.is_materialised else "VIEW"
    end = ""
    if view.is_materialised:
        end = " WITH DATA" if view.is_populated else " WITH NO DATA"
    listed = f" ({columns})" if columns else ""
    return f"CREATE {kind} {quoted(view.name)}{listed}{_stored(view)} AS {view.definition}{end}"


def create_policy(policy: Policy) -> str:
    parts = [
        f"CREATE POLICY {quoted(policy.name)} ON {quoted(policy.table)}",
        f"AS {'PERMISSIVE' if policy.is_permissive else 'RESTRICTIVE'}",
        f"FOR {policy.command} TO {', '.join(policy.roles)}",
        *([f"USING ({policy.using})"] if policy.using is not None else []),
        *([f"WITH CHECK ({policy.check})"] if policy.check is not None else []),
    ]
    return " ".join(parts)


def create_statistics(statistics: Statistics) -> Iterator[str]:
    name = quoted(statistics.name)
    # Of one expression there is only one kind, which cannot be named.
    kinds = f" ({', '.join(statistics.kinds)})" if statistics.kinds else ""
    yield f"CREATE STATISTICS {name}{kinds} ON {statistics.columns} FROM {statistics.table}"
    if statistics.target is not None:
        yield f"ALTER STATISTICS {name} SET STATISTICS {statistics.target}"


def column_settings(relation: Table | View, column: Column) -> Iterator[str]:
    """Yield what is said of a column apart from what CREATE says."""
    kind = "TABLE ONLY" if isinstance(relation, Table) else "MATERIALIZED VIEW"
    start = f"ALTER {kind} {quoted(relation.name)} ALTER COLUMN {quoted(column.name)}"
    if column.storage:
        yield f"{start} SET STORAGE {column.storage}"
    if column.compression and not isinstance(relation, Table):
        yield f"{start} SET COMPRESSION {column.compression}"
    if column.statistics is not None:
        yield f"{start} SET STATISTICS {column.statistics}"
    if column.options:
        yield f"{start} SET ({', '.join(map(option, column.options))})"


def index_settings(index: Index, kind: str) -> Iterator[str]:
    """Yield what is said of an index apart from its definition."""
    name = quoted(index.name)
    if index.tablespace:
        yield f"ALTER INDEX {name} SET TABLESPACE {index.tablespace}"
    for number, target in index.statistics:
        yield f"ALTER INDEX {name} ALTER COLUMN {number} SET STATISTICS {target}"
    if index.is_clustered:
        yield f"ALTER {kind} {quoted(index.table)} CLUSTER ON {name}"
    if index.is_replica_identity:
        yield f"ALTER TABLE ONLY {quoted(index.table)} REPLICA IDENTITY USING INDEX {name}"


def enable(table: str, kind: str, name: str, enabled: str) -> str:
    """Return what enables a trigger or a rule otherwise than plainly."""
    return f"ALTER TABLE ONLY {quoted(table)} {_ENABLE[enabled]} {kind} {quoted(name)}"

"""Schemas at random: statements of every kind that the catalog knows, in the order of a seed.

A statement that PostgreSQL refuses, because two things do not go together, is passed over. Names
are odd on purpose, and the schema's own stands in the texts of functions and defaults.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import psycopg

SOURCE = "source"
_WORDS = ["note", "Note", "a b", "é", "select", "x.y", 'q"q', "%s", "source_1", "it's", "user"]
_TYPES = [
    "int", "bigint", "smallint", "text", "varchar(20)", "char(3)", "numeric(8,2)", "boolean", "date",
    "timestamptz", "interval", "jsonb", "uuid", "int4range", "int[]", "text[]", "bytea", "inet", "tsvector",
]  # fmt: skip
_DEFAULTS = {
    "int": ["1", "length('x')", "-5"],
    "text": ["'t'", "upper('x')", "'source'", "current_user", "E'\\\\n'''"],
    "varchar(20)": ["'v'", "('a' || 'b')"],
    "date": ["CURRENT_DATE", "'2024-02-29'"],
    "timestamptz": ["now()", "'2024-02-29 12:00+05'"],
    "interval": ["'1 mon -3 days 04:05'"],
    "boolean": ["true"],
    "jsonb": ["'{}'"],
    "uuid": ["gen_random_uuid()"],
    "int[]": ["ARRAY[1,2]", "'{}'"],
    "numeric(8,2)": ["1.5"],
}


class Generator:
    """Makes the schema ``source`` in a database, statement by statement."""

    def __init__(self, connection: psycopg.Connection, seed: int) -> None:
        self.random = random.Random(seed)
        self.connection = connection
        self.version = connection.info.server_version // 10_000
        self.made: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tables: dict[str, list[tuple[str, str]]] = {}
        self.types: list[str] = []
        self.functions: list[str] = []
        self.number = 0

    def make(self, statements: int) -> None:
        """Make the schema of about so many statements, and commit."""
        self.connection.execute("CREATE SCHEMA source")
        self.connection.execute("CREATE TABLE IF NOT EXISTS public.shared (id int PRIMARY KEY)")
        self.connection.execute("SET LOCAL search_path TO source, public")
        kinds: list[Callable[[], None]] = [
            *[self.table] * 6, *[self.column] * 4, *[self.index] * 5, *[self.constraint] * 5,
            *[self.foreign_key] * 4, *[self.rename] * 3, self.enum, self.domain, self.composite,
            self.sequence, *[self.function] * 2, *[self.trigger] * 2, *[self.view] * 2, self.partitioned,
            self.child, self.statistics, self.policy, *[self.comment] * 2, *[self.grant] * 2, *[self.rows] * 4,
            self.settings, self.drop_column, self.rule, self.range,
        ]  # fmt: skip
        for kind in (self.enum, self.table, self.table, self.function):
            kind()
        while self.made.total() < statements and self.refused.total() < 10 * statements:
            self.random.choice(kinds)()
        self.connection.commit()

    def run(self, kind: str, statement: str) -> bool:
        """Send a statement; tell whether PostgreSQL took it."""
        try:
            with self.connection.transaction():
                self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                self.connection.execute(statement)
        except psycopg.Error:
            self.refused[kind] += 1
            return False
        self.made[kind] += 1
        return True

    # -- Choices

    def new_name(self) -> str:
        self.number += 1
        return f"{self.random.choice(_WORDS)}_{self.number}"

    def maybe(self, text: str, chance: float = 0.3) -> str:
        return text if self.random.random() < chance else ""

    def a_table(self) -> str:
        return self.random.choice(list(self.tables))

    def a_column(self, table: str, *types: str) -> str:
        names = [name for name, kind in self.tables[table] if not types or kind in types]
        return quoted(self.random.choice(names or [self.tables[table][0][0]]))

    def a_type(self) -> str:
        return self.random.choice([*_TYPES, *map(quoted, self.types)])

    def a_check(self, table: str) -> str:
        text, number = (
            self.a_column(table, "varchar(20)", "text"),
            self.a_column(table, "int", "bigint"),
        )
        return self.random.choice(
            [
                f"{text} IN ('a', 'b', 'source')", f"{number} BETWEEN 1 AND 10", f"{number} IS NOT NULL",
                f"NOT ({number} = 1 OR {text} LIKE 'a%')", f"{text} = ANY (ARRAY['x', 'y']::text[])",
                f"coalesce({number}, -1) > -2", f"length({text}::text) < 100",
                *([f"{self.random.choice(self.functions)}({number}::int) > 0"] if self.functions else []),
            ]
        )  # fmt: skip

    # -- Statements

    def definition(self) -> tuple[str, str, str]:
        """Return a column's name, type and definition."""
        name, kind = self.new_name(), self.a_type()
        parts = [quoted(name), kind]
        if kind in {"text", "varchar(20)"}:
            parts.append(self.maybe('COLLATE "C"', 0.2))
        choice = self.random.random()
        if kind in {"int", "bigint", "smallint"} and choice < 0.3:
            always = self.random.choice(["ALWAYS", "BY DEFAULT"])
            options = self.maybe("(START 7 INCREMENT 2 CACHE 3)")
            parts.append(f"GENERATED {always} AS IDENTITY {options}")
        elif kind == "int" and choice < 0.5:
            parts[1] = "serial"
        elif kind in _DEFAULTS and choice < 0.7:
            parts.append(f"DEFAULT {self.random.choice(_DEFAULTS[kind])}")
        parts.append(self.maybe("NOT NULL", 0.2))
        return name, kind, " ".join(filter(None, parts))

    def table(self) -> None:
        columns = [self.definition() for _ in range(self.random.randint(1, 6))]
        name = self.new_name()
        key = self.maybe(f"CONSTRAINT {quoted(self.new_name())} ") + "PRIMARY KEY (id)"
        identity = self.random.choice(["serial", "bigint GENERATED BY DEFAULT AS IDENTITY"])
        unlogged = self.maybe("UNLOGGED ", 0.1)
        options = self.maybe(" WITH (fillfactor=80, toast.autovacuum_enabled=false)", 0.1)
        inside = ", ".join([f"id {identity}", *(each for _, _, each in columns), key])
        if self.run("table", f"CREATE {unlogged}TABLE {quoted(name)} ({inside}){options}"):
            self.tables[name] = [("id", "int"), *((each, kind) for each, kind, _ in columns)]

    def column(self) -> None:
        table = self.a_table()
        name, kind, definition = self.definition()
        if self.random.random() < 0.3:
            name, kind = self.new_name(), "text"
            virtual = self.random.choice(["STORED", *(["VIRTUAL"] if self.version >= 18 else [])])
            source = self.a_column(table, "int", "bigint")
            definition = (
                f"{quoted(name)} text GENERATED ALWAYS AS (md5(({source})::text)) {virtual}"
            )
        if self.run("column", f"ALTER TABLE {quoted(table)} ADD {definition}"):
            self.tables[table].append((name, kind))

    def drop_column(self) -> None:
        table = self.a_table()
        if len(self.tables[table]) < 3:
            return
        name, kind = self.random.choice(self.tables[table][1:])
        if self.run("drop column", f"ALTER TABLE {quoted(table)} DROP {quoted(name)}"):
            self.tables[table].remove((name, kind))

    def index(self) -> None:
        table = self.a_table()
        column, text = self.a_column(table), self.a_column(table, "text")
        method, what = self.random.choice(
            [
                ("btree", f"{column} DESC NULLS LAST"), ("btree", f"{column}, {text}"),
                ("btree", f"lower({text}) text_pattern_ops"), ("btree", f'{text} COLLATE "POSIX"'),
                ("hash", column), ("brin", f"{column}"),
                ("gin", self.a_column(table, "jsonb", "int[]", "text[]", "tsvector")),
                ("gin", f"{self.a_column(table, 'jsonb')} jsonb_path_ops"),
                ("gist", self.a_column(table, "int4range", "tsvector")),
                *([("btree", f"{self.random.choice(self.functions)}(id::int)")] if self.functions else []),
            ]
        )  # fmt: skip
        include = self.maybe(f" INCLUDE ({self.a_column(table)})", 0.2) if method == "btree" else ""
        options = {"gin": "fastupdate=off", "brin": "pages_per_range=8"}.get(
            method, "fillfactor=60"
        )
        where = self.maybe(f" WHERE {self.a_check(table)}")
        unique = self.maybe("UNIQUE ", 0.2)
        self.run(
            "index",
            f"CREATE {unique}INDEX {quoted(self.new_name())} ON {quoted(table)} USING {method} ({what})"
            f"{include}{self.maybe(f' WITH ({options})')}{where}",
        )

    def constraint(self) -> None:
        table = self.a_table()
        column, other = self.a_column(table), self.a_column(table)
        nulls = self.maybe("NULLS NOT DISTINCT ")
        defer = self.maybe(" DEFERRABLE INITIALLY DEFERRED")
        span = self.a_column(table, "int4range")
        body = self.random.choice(
            [
                f"CHECK ({self.a_check(table)}){self.maybe(' NOT VALID')}",
                f"UNIQUE {nulls}({column}, {other}){defer}",
                f"UNIQUE ({column}) INCLUDE ({other})",
                f"EXCLUDE USING gist ({span} WITH &&) WHERE ({span} IS NOT NULL){defer}",
            ]
        )
        name = self.maybe(f"CONSTRAINT {quoted(self.new_name())} ", 0.7)
        self.run("constraint", f"ALTER TABLE {quoted(table)} ADD {name}{body}")

    def foreign_key(self) -> None:
        table, target = self.a_table(), self.a_table()
        where = self.random.choice([quoted(target), quoted(target), "public.shared"])
        act = self.random.choice(
            ["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE"]
        )
        ends = self.maybe(" DEFERRABLE INITIALLY DEFERRED", 0.5) + self.maybe(" NOT VALID", 0.2)
        self.run(
            "foreign key",
            f"ALTER TABLE {quoted(table)} ADD CONSTRAINT {quoted(self.new_name())}"
            f" FOREIGN KEY ({self.a_column(table, 'int', 'bigint')}) REFERENCES {where} (id){act}{ends}",
        )

    def rename(self) -> None:
        table = self.a_table()
        new = self.new_name()
        if self.random.random() < 0.5:
            if self.run("rename", f"ALTER TABLE {quoted(table)} RENAME TO {quoted(new)}"):
                self.tables[new] = self.tables.pop(table)
            return
        at = self.random.randrange(len(self.tables[table]))
        name, kind = self.tables[table][at]
        if name != "id" and self.run(
            "rename", f"ALTER TABLE {quoted(table)} RENAME {quoted(name)} TO {quoted(new)}"
        ):
            self.tables[table][at] = (new, kind)

    def enum(self) -> None:
        name = self.new_name()
        if self.run("enum", f"CREATE TYPE {quoted(name)} AS ENUM ('a', 'it''s', 'source')"):
            self.types.append(name)

    def domain(self) -> None:
        name = self.new_name()
        check = self.random.choice(["CHECK (VALUE IN ('a', 'b'))", "CHECK (length(VALUE) < 9)", ""])
        rest = f"{self.maybe(chr(68) + 'EFAULT ' + quoted_text('b'))} {check}"
        if self.run("domain", f"CREATE DOMAIN {quoted(name)} AS varchar(10) {rest}"):
            self.types.append(name)

    def composite(self) -> None:
        name = self.new_name()
        if self.run("composite", f'CREATE TYPE {quoted(name)} AS (a {self.a_type()}, "B b" text)'):
            self.types.append(name)

    def range(self) -> None:
        name = self.new_name()
        if self.run(
            "range", f'CREATE TYPE {quoted(name)} AS RANGE (subtype = text, collation = "C")'
        ):
            self.types.append(name)

    def sequence(self) -> None:
        name, table = self.new_name(), self.a_table()
        kind = self.random.choice(["smallint", "int", "bigint"])
        if self.run(
            "sequence", f"CREATE SEQUENCE {quoted(name)} AS {kind} INCREMENT -2 MINVALUE -99"
        ):
            text = quoted_text(f"source.{quoted(name)}")
            column = self.a_column(table, "int", "bigint")
            start = f"ALTER TABLE {quoted(table)} ALTER {column} SET DEFAULT nextval({text}"
            self.run("sequence", start + self.random.choice(["::regclass)", ")"]))
            self.run(
                "sequence", f"SELECT setval({text}, -9, {self.random.choice(['true', 'false'])})"
            )

    def function(self) -> None:
        name, table = f"f_{self.number}", self.a_table()
        self.number += 1
        t = f"source.{quoted(table)}"
        execute = f"EXECUTE {quoted_text('SELECT 1 FROM ' + t)}; /* source.x */"
        body = self.random.choice(
            [
                f"LANGUAGE sql STABLE AS $$ SELECT count(*)::int + $1 FROM {t} $$",
                "LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1' SET search_path = source, public",
                f"LANGUAGE plpgsql AS $f$ DECLARE r {t}%ROWTYPE; BEGIN {execute} RETURN $1; END $f$",
                f"LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*)::int + $1 FROM {quoted(table)}; END",
                "LANGUAGE sql IMMUTABLE RETURN $1 + 1",
            ]
        )
        if self.run("function", f"CREATE FUNCTION {name}(n int DEFAULT 3) RETURNS int {body}"):
            self.functions.append(name)
        self.run(
            "procedure",
            f"CREATE PROCEDURE p_{self.number}(INOUT r {self.random.choice([quoted(table), self.a_type()])})"
            " LANGUAGE plpgsql AS 'BEGIN END'",
        )

    def trigger(self) -> None:
        table, name = self.a_table(), f"tf_{self.number}"
        self.number += 1
        self.run(
            "function",
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        )
        when = self.maybe(f" WHEN (NEW.{self.a_column(table)} IS NOT NULL)")
        events, row, extra = self.random.choice(
            [
                (f"BEFORE INSERT OR UPDATE OF {self.a_column(table)}", "ROW", when), ("AFTER DELETE", "STATEMENT", ""),
                ("AFTER TRUNCATE", "STATEMENT", ""), ("AFTER UPDATE", "ROW", when),
            ]
        )  # fmt: skip
        constraint = self.maybe("CONSTRAINT ", 0.3) if events == "AFTER UPDATE" else ""
        defer = " DEFERRABLE" if constraint else ""
        trigger = quoted(self.new_name())
        if self.run(
            "trigger",
            f"CREATE {constraint}TRIGGER {trigger} {events} ON {quoted(table)}{defer} FOR EACH {row}{extra}"
            f" EXECUTE FUNCTION {name}('source.x', 'it''s')",
        ):
            mode = self.random.choice(["DISABLE", "ENABLE ALWAYS", "ENABLE REPLICA", "ENABLE"])
            self.run("trigger", f"ALTER TABLE {quoted(table)} {mode} TRIGGER {trigger}")
            self.run("comment", f"COMMENT ON TRIGGER {trigger} ON {quoted(table)} IS 'of source'")

    def view(self) -> None:
        one, two = self.a_table(), self.a_table()
        name = self.new_name()
        select = self.random.choice(
            [
                f"SELECT a.*, b.id AS other FROM {quoted(one)} AS a LEFT JOIN {quoted(two)} AS b ON a.id = b.id",
                f"SELECT count(*) AS n, a.id, {self.a_column(one)} AS x FROM {quoted(one)} AS a GROUP BY a.id",
                f"SELECT id, 'source' AS source, id IN (1, 2) AS low FROM {quoted(one)} source",
                "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT * FROM t, public.shared",
                f"SELECT row_number() OVER (PARTITION BY id ORDER BY {self.a_column(one, 'int')}) AS r, * FROM {quoted(one)}",
                f"SELECT * FROM {quoted(one)} WHERE {self.a_check(one)}",
            ]
        )
        if self.random.random() < 0.4:
            data = self.maybe(" WITH NO DATA")
            if self.run(
                "materialised view", f"CREATE MATERIALIZED VIEW {quoted(name)} AS {select}{data}"
            ):
                self.run(
                    "index",
                    f"CREATE INDEX ON {quoted(name)} ({self.random.choice(['id', 'n', 'r'])})",
                )
            return
        options = self.maybe(" WITH (security_barrier, security_invoker=true)", 0.2)
        self.run("view", f"CREATE VIEW {quoted(name)}{options} AS {select}")

    def partitioned(self) -> None:
        name = self.new_name()
        key = self.random.choice([("LIST (k)", "IN (1)", "IN (2)"), ("RANGE (k)", "FROM (1) TO (5)", "FROM (5) TO (MAXVALUE)"), ("HASH (id)", "WITH (MODULUS 2, REMAINDER 0)", "WITH (MODULUS 2, REMAINDER 1)")])  # fmt: skip
        if not self.run(
            "partitioned",
            f"CREATE TABLE {quoted(name)} (id int NOT NULL, k int, {self.definition()[2]}, t text DEFAULT 'p',"
            f" CHECK (t <> 'source'), {self.maybe('PRIMARY KEY (id, k), ')} FOREIGN KEY (k) REFERENCES public.shared)"
            f" PARTITION BY {key[0]}",
        ):
            return
        for bound in key[1:]:
            self.run(
                "partition",
                f"CREATE TABLE {quoted(self.new_name())} PARTITION OF {quoted(name)} FOR VALUES {bound}",
            )
        own, drops = quoted(self.new_name()), self.maybe("gone int, ")
        self.run("partition", f"CREATE TABLE {own} ({drops}t text, k int, id int NOT NULL)")
        self.run("index", f"CREATE INDEX {quoted(self.new_name())} ON {quoted(name)} (t)")
        self.run(
            "partition",
            f"CREATE TABLE {quoted(self.new_name())} PARTITION OF {quoted(name)} DEFAULT",
        )
        self.run(
            "trigger",
            f"CREATE TRIGGER tr AFTER INSERT ON {quoted(name)} FOR EACH ROW EXECUTE FUNCTION tf_{self.random.randrange(self.number + 1)}()",
        )

    def child(self) -> None:
        parent, name = self.a_table(), self.new_name()
        columns = f"{quoted(self.new_name())} int DEFAULT 4{self.maybe(', id bigint', 0.2)}"
        if self.run(
            "child", f"CREATE TABLE {quoted(name)} ({columns}) INHERITS ({quoted(parent)})"
        ):
            column = self.a_column(parent)
            change = self.random.choice(
                ["SET DEFAULT NULL", "DROP DEFAULT", "SET NOT NULL", "SET STATISTICS 7"]
            )
            self.run("child", f"ALTER TABLE {quoted(name)} ALTER {column} {change}")

    def statistics(self) -> None:
        table = self.a_table()
        one, two = self.a_column(table), self.a_column(table)
        what = self.random.choice(
            [
                f"(ndistinct, mcv) ON {one}, {two}",
                f"ON {one}, {two}",
                f"ON (md5({one}::text))",
                f"(dependencies) ON {one}, (lower({two}::text))",
            ]
        )
        name = quoted(self.new_name())
        if self.run("statistics", f"CREATE STATISTICS {name} {what} FROM {quoted(table)}"):
            self.run("statistics", f"ALTER STATISTICS {name} SET STATISTICS 12")

    def policy(self) -> None:
        table = self.a_table()
        command = self.random.choice(["ALL", "SELECT", "UPDATE", "DELETE"])
        check = (
            self.maybe(f" WITH CHECK ({self.a_check(table)})")
            if command in {"ALL", "UPDATE"}
            else ""
        )
        to = self.random.choice(["PUBLIC", "pg_monitor", "CURRENT_USER"])
        kind = self.random.choice(["PERMISSIVE", "RESTRICTIVE"])
        self.run(
            "policy",
            f"CREATE POLICY {quoted(self.new_name())} ON {quoted(table)} AS {kind} FOR {command} TO {to}"
            f" USING ({self.a_check(table)}){check}",
        )
        self.run(
            "policy",
            f"ALTER TABLE {quoted(table)} {self.random.choice(['ENABLE', 'FORCE', 'DISABLE'])} ROW LEVEL SECURITY",
        )

    def rule(self) -> None:
        table = self.a_table()
        self.run(
            "rule",
            f"CREATE RULE {quoted(self.new_name())} AS ON DELETE TO {quoted(table)} WHERE old.id > 9 DO ALSO INSERT INTO public.shared VALUES (old.id)",
        )

    def comment(self) -> None:
        table = self.a_table()
        on = self.random.choice(
            [
                f"TABLE {quoted(table)}",
                f"COLUMN {quoted(table)}.{self.a_column(table)}",
                "SCHEMA source",
            ]
        )
        self.run("comment", f"COMMENT ON {on} IS 'it''s of source.x %s'")

    def grant(self) -> None:
        table = self.a_table()
        self.run(
            "grant",
            self.random.choice(
                [
                    f"GRANT SELECT, INSERT ON {quoted(table)} TO pg_monitor", f"REVOKE DELETE ON {quoted(table)} FROM CURRENT_USER",
                    f"GRANT UPDATE ({self.a_column(table)}) ON {quoted(table)} TO PUBLIC", "GRANT USAGE ON SCHEMA source TO PUBLIC",
                    f"GRANT ALL ON {quoted(table)} TO pg_monitor WITH GRANT OPTION", "GRANT USAGE ON ALL SEQUENCES IN SCHEMA source TO pg_monitor",
                    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA source FROM PUBLIC",
                    "ALTER DEFAULT PRIVILEGES IN SCHEMA source GRANT SELECT ON TABLES TO pg_monitor",
                    f"REVOKE USAGE ON TYPE {quoted(self.random.choice(self.types))} FROM PUBLIC",
                ]
            ),
        )  # fmt: skip

    def rows(self) -> None:
        self.run("rows", f"INSERT INTO {quoted(self.a_table())} DEFAULT VALUES")

    def settings(self) -> None:
        table = self.a_table()
        column = self.a_column(table)
        start = f"ALTER TABLE {quoted(table)} "
        self.run(
            "setting",
            start
            + self.random.choice(
                [
                    f"ALTER {column} SET STORAGE MAIN", f"ALTER {column} SET STATISTICS 42", f"ALTER {column} SET (n_distinct=5)",
                    "REPLICA IDENTITY FULL", "SET (autovacuum_enabled=false)", f"ALTER {column} SET COMPRESSION pglz",
                    f"ALTER {column} DROP DEFAULT", "ALTER id TYPE bigint",
                ]
            ),
        )  # fmt: skip


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

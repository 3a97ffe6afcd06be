"""The schemas of the run: whatever stands in one of them says so.

Each of ``SCHEMAS`` has rows whose text is its name, a deferred constraint trigger that refuses
to fire under another path than its table's, and a table that no other schema has. Every table
of an isolated or both app has a namesake with a decoy row in ``public`` and in ``DECOY``, the
schema to which sessions are set on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from appschema import schema_context
from appschema.provisioning import new_schema
from appschema.testing import remove_schema
from tests.integration.leaks.oracle import LeakError, Rows

SCHEMAS = ("leak_a", "leak_b", "Leak-C", "leak_ü", "leak_e", "LEAK_A", "8-leaks", "лик")
GHOST = "leak_ghost"  # no such schema
HALF = "leak_half"  # lags: it has no table of the both app
DECOY = "leak_decoy"  # never current

_COMMON = """
CREATE FUNCTION public.leak_here() RETURNS text LANGUAGE sql VOLATILE
    AS 'SELECT current_schema()::text';
CREATE TABLE public.leak_audit (title text, schema_name text);
CREATE FUNCTION public.leak_fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_schema() IS DISTINCT FROM TG_TABLE_SCHEMA THEN
        RAISE EXCEPTION 'leak: a trigger of % fired in %', TG_TABLE_SCHEMA, current_schema();
    END IF;
    INSERT INTO leak_audit VALUES (NEW.title, TG_TABLE_SCHEMA);
    RETURN NULL;
END $$;
CREATE TABLE public.notes_note (LIKE "leak_a".notes_note);
ALTER TABLE public.notes_note ALTER id SET DEFAULT 0;
INSERT INTO public.notes_note (id, title, body) VALUES (1, 'decoy', 'public');
INSERT INTO public.tags_tag (label) VALUES ('public');
INSERT INTO public.plans_plan (name, price) VALUES ('shared', 1);
CREATE SCHEMA leak_decoy;
CREATE TABLE leak_decoy.notes_note (LIKE public.notes_note INCLUDING ALL);
INSERT INTO leak_decoy.notes_note (id, title, body) VALUES (1, 'decoy', 'leak_decoy');
CREATE TABLE leak_decoy.tags_tag (LIKE public.tags_tag INCLUDING ALL);
INSERT INTO leak_decoy.tags_tag (id, label) VALUES (1, 'leak_decoy');
CREATE TABLE leak_decoy.plans_plan (LIKE public.plans_plan INCLUDING ALL);
INSERT INTO leak_decoy.plans_plan (id, name, price) VALUES (1, 'leak_decoy', 1);
CREATE TABLE leak_decoy.leak_audit (title text, schema_name text);
CREATE SCHEMA leak_half;
CREATE TABLE leak_half.django_migrations (id int);
CREATE TABLE leak_half.notes_note (LIKE public.notes_note);
"""
_EACH = """
SET search_path TO "{name}";
CREATE TABLE leak_audit (title text, schema_name text);
CREATE TABLE "only_{name}" (id int);
DELETE FROM notes_note;
INSERT INTO notes_note (title, body) VALUES ('own', '{name}');
INSERT INTO tags_tag (label) VALUES ('{name}');
CREATE CONSTRAINT TRIGGER leak_fire AFTER INSERT ON notes_note
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.leak_fire();
RESET search_path;
"""
_GONE = """
DROP SCHEMA leak_decoy, leak_half CASCADE;
DROP TABLE public.notes_note, public.leak_audit;
DROP FUNCTION public.leak_here(), public.leak_fire();
DELETE FROM public.tags_tag;
DELETE FROM public.plans_plan;
"""


def build(conninfo: str) -> None:
    """Make the schemas of a run in a test database that has none."""
    for number, name in enumerate(SCHEMAS):
        with schema_context(None):
            new_schema(name, f"leak-{number}.example.com")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(_COMMON)
        for name in SCHEMAS:
            connection.execute(_EACH.format(name=name))


def demolish(conninfo: str) -> None:
    """Undo ``build``."""
    for name in SCHEMAS:
        remove_schema(name)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(_GONE)


def clean(conninfo: str) -> None:
    """Remove what the workers of an earlier run have written."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for name in (*SCHEMAS, "public", DECOY, HALF):
            connection.execute(f"DELETE FROM \"{name}\".notes_note WHERE title LIKE 'w%'")
            if name != HALF:
                connection.execute(f'DELETE FROM "{name}".leak_audit')
                # By the backend that leaks on purpose: the next run is not to be blamed for it.
                connection.execute(f"DELETE FROM \"{name}\".tags_tag WHERE label LIKE 'doomed%'")
        doomed = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^doomed_'")
        for (name,) in doomed.fetchall():  # left by a run that has failed
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


def compare(conninfo: str, workers: Iterable[Rows]) -> None:
    """Raise ``LeakError`` unless the database holds what the workers say, where they say it."""
    rows = list(workers)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for name in (*SCHEMAS, "public", DECOY, HALF):
            found = connection.execute(
                f"SELECT title, body FROM \"{name}\".notes_note WHERE title NOT IN ('own', 'decoy')"
            ).fetchall()
            expected = {(title, name) for each in rows for title in each.of(name)}
            if sorted(found) != sorted(expected):
                raise LeakError(
                    f"In {name!r} other rows stand than were written there: {set(found) ^ expected}"
                )
            if name == HALF:
                continue
            fired = connection.execute(
                f'SELECT count(*) FROM "{name}".leak_audit WHERE schema_name = %s', [name]
            ).fetchone()
            strange = connection.execute(
                f'SELECT title, schema_name FROM "{name}".leak_audit WHERE schema_name <> %s',
                [name],
            ).fetchall()
            inserted = sum(each.inserted.get(name, 0) for each in rows)
            if strange or fired != (inserted,):
                raise LeakError(
                    f"In {name!r} {inserted} rows were inserted, the triggers wrote {fired} records,"
                    f" and these of other schemas: {strange}"
                )

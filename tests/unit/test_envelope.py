"""The text of the envelope, and which both apps' tables it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appschema.backends.envelope import _find_tables, make_envelope
from appschema.context import as_owner

BOTH = ("tags_tag", "tags_tag_more", "Mixed_Case")


def test_envelope_of_a_schema():
    assert make_envelope("acme").sql == (
        b'SET LOCAL search_path TO "acme", "public", pg_temp;'
        b' LOCK TABLE ONLY "acme"."django_migrations" IN ACCESS SHARE MODE;\n'
    )


@pytest.mark.parametrize("schema_name", [None, "public"])
def test_envelope_without_a_schema_sets_public(schema_name):
    assert make_envelope(schema_name).sql == b'SET LOCAL search_path TO "public", pg_temp;\n'


def test_tables_that_a_statement_names_are_locked_with_the_marker():
    envelope = make_envelope("acme", b"SELECT * FROM tags_tag")
    assert envelope.locked == ('"acme"."django_migrations"', '"acme"."tags_tag"')
    isolated = make_envelope("acme", b"SELECT nextval('notes_note_id_seq')").locked
    assert isolated == ('"acme"."django_migrations"', '"acme"."notes_note"')
    assert make_envelope("acme", b"SELECT * FROM plans_plan").locked == envelope.locked[:1]
    with as_owner():
        # What changes tables names those that it is about to make.
        assert make_envelope("acme", b"SELECT * FROM notes_note").locked == envelope.locked[:1]
    assert make_envelope("public", b"SELECT * FROM tags_tag").locked == ()


def test_default_path_follows_the_schema_once(settings):
    settings.APPSCHEMA_DEFAULT_PATH = ["public", "acme", "Extensions"]
    assert make_envelope("acme").path == '"acme", "public", "Extensions", pg_temp'
    assert make_envelope("acme", default_path=False).path == '"acme", pg_temp'


def test_extension_is_created_in_the_schema_for_extensions(settings):
    settings.APPSCHEMA_EXTENSIONS_SCHEMA = "ext"
    path = make_envelope("acme", creates_extension=True).path
    assert path == '"ext", "acme", "public", pg_temp'


def test_names_are_quoted_wherever_they_stand(settings):
    settings.APPSCHEMA_DEFAULT_PATH = ["public", "o'brien"]
    envelope = make_envelope("Straße-1")
    assert '"Straße-1", "public", "o\'brien", pg_temp'.encode() in envelope.sql
    assert (
        '\'"Straße-1", "public", "o\'\'brien", pg_temp\''.encode()
        in (envelope.queued_statements[0])
    )


def test_envelope_is_one_line_so_that_errors_keep_the_users_lines():
    envelope = make_envelope("acme", b"SELECT * FROM tags_tag").firing()
    assert envelope.sql.count(b"\n") == 1
    assert len(envelope.statements) == envelope.sql.count(b";")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"SELECT * FROM tags_tag", ["tags_tag"]),
        (b'SELECT "tags_tag"."id" FROM "tags_tag"', ["tags_tag"]),
        (b"SELECT * FROM TAGS_TAG", ["tags_tag"]),
        (b'SELECT * FROM "Mixed_Case"', ["Mixed_Case"]),
        (b"SELECT * FROM(tags_tag)", ["tags_tag"]),
        (b"SELECT * FROM/**/tags_tag", ["tags_tag"]),
        (b"SELECT * FROM tags_tag_more", ["tags_tag_more"]),
        (b"SELECT * FROM tags_tag_other", []),
        (b"SELECT * FROM my_tags_tag", []),
        (b"SELECT * FROM tags_tag$", []),
        (b"SELECT * FROM public.tags_tag, tags_tag_more", ["tags_tag", "tags_tag_more"]),
        (b'CREATE TABLE "tags_tag" ("id" bigint)', []),
        (b"create unlogged table if not exists tags_tag ()", []),
        (b'ALTER TABLE "new__tags_tag" RENAME TO "tags_tag"', []),
        (b"CREATE FOREIGN TABLE tags_tag (a int) SERVER far", []),
        (b"CREATE VIEW tags_tag AS SELECT 1", []),
        (b"create or replace view tags_tag as select * from tags_tag_more", ["tags_tag_more"]),
        (b"CREATE RECURSIVE VIEW tags_tag (a) AS SELECT 1", []),
        (b"CREATE MATERIALIZED VIEW IF NOT EXISTS tags_tag AS SELECT 1", []),
        (b"CREATE TEMP VIEW tags_tag AS SELECT 1", ["tags_tag"]),
        (b"CREATE TABLE tags_tag (); INSERT INTO tags_tag DEFAULT VALUES", []),
        (b"CREATE TABLE tags_tag (); SELECT * FROM tags_tag_more", ["tags_tag_more"]),
        (b"DELETE FROM tags_tag; CREATE TABLE tags_tag ()", ["tags_tag"]),
        (b"-- create table tags_tag\nDELETE FROM tags_tag", ["tags_tag"]),
        (b"SELECT 'x; create table tags_tag '; DELETE FROM tags_tag", ["tags_tag"]),
        (b"CREATE TABLE other (); DELETE FROM tags_tag", ["tags_tag"]),
    ],
)
def test_named_tables_are_those_that_must_be_there(text, names):
    assert list(_find_tables(text, BOTH)) == names


QUIET = st.text(" \n\t;,.()'\"$-/*ab_1", max_size=20)


@given(before=QUIET, after=QUIET)
def test_table_named_between_any_other_signs_is_found(before, after):
    name = "tags_tag"
    joined = before[-1:].isalnum() or before[-1:] in ("_", "$") or after[:1].isalnum()
    text = f"DELETE FROM {before}{name}{after}"
    if not joined and after[:1] not in ("_", "$"):
        assert _find_tables(text.encode(), BOTH) == (name,)

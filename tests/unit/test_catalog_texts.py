"""Texts that name their own schema, and texts that only seem to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appschema.catalog.canonical import canonical
from appschema.catalog.own_names import OwnNames
from appschema.catalog.slots import NAME, ROLE, SCHEMA, describe, fill, refuse_unfit
from appschema.catalog.tokens import join, tokenise
from appschema.exceptions import InvalidSchemaName, UnsupportedObject

OBJECTS = frozenset({"t", "f", "seq", "Odd Name"})


def names(schema_name: str = "acme") -> OwnNames:
    return OwnNames(schema_name, OBJECTS)


def in_code(text: str, schema_name: str = "acme") -> str:
    """Return code as it reads for a schema called new, with the doubts behind it."""
    own = names(schema_name)
    return fill(own.in_code(text, "the function"), "new", None)


def doubts(text: str) -> list[str]:
    own = names()
    own.in_code(text, "the function")
    return [doubt.text for doubt in own.doubts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM acme.t", 'SELECT * FROM "new".t'),
        ("SELECT * FROM ACME . t", 'SELECT * FROM "new" . t'),
        ('SELECT * FROM "acme"."Odd Name"', 'SELECT * FROM "new"."Odd Name"'),
        ("x acme.t%ROWTYPE;", 'x "new".t%ROWTYPE;'),
        ("SELECT acme.t.c, acme.f(1) FROM acme.t", 'SELECT "new".t.c, "new".f(1) FROM "new".t'),
        ("INSERT INTO acme.made_later", 'INSERT INTO "new".made_later'),
        ("SET search_path = acme, public;", 'SET search_path = "new", public;'),
        ("SET LOCAL search_path TO public, 'acme'", "SET LOCAL search_path TO public, 'new'"),
        (
            "set_config('search_path', 'acme, public', true)",
            "set_config('search_path', '\"new\", public', true)",
        ),
        ("SET SCHEMA 'acme'", "SET SCHEMA 'new'"),
        ("GRANT USAGE ON SCHEMA acme TO x", 'GRANT USAGE ON SCHEMA "new" TO x'),
        ("nextval('acme.seq'::regclass)", "nextval('\"new\".seq'::regclass)"),
        ("nextval('acme.\"Odd Name\"')", 'nextval(\'"new"."Odd Name"\')'),
        (
            "EXECUTE 'SELECT ''acme.t''::regclass FROM acme.t'",
            "EXECUTE 'SELECT ''\"new\".t''::regclass FROM \"new\".t'",
        ),
        ("DO $x$ BEGIN PERFORM acme.f(1); END $x$", 'DO $x$ BEGIN PERFORM "new".f(1); END $x$'),
        ("EXECUTE $q$SELECT 1 FROM acme.t$q$", 'EXECUTE $q$SELECT 1 FROM "new".t$q$'),
    ],
)
def test_code_that_names_the_schema_names_the_copys(text: str, expected: str):
    assert in_code(text) == expected
    assert doubts(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'SELECT * FROM acmes.t, other.acme, my_acme.t, acme1.t, "Acme".t',
        "-- acme.t is not touched\nSELECT 1",
        "/* acme.t /* acme.t */ acme.t */ SELECT 1",
        "SELECT acme.title FROM public.note AS acme",
        "DECLARE acme public.note; BEGIN RETURN acme.title; END",
        "SELECT acme FROM x",
        "SELECT 'We at acme sell anvils.'",
        "SELECT $$acme and sons$$",
    ],
)
def test_code_that_does_not_name_the_schema_stays(text: str):
    assert in_code(text) == text
    assert doubts(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "IF x = 'acme' THEN",
        "format('%I.t', 'acme')",
        "SELECT 'acme.example.com'",
        "SELECT 'acme.%'",
        r"SELECT E'acme.t\n'",
        "SELECT mydb.acme.t.x",
    ],
)
def test_what_may_name_the_schema_stays_and_is_told(text: str):
    assert in_code(text) == text
    (doubt,) = doubts(text)
    assert "acme" in doubt


def test_an_alias_with_the_schemas_name_before_a_table_of_it_is_refused():
    with pytest.raises(UnsupportedObject, match="Give the other one another name") as raised:
        in_code("SELECT acme.t FROM public.note AS acme")
    assert raised.value.objects == ("the function",)


def test_a_name_that_wants_quotes_is_found_only_in_quotes():
    assert in_code('SELECT 1 FROM "my-Schema".t, my.t', "my-Schema") == (
        'SELECT 1 FROM "new".t, my.t'
    )
    assert in_code("SELECT 1 FROM Acme.t", "Acme") == "SELECT 1 FROM Acme.t"  # That is acme.


def test_deparsed_text_holds_the_name_in_strings_only():
    own = names()
    text = "SELECT acme.t FROM acme acme WHERE 'acme.t'::text = acme.f"
    assert fill(own.in_deparsed(text, "view"), "new", None) == (
        "SELECT acme.t FROM acme acme WHERE '\"new\".t'::text = acme.f"
    )


def test_deparsed_functions_and_operators_may_be_qualified():
    own = names()
    text = "acme.f(x) OPERATOR(acme.+) y"
    assert fill(own.in_deparsed(text, "view"), "new", None) == '"new".f(x) OPERATOR("new".+) y'


def test_the_servers_own_qualifier_is_taken_away_once():
    text = "CREATE INDEX acme ON ONLY acme.t USING btree (acme)"
    assert names().without_own(text, "ON", "ONLY") == (
        "CREATE INDEX acme ON ONLY t USING btree (acme)"
    )


@given(st.text(alphabet="acme.t'\"$ x-/*\\\nE(,;é1", max_size=40))
def test_the_tokens_are_the_whole_text(text: str):
    assert join(tokenise(text)) == text


@given(st.text(alphabet="acme.t'\"$ x-/*\\\nE(,;", max_size=40))
def test_a_text_without_the_name_stays(text: str):
    assert OwnNames("zzz", OBJECTS).in_code(text, "x") == text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "((kind)::text = ANY ((ARRAY['a'::character varying, 'b,]'::character varying])::text[]))",
            "((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('b,]'::character varying)::text]))",
        ),
        (
            "(x = ANY ((ARRAY[1, f(2, 3)])::bigint[]))",
            "(x = ANY (ARRAY[(1)::bigint, (f(2, 3))::bigint]))",
        ),
        ("(ARRAY[a])::numeric(10,2)[]", "ARRAY[(a)::numeric(10,2)]"),
        ("(ARRAY[a])::public.\"Odd\"[] || '(ARRAY['", "ARRAY[(a)::public.\"Odd\"] || '(ARRAY['"),
        ("'(ARRAY[1])::text[]'", "'(ARRAY[1])::text[]'"),
        ("(ARRAY[ARRAY[1], ARRAY[2]])::bigint[]", "(ARRAY[ARRAY[1], ARRAY[2]])::bigint[]"),
        ("(ARRAY[1])", "(ARRAY[1])"),
    ],
)
def test_the_cast_of_an_array_is_that_of_its_elements(first: str, second: str):
    assert canonical(first) == second
    assert canonical(second) == second


def test_slots_are_filled_and_told():
    text = f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE} -- {NAME}"
    assert fill(text, "new", "role") == 'GRANT USAGE ON SCHEMA "new" TO "role" -- new'
    assert describe(text) == "GRANT USAGE ON SCHEMA «schema» TO «role of the schema» -- «schema»"


@pytest.mark.parametrize("name", ["", "a'b", 'a"b', "a$b", "a\\b", "a%b", "é" * 32])
def test_a_name_that_cannot_stand_in_all_texts_is_refused(name: str):
    with pytest.raises(InvalidSchemaName, match="cannot be written into the texts"):
        refuse_unfit(name)

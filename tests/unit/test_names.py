"""Names of schemas are refused before anything is sent, and are never folded or interpreted."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appschema.exceptions import AppSchemaError, InvalidSchemaName
from appschema.names import (
    MAX_NAME_BYTES,
    quote_identifier,
    validate_active_name,
    validate_schema_name,
)

GOOD = ["a", "acme", "Acme", "ACME", "order", "select", "user", "_x", "1a", "a-b", "a_b-1", "日本"]


@pytest.mark.parametrize("name", [*GOOD, "straße", "müller", "x" * 63, "é" * 31])
def test_name_is_given_back_unchanged(name):
    assert validate_schema_name(name) == validate_active_name(name) == name


INJECTIONS = [
    "x'; create table public.pwned(i int); --",
    'x"; DROP SCHEMA public CASCADE; --',
    'a"b',
    "a'b",
    "a b",
    "a.b",
    "a,b",
    "a;b",
    "a$b",
    "a%b",
    "a/b",
    "a\\b",
    "a\nb",
    "a\x00b",
    "a\tb",
    " a",
    "a ",
    "-a",
    "--",
    "a(b)",
    "a\u200bb",
    "a\u202eb",
    "a\ud800",
]


@pytest.mark.parametrize("name", INJECTIONS)
def test_name_that_sql_or_a_reader_could_misread_is_refused(name):
    with pytest.raises(InvalidSchemaName):
        validate_schema_name(name)
    with pytest.raises(InvalidSchemaName):
        validate_active_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("public", "PUBLIC", "Public", "pg_catalog", "pg_toast", "pg_temp", "pg_temp_3", "pg_"),
        *("PG_x", "Pg_Catalog", "information_schema", "INFORMATION_SCHEMA"),
    ],
)
def test_reserved_name_is_refused_in_any_case(name):
    with pytest.raises(InvalidSchemaName, match="reserved"):
        validate_schema_name(name)


def test_public_can_be_activated_in_its_one_spelling():
    assert validate_active_name("public") == "public"
    with pytest.raises(InvalidSchemaName):
        validate_active_name("Public")


def test_length_is_counted_in_bytes():
    twins = ["é" * 32 + last for last in "ab"]
    for name in twins:
        assert len(name) == 33
        with pytest.raises(InvalidSchemaName, match="has 65 bytes"):
            validate_schema_name(name)
    with pytest.raises(InvalidSchemaName, match="has 64 bytes"):
        validate_schema_name("x" * 64)


def test_name_that_looks_like_another_is_refused():
    decomposed = unicodedata.normalize("NFD", "müller")
    with pytest.raises(InvalidSchemaName):
        validate_schema_name(decomposed)
    with pytest.raises(InvalidSchemaName, match="NFC"):
        validate_schema_name("\u212b")  # the sign for Ångström, which NFC turns into a letter


@pytest.mark.parametrize("name", [None, 1, b"acme", ["acme"], object()])
def test_what_is_no_text_is_refused(name):
    with pytest.raises(InvalidSchemaName, match="A schema name is a str"):
        validate_schema_name(name)


def test_error_is_a_value_error_with_the_value_and_what_to_do():
    with pytest.raises(ValueError, match="Use letters, digits") as caught:
        validate_schema_name("a b")
    assert isinstance(caught.value, AppSchemaError)
    assert "'a b' holds ' '" in str(caught.value)


def test_empty_name_is_refused():
    with pytest.raises(InvalidSchemaName, match="cannot be empty"):
        validate_schema_name("")


def test_case_is_kept_by_quoting():
    assert quote_identifier("Acme") == '"Acme"'
    assert quote_identifier("order") == '"order"'
    assert quote_identifier('a"b') == '"a""b"'


@given(st.text(max_size=70))
def test_valid_name_needs_no_escape_and_is_not_cut(name):
    try:
        validate_schema_name(name)
    except InvalidSchemaName:
        return
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert quote_identifier(name) == f'"{name}"'
    assert not set(name) & set("'\"\\;$%. \n\r\t\0")
    assert unicodedata.normalize("NFC", name) == name

"""PostgreSQL's errors by their names, in whatever language the server tells them."""

import psycopg
import pytest
from psycopg import errors, pq

from appschema import schema_context
from appschema.backends.errors import schema_error
from appschema.exceptions import RoleMissing, SchemaMissing


def told(kind: type[psycopg.Error], message: str) -> psycopg.Error:
    return kind(message, info={pq.DiagnosticField.MESSAGE_PRIMARY: message.encode()})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.InvalidSchemaName, 'schema "acme" does not exist'),
        (errors.InvalidSchemaName, "Schema »acme« existiert nicht"),
        (errors.InvalidSchemaName, "le schéma « acme » n'existe pas"),
        (errors.InvalidSchemaName, 'スキーマ"acme"は存在しません'),
        (errors.UndefinedTable, 'relation "acme.django_migrations" does not exist'),
        (errors.UndefinedTable, "Relation »acme.django_migrations« existiert nicht"),
        (errors.UndefinedTable, "la relation « acme.django_migrations » n'existe pas"),
        (errors.UndefinedTable, 'отношение "acme.django_migrations" не существует'),
    ],
)
def test_a_missing_schema_is_told_of_by_its_name(kind: type[psycopg.Error], message: str):
    with schema_context("acme"):
        assert isinstance(schema_error(told(kind, message)), SchemaMissing)


@pytest.mark.parametrize(
    ("schema_name", "kind", "message"),
    [
        ("acme", errors.InvalidSchemaName, 'schema "globex" does not exist'),
        ("schema", errors.InvalidSchemaName, 'schema "globex" does not exist'),
        ("acme", errors.InvalidSchemaName, 'schema "acme2" does not exist'),
        ("acme", errors.UndefinedTable, 'relation "acme.shop_item" does not exist'),
        ("acme", errors.UndefinedTable, 'relation "django_migrations" does not exist'),
        ("acme", errors.SyntaxError, 'schema "acme" does not exist'),
    ],
)
def test_another_error_stays_what_it_is(schema_name: str, kind: type[psycopg.Error], message: str):
    error = told(kind, message)
    with schema_context(schema_name):
        assert schema_error(error) is error


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.InvalidParameterValue, 'role "appschema/shop/acme" does not exist'),
        (errors.InsufficientPrivilege, "keine Berechtigung, Rolle »appschema/shop/acme« zu setzen"),
    ],
)
def test_a_missing_role_is_told_of_by_its_name(kind: type[psycopg.Error], message: str):
    with schema_context("acme"):
        assert isinstance(schema_error(told(kind, message)), RoleMissing)

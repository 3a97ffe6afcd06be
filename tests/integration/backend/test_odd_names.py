"""PostgreSQL takes each valid name for exactly one schema."""

from collections.abc import Iterator

import pytest
from django.db import connection

from appschema import schema_context
from appschema.names import quote_identifier, validate_schema_name

NAMES = ["acme", "Acme", "ACME", "order", "user", "1-2", "_", "müller", "日本", "é" * 31, "x" * 63]


@pytest.fixture
def odd_schemas() -> Iterator[None]:
    with connection.cursor() as cursor:
        for name in NAMES:
            schema = quote_identifier(validate_schema_name(name))
            cursor.execute(
                f"CREATE SCHEMA {schema} CREATE TABLE django_migrations (n int)"
                " CREATE TABLE place (name text)"
            )
            cursor.execute(f"INSERT INTO {schema}.place VALUES (%s)", [name])
        yield
        for name in NAMES:
            cursor.execute(f"DROP SCHEMA {quote_identifier(name)} CASCADE")


@pytest.mark.usefixtures("odd_schemas")
def test_each_name_leads_to_its_own_schema():
    for name in NAMES:
        with schema_context(name), connection.cursor() as cursor:
            cursor.execute("SELECT name, current_schema() FROM place")
            assert cursor.fetchall() == [(name, name)]
            cursor.executemany("UPDATE place SET name = %s", [[name]])
            cursor.execute("VACUUM place")
        with schema_context(name), connection.chunked_cursor() as cursor:
            cursor.execute("SELECT name FROM place")
            assert cursor.fetchall() == [(name,)]

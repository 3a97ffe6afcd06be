"""Errors tell a sentence, keep their values, and can be sent to another process."""

import pickle

import pytest
from django.core.management.base import CommandError
from django.db import ProgrammingError
from django.http import Http404

from appschema.exceptions import (
    AppSchemaError,
    NameRetired,
    NoSchemaError,
    SchemaExists,
    SchemaMissing,
    UnknownPublicName,
    UnknownSchema,
)


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        (NoSchemaError, "public_name"),
        (SchemaMissing, "schema_name"),
        (UnknownSchema, "schema_name"),
        (UnknownPublicName, "public_name"),
    ],
)
def test_an_error_about_a_name_survives_pickling(kind: type[AppSchemaError], attribute: str):
    error = kind("acme")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert getattr(copy, attribute) == "acme"
    assert str(copy) == str(error)


def test_errors_are_what_django_handles():
    assert issubclass(NoSchemaError, Http404)
    assert issubclass(SchemaMissing, ProgrammingError)
    assert issubclass(UnknownSchema, CommandError)
    assert issubclass(UnknownSchema, LookupError)
    assert issubclass(NameRetired, SchemaExists)

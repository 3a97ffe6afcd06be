"""The name of a file that was read from a schema's row is no name in another."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.db import connection, models
from django.test.utils import isolate_apps

from appschema import schema_context
from appschema.isolation.storage import SchemaStorage

MEMORY = "django.core.files.storage.InMemoryStorage"


@pytest.fixture
def document(schemas: None, db: None, request: pytest.FixtureRequest) -> Iterator[Any]:
    with isolate_apps(f"tests.sample.{request.param}"):

        class Document(models.Model):
            file = models.FileField(storage=SchemaStorage(MEMORY))
            image = models.FileField(storage=SchemaStorage(MEMORY), null=True)

            class Meta:
                app_label = request.param

        for schema in ("stamp_a", "stamp_b"):
            with schema_context(schema), connection.schema_editor() as editor:
                editor.create_model(Document)
            with schema_context(schema):
                found = Document(pk=1)
                found.file.save("a", ContentFile(schema.encode()))
        yield Document


@pytest.mark.parametrize("document", ["notes", "tags"], indirect=True)
def test_it_is_refused_there(document: Any) -> None:
    with schema_context("stamp_a"):
        read = [
            document.objects.get().file,
            document.objects.only("file").get().file,
            document(pk=1, file=document.objects.values_list("file", flat=True).get()).file,
            next(document.objects.iterator()).file,
        ]
        assert document.objects.get().image.name == ""
        document.objects.update(image=None)
        assert document.objects.get().image.name is None
    with schema_context("stamp_b"):
        for file in read:
            assert file.name == "a"
            with pytest.raises(SuspiciousFileOperation, match="is one of schema 'stamp_a'"):
                file.open()
        assert document.objects.get().file.read() == b"stamp_b"
    with schema_context("stamp_a"):
        assert [file.read() for file in read] == [b"stamp_a"] * len(read)


@pytest.mark.parametrize("document", ["notes"], indirect=True)
def test_it_is_a_name_to_postgresql(document: Any) -> None:
    with schema_context("stamp_a"):
        name = document.objects.get().file.name
        assert document.objects.filter(file=name).exists()
        document.objects.update(image=name)
        assert document.objects.get().image.name == "a"


@pytest.mark.parametrize("document", ["plans"], indirect=True)
def test_a_shared_models_file_is_that_of_no_schema(document: Any) -> None:
    with schema_context("stamp_a"):
        assert type(document.objects.get().file.name) is str

"""Cases with ``serialized_rollback``; as with plain Django they are not mixed with others.

A flush without it makes content types anew, under other keys than those to be restored.
"""

from django.test import TransactionTestCase

from appschema.testing import SchemaTestMixin
from tests.sample.notes.models import Note
from tests.sample.tags.models import Tag


class RestoredTestCase(SchemaTestMixin, TransactionTestCase):
    """Each test finds what migrations have written, in every schema."""

    schema_name = "cases"
    public_name = "cases.localhost"
    serialized_rollback = True

    def find_and_delete(self) -> None:
        assert Note.objects.get().title == "Welcome"
        Note.objects.all().delete()
        Tag.objects.create(label="of the test")

    def test_once(self) -> None:
        self.find_and_delete()

    def test_twice(self) -> None:
        self.find_and_delete()

"""A project's own test cases: pytest-django and Django's runner run the same ones.

Each test first looks whether another one has left rows behind, then writes them itself.
"""

from typing import ClassVar

from django.test import AsyncClient, Client, TestCase, TransactionTestCase

from appschema import current_schema, schema_context
from appschema.models import Schema
from appschema.names import PUBLIC
from appschema.provisioning import new_schema
from appschema.testing import SchemaTestMixin, ensure_schema, remove_schema
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan
from tests.sample.tags.models import Tag


class Dirty(SchemaTestMixin):
    """Finds and leaves rows in the test's own schema, in another one and in public."""

    schema_name = "cases"
    public_name = "cases.localhost"
    client: Client
    async_client: AsyncClient

    @classmethod
    def setUpClass(cls) -> None:
        ensure_schema("cases_other", "cases-other.localhost")
        super().setUpClass()

    def use_everything(self) -> None:
        assert current_schema() == "cases"
        assert not Plan.objects.exists()
        Plan.objects.create(name="of the test")
        for name in ("cases", "cases_other", PUBLIC):
            with schema_context(name):
                assert not Tag.objects.exists(), name
                Tag.objects.create(label="of the test")
        for name in ("cases", "cases_other"):
            with schema_context(name):
                assert not Note.objects.exclude(title="Welcome").exists(), name
                Note.objects.create(title="of the test")

    def test_once(self) -> None:
        self.use_everything()

    def test_twice(self) -> None:
        self.use_everything()

    def test_client(self) -> None:
        Note.objects.create(title="Seen")
        assert "Seen" in self.client.get("/notes/").json()["titles"]
        response = self.client.get("/notes/", headers={"host": "cases-other.localhost"})
        assert "Seen" not in response.json()["titles"]

    async def test_async(self) -> None:
        assert current_schema() == "cases"
        await Note.objects.acreate(title="Seen")
        assert "Seen" in (await self.async_client.get("/notes/")).json()["titles"]

    def test_the_schemas_row(self) -> None:
        assert self.schema == Schema.objects.get(name="cases")


class DirtyTestCase(Dirty, TestCase):
    note: ClassVar[Note]

    @classmethod
    def setUpTestData(cls) -> None:
        assert current_schema() == "cases"
        cls.note = Note.objects.create(title="Welcome")

    def test_rows_for_the_whole_class_are_there(self) -> None:
        assert Note.objects.get(pk=self.note.pk).title == "Welcome"

    def test_a_request_asks_what_its_view_asks(self) -> None:
        with self.assertNumQueries(1):
            self.client.get("/notes/")

    def test_a_schema_of_the_test_is_rolled_back(self) -> None:
        new_schema("cases_new", "cases-new.localhost")
        response = self.client.get("/notes/", headers={"host": "cases-new.localhost"})
        assert response.json() == {"titles": ["Welcome"]}

    def test_a_schema_of_the_test_is_rolled_back_again(self) -> None:
        response = self.client.get("/notes/", headers={"host": "cases-new.localhost"})
        assert response.status_code == 404
        new_schema("cases_new", "cases-new.localhost")


class DirtyTransactionTestCase(Dirty, TransactionTestCase):
    def test_a_schema_of_the_test_is_dropped_by_it(self) -> None:
        self.addCleanup(remove_schema, "cases_new")
        new_schema("cases_new", "cases-new.localhost")

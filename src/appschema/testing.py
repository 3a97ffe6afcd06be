"""A schema for the tests of a project.

    class InvoiceTests(SchemaTestMixin, TestCase):
        def test_total(self):
            Invoice.objects.create(...)          # in the schema "test"
            self.client.get("/invoices/")        # its public name, "test.localhost"

The schema is made once for a test database and is committed; what a test writes is undone as
``TestCase`` or ``TransactionTestCase`` undo it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import AsyncClient

from .context import schema_context
from .models import RetiredName, Schema
from .names import PUBLIC
from .provisioning import drop_schema, new_schema, purge_schema
from .resolver import forget_names, remember


def ensure_schema(name: str, public_name: str, *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Return the row of schema *name* in the test database, making both the first time.

    Call it outside a test's transaction: in ``setUpClass`` before Django's, or in a fixture
    of the session.
    """
    with schema_context(PUBLIC):
        row = Schema.objects.using(using).filter(name=name).first()
    if row is None:
        row = new_schema(name, public_name, reuse_name=True, using=using)
        connections[using].creation.serialize_also(name)  # type: ignore[attr-defined]
    return row


def remove_schema(name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop and purge schema *name* at once and forget its name: the next test may make it anew.

    For what a test has made and committed: ``self.addCleanup(remove_schema, name)``. Nothing is done
    if there is no such schema.
    """
    with schema_context(PUBLIC):
        if Schema.objects.using(using).filter(name=name).exists():
            drop_schema(name, using=using)
            purge_schema(name, now=True, using=using)
        RetiredName.objects.using(using).filter(name=name).delete()


class HostAsyncClient(AsyncClient):
    """Django's, with a Host of its own: Django's sends 'testserver' beside what a test gives."""

    host = b"testserver"

    def _base_scope(self, **request: Any) -> Any:
        headers = request.get("headers", [])
        _, *given = [value for name, value in headers if name == b"host"] or [self.host]
        others = [each for each in headers if each[0] != b"host"]
        request["headers"] = [(b"host", given[-1] if given else self.host), *others]
        return super()._base_scope(**request)  # type: ignore[misc]


class SchemaTestMixin:
    """Runs each test of a Django test case inside a schema; put it before the test case.

    ``schema_name`` is made once in a run, with ``public_name`` as its host, and is what
    ``self.schema`` holds; the tables of all schemas are emptied as Django empties its own. The
    test clients ask for that host. Several classes may name schemas of their own. Raises what
    ``new_schema`` does.
    """

    schema_name: ClassVar[str] = "test"
    public_name: ClassVar[str] = "test.localhost"
    schema: ClassVar[Schema]
    async_client_class: type[AsyncClient] = HostAsyncClient

    @classmethod
    def setUpClass(cls) -> None:
        cls.schema = ensure_schema(cls.schema_name, cls.public_name)
        cls.addClassCleanup(forget_names)  # type: ignore[attr-defined]
        context = schema_context(cls.schema_name)
        context.__enter__()
        try:
            super().setUpClass()  # type: ignore[misc]
        except BaseException:
            context.__exit__(None, None, None)
            raise
        cls.addClassCleanup(context.__exit__, None, None, None)  # type: ignore[attr-defined]

    @classmethod
    def _pre_setup(cls) -> None:
        super()._pre_setup()  # type: ignore[misc]
        cls.client.defaults["HTTP_HOST"] = cls.public_name  # type: ignore[attr-defined]
        cls.async_client.host = cls.public_name.encode()  # type: ignore[attr-defined]
        # As in production, a request asks what its view asks: assertNumQueries() counts on it.
        remember(cls.public_name)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        # A scope of the test's own: what it activates ends with it.
        with schema_context(self.schema_name):
            return super().run(*args, **kwargs)  # type: ignore[misc]

    def _fixture_teardown(self) -> None:
        # TransactionTestCase empties what is active: here public and every schema.
        with schema_context(None):
            super()._fixture_teardown()  # type: ignore[misc]

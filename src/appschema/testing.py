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

from django.db import DEFAULT_DB_ALIAS

from .context import schema_context
from .models import Schema
from .names import PUBLIC
from .provisioning import new_schema


def ensure_schema(name: str, public_name: str, *, using: str = DEFAULT_DB_ALIAS) -> Schema:
    """Return the row of schema *name* in the test database, making both the first time.

    Call it outside a test's transaction: in ``setUpClass`` before Django's, or in a fixture
    of the session.
    """
    with schema_context(PUBLIC):
        row = Schema.objects.using(using).filter(name=name).first()
    return row or new_schema(name, public_name, using=using)


class SchemaTestMixin:
    """Runs each test of a Django test case inside a schema; put it before the test case."""

    schema_name: ClassVar[str] = "test"
    public_name: ClassVar[str] = "test.localhost"
    schema: ClassVar[Schema]

    @classmethod
    def setUpClass(cls) -> None:
        cls.schema = ensure_schema(cls.schema_name, cls.public_name)
        context = schema_context(cls.schema_name)
        context.__enter__()
        try:
            super().setUpClass()  # type: ignore[misc]
        except BaseException:
            context.__exit__(None, None, None)
            raise
        cls.addClassCleanup(context.__exit__, None, None, None)  # type: ignore[attr-defined]

    def _pre_setup(self, *args: Any, **kwargs: Any) -> None:
        super()._pre_setup(*args, **kwargs)  # type: ignore[misc]
        self.client.defaults["HTTP_HOST"] = self.public_name  # type: ignore[attr-defined]
        self.async_client.defaults["host"] = self.public_name  # type: ignore[attr-defined]

"""The operations of the backend: which compilers make its SQL, and what is made of a value read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.operations import DatabaseOperations

from appschema.context import current_schema
from appschema.isolation.storage import bind_name
from appschema.placement import get_placement

if TYPE_CHECKING:
    _Base = DatabaseOperations
else:
    _Base = object


class DatabaseOperationsMixin(_Base):
    compiler_module = "appschema.backends.compiler"

    def get_db_converters(self, expression: Any) -> list[Any]:
        converters: list[Any] = super().get_db_converters(expression)
        field = expression.output_field
        # The name of a file in a schema's row: in another schema it would be another file.
        if field.get_internal_type() == "FileField" and (model := getattr(field, "model", None)):
            schema_name = current_schema()
            if schema_name and get_placement().in_schemas(model._meta.app_label):
                return [*converters, partial(_bind, schema_name)]
        return converters


def _bind(schema_name: str, value: Any, expression: Any, connection: Any) -> Any:
    return bind_name(value, schema_name) if isinstance(value, str) and value else value

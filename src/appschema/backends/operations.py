"""The operations of the backend: which compilers make its SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.backends.postgresql.operations import DatabaseOperations

if TYPE_CHECKING:
    _Base = DatabaseOperations
else:
    _Base = object


class DatabaseOperationsMixin(_Base):
    compiler_module = "appschema.backends.compiler"

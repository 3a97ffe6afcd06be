"""The operations of the backend: which compilers make its SQL."""

from __future__ import annotations


class DatabaseOperationsMixin:
    compiler_module = "appschema.backends.compiler"

"""The test database, serialized with all its schemas."""

from __future__ import annotations


class DatabaseCreationMixin:
    pass

"""One customer, one PostgreSQL schema, for Django."""

from .context import activate, current_schema, deactivate, in_current_schema, schema_context

__all__ = ["activate", "current_schema", "deactivate", "in_current_schema", "schema_context"]

__version__ = "0.1.0"

"""The signals that appschema sends."""

from django.dispatch import Signal

schema_created = Signal()
"""A new schema is committed. Arguments: ``schema_name``, ``using``."""

schema_dropped = Signal()
"""A schema is gone for good. Arguments: ``schema_name``, ``using``."""

"""The signals that appschema sends."""

from django.dispatch import Signal

registry_changed = Signal()
"""Rows of the registry were written, one by one or by a queryset. Argument: ``using``."""

schema_created = Signal()
"""A new schema is committed. Arguments: ``schema_name``, ``using``."""

schema_dropped = Signal()
"""A schema is gone for good. Arguments: ``schema_name``, ``using``."""

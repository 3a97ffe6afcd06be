"""The signals that appschema sends."""

from django.dispatch import Signal

registry_changed = Signal()
"""Rows of the registry were written, one by one or by a queryset. Argument: ``using``."""

schema_created = Signal()
"""A new schema is committed. Arguments: ``schema_name``, ``using``."""

schema_renamed = Signal()
"""A schema has another name. Arguments: ``old_name``, ``new_name``, ``using``."""

schema_dropped = Signal()
"""A schema is out of service, and can be had back. Arguments: ``schema_name``, ``using``."""

schema_undropped = Signal()
"""A dropped schema is back. Arguments: ``schema_name``, ``using``."""

schema_purged = Signal()
"""A schema is gone for good: its files may go too. Arguments: ``schema_name``, ``using``."""

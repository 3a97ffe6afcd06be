"""The signals that appschema sends; the sender is ``appschema.models.Schema``.

But for ``registry_changed`` they are sent after the commit, so never for what was rolled back.
Receivers take ``**kwargs`` and enter the schema that they mean by themselves; their errors are logged
by Django and stop nobody. In a ``TestCase``, whose transaction is never committed, they are sent within
``captureOnCommitCallbacks(execute=True)``.
"""

from django.dispatch import Signal

registry_changed = Signal()
"""Rows of the registry were written, one by one or by a queryset. Argument: ``using``.

Sent at once, inside the transaction: what was remembered of the registry may be wrong from here on.
"""

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

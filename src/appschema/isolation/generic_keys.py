"""What a generic key leads to is of the schema of the instance that has it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps

from .crossing import refuse_crossing
from .extending import extend
from .read_rows import forget_of_another_schema


def find_generic_fields() -> Any | None:
    """Return the module of generic keys and relations, or None where its app is not installed."""
    if not apps.is_installed("django.contrib.contenttypes"):
        return None
    # It holds a model, which cannot be imported without the app.
    return import_module("django.contrib.contenttypes.fields")


def guard_generic_keys() -> None:
    """Refuse to follow a generic key in another schema; forget what a shared instance's led to."""
    if fields := find_generic_fields():
        # From Django 6.1 on the field and what follows it are two classes.
        extend(
            getattr(fields, "GenericForeignKeyDescriptor", fields.GenericForeignKey),
            "__get__",
            _following,
        )


def _following(original: Any) -> Any:
    def get(self: Any, instance: Any, cls: Any = None) -> Any:
        if instance is not None:
            field = self if hasattr(self, "ct_field") else self.field
            forget_of_another_schema(field, instance)
            if not field.is_cached(instance):
                refuse_crossing(instance)
        return original(self, instance, cls)

    return get

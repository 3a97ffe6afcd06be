"""``CACHES = {"default": {..., "KEY_FUNCTION": "appschema.isolation.cache.make_key"}}``."""

from __future__ import annotations

from appschema.context import current_schema


def make_key(key: str, key_prefix: str, version: int) -> str:
    """Return a cache key that no other schema can have; Django's own form, with the schema."""
    # A schema's name never holds a colon, so no two schemas' keys can meet.
    return f"{current_schema() or ''}:{key_prefix}:{version}:{key}"

"""What Django remembers per process, remembered per schema instead."""

from __future__ import annotations

from functools import wraps
from importlib import import_module
from typing import Any

from django.apps import apps

from appschema.signals import schema_created, schema_dropped

from .keyed import SchemaKeyedDict

_content_types = SchemaKeyedDict()
_sites = SchemaKeyedDict()


def key_by_schema() -> None:
    """Key the caches of content types and sites by schema; ids differ between schemas."""
    if apps.is_installed("django.contrib.contenttypes"):
        model = apps.get_model("contenttypes", "ContentType")
        for manager in (*model._meta.local_managers, *model._meta.managers):
            manager._cache = _content_types  # type: ignore[attr-defined]
        _key_managers_of_states(import_module(model.__module__))
    if apps.is_installed("django.contrib.sites"):
        module = vars(import_module("django.contrib.sites.models"))
        module["SITE_CACHE"] = _sites
        # Django's own would put a plain dict in its place.
        module["SiteManager"].clear_cache = lambda manager: _sites.clear()
    for signal in (schema_created, schema_dropped):
        signal.connect(_forget, dispatch_uid="appschema.memory")


def _key_managers_of_states(module: Any) -> None:
    """Key what the managers of migrations' models remember: those live for many schemas too."""
    manager = module.ContentTypeManager
    found = manager.__init__

    @wraps(found)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        found(self, *args, **kwargs)
        self._cache = SchemaKeyedDict()

    if not hasattr(found, "__wrapped__"):
        manager.__init__ = init


def _forget(*, schema_name: str, **kwargs: object) -> None:
    """Whoever gets the name of a schema that is gone gets none of what was remembered of it."""
    for cache in (_content_types, _sites):
        cache.forget_schema(schema_name)

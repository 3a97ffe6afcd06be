"""What Django remembers per process, remembered per schema instead."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps

from .keyed import SchemaKeyedDict


def key_by_schema() -> None:
    """Key the caches of content types and sites by schema; ids differ between schemas."""
    if apps.is_installed("django.contrib.contenttypes"):
        manager_model = apps.get_model("contenttypes", "ContentType")
        cache = SchemaKeyedDict()
        for manager in (*manager_model._meta.local_managers, *manager_model._meta.managers):
            manager._cache = cache  # type: ignore[attr-defined]  # noqa: SLF001
    if apps.is_installed("django.contrib.sites"):
        vars(import_module("django.contrib.sites.models"))["SITE_CACHE"] = SchemaKeyedDict()

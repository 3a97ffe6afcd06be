"""Templates that differ between schemas, remembered by schema.

Templates in files are the same for all schemas, and Django's loaders are right for them. This is
for a loader whose answer depends on the schema: one that reads rows, or a directory per schema.
"""

from __future__ import annotations

from typing import Any

from django.template.loaders import cached

from appschema.context import current_schema


class CachedLoader(cached.Loader):
    """Django's cached loader, which has a memory for each schema.

    ``"loaders": [("appschema.isolation.templates.CachedLoader", ["project.loaders.FromRows"])]``
    """

    def cache_key(self, template_name: str, skip: Any = None) -> str:
        # No name of a schema holds a colon.
        return f"{current_schema() or ''}:{super().cache_key(template_name, skip)}"

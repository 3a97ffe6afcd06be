"""``createcachetable`` as the owner of the tables."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.createcachetable import Command as DjangoCreateCacheTable

from appschema.context import as_owner


class Command(DjangoCreateCacheTable):
    @as_owner()
    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)

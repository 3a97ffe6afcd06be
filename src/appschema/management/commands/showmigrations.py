"""``showmigrations`` of the apps that are placed in the current schema."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.commands.showmigrations import Command as DjangoShowMigrations

from appschema.context import current_schema
from appschema.names import PUBLIC
from appschema.placement import get_placement
from appschema.router import is_ours


class Command(DjangoShowMigrations):
    def _placed(self, connection: Any, app_names: Any) -> list[str] | None:
        """Return the apps to show: those asked for, or all, as far as they are placed here."""
        if not is_ours(connection):
            return app_names or None
        placement, public = get_placement(), current_schema() in (None, PUBLIC)
        asked = app_names or [each.label for each in apps.get_app_configs()]
        placed = [label for label in asked if placement.holds(label, public=public)]
        if elsewhere := sorted(set(asked) - set(placed)):
            where = (
                "the schemas: type 'manage.py inschema NAME showmigrations'" if public else "public"
            )
            self.stdout.write(self.style.NOTICE(f"({', '.join(elsewhere)}: in {where})"))
        return placed

    def show_list(self, connection: Any, app_names: Any = None) -> None:
        placed = self._placed(connection, app_names)
        if placed != []:
            super().show_list(connection, placed)

    def show_plan(self, connection: Any, app_names: Any = None) -> None:
        placed = self._placed(connection, app_names)
        if placed != []:
            super().show_plan(connection, placed)

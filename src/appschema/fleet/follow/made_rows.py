"""The rows that Django's own receivers of post_migrate make: content types, permissions, the site.

In the first schema of a group the receivers run. For the others what they would make is written as
SQL, for all models at once. Receivers of other packages run in each schema.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps as global_apps
from django.conf import settings
from django.contrib.auth import management
from django.db import router
from django.db.models.signals import post_migrate

from appschema.fleet.receivers import find_receivers, name_of
from appschema.names import quote_identifier, quote_literal
from appschema.placement import Placement

CONTENT_TYPES = "django.contrib.contenttypes.management.create_contenttypes"
PERMISSIONS = "django.contrib.auth.management.create_permissions"
SITE = "django.contrib.sites.management.create_default_site"
OF_DJANGO = frozenset({CONTENT_TYPES, PERMISSIONS, SITE})
"""The receivers whose rows are made here."""
RENAMES = frozenset(
    {"django.contrib.contenttypes.management.inject_rename_contenttypes_operations"}
)
"""The receivers of pre_migrate that put operations into the plan of the first schema."""


# A row of VALUES without its number, which tells the order.
_NUMBERED = re.compile(r"\(\d+, ('.*?')\)(?=, \(\d+, '|\) AS w )", re.DOTALL)


@dataclass(frozen=True)
class MadeRows:
    """What a schema's models want, as statements that make what is missing."""

    statements: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A text that is the same for the same rows, in whatever order their models are known."""
        words = sorted(_NUMBERED.findall("\n".join(self.statements)))
        words += [each for each in self.statements if " AS w " not in each]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()


def find_made_rows(apps: Any, placement: Placement, using: str) -> MadeRows:
    """Return the rows that Django would make in the current schema for the models of *apps*.

    ``apps`` is Django's registry or a rendered state.
    """
    configs = [
        each
        for each in global_apps.get_app_configs()
        if each.models_module is not None and placement.in_schemas(each.label)
    ]
    names = {
        name_of(receiver) for each in configs for receiver in find_receivers(post_migrate, each)
    }
    statements: list[str] = []
    content_type = _model(apps, "contenttypes", "ContentType", using)
    permission = _model(apps, "auth", "Permission", using)
    site = _model(apps, "sites", "Site", using)
    if content_type and names & {CONTENT_TYPES, PERMISSIONS}:
        statements += _content_types(content_type, _models(apps, configs))
    if content_type and permission and PERMISSIONS in names:
        statements += _permissions(permission, content_type, _models(apps, configs))
    if site and SITE in names:
        statements += _site(site)
    return MadeRows(tuple(statements))


def _model(apps: Any, label: str, name: str, using: str) -> Any:
    try:
        model = apps.get_model(label, name)
    except LookupError:
        return None
    return model if router.allow_migrate_model(using, model) else None


def _models(apps: Any, configs: Iterable[Any]) -> Iterator[Any]:
    for each in configs:
        try:
            yield from apps.get_app_config(each.label).get_models()
        except LookupError:
            continue


def _content_types(content_type: Any, models: Iterable[Any]) -> list[str]:
    table = quote_identifier(content_type._meta.db_table)
    rows = ", ".join(
        f"({number}, {quote_literal(each._meta.app_label)}, {quote_literal(each._meta.model_name)})"
        for number, each in enumerate(models)
    )
    if not rows:
        return []
    # Those that are there are not tried: Django's own would not draw numbers for them either.
    return [
        (
            f"INSERT INTO {table} (app_label, model) SELECT w.app_label, w.model"
            f" FROM (VALUES {rows}) AS w (number, app_label, model) WHERE NOT EXISTS"
            f" (SELECT FROM {table} t WHERE t.app_label = w.app_label AND t.model = w.model)"
            " ORDER BY number ON CONFLICT DO NOTHING"
        )
    ]


def _permissions(permission: Any, content_type: Any, models: Iterable[Any]) -> list[str]:
    table = quote_identifier(permission._meta.db_table)
    types = quote_identifier(content_type._meta.db_table)
    wanted = [
        (each._meta.app_label, each._meta.model_name, codename, str(name))
        for each in models
        for codename, name in management._get_all_permissions(each._meta)  # type: ignore[attr-defined]  # noqa: SLF001 - as Django
    ]
    rows = ", ".join(
        f"({number}, {', '.join(map(quote_literal, each))})" for number, each in enumerate(wanted)
    )
    if not rows:
        return []
    return [
        (
            f"INSERT INTO {table} (name, content_type_id, codename) SELECT w.name, t.id, w.codename"
            f" FROM (VALUES {rows}) AS w (number, app_label, model, codename, name)"
            f" JOIN {types} t ON t.app_label = w.app_label AND t.model = w.model WHERE NOT EXISTS"
            f" (SELECT FROM {table} p WHERE p.content_type_id = t.id AND p.codename = w.codename)"
            " ORDER BY number ON CONFLICT DO NOTHING"
        )
    ]


def _site(site: Any) -> list[str]:
    table = quote_identifier(site._meta.db_table)
    name = quote_literal("example.com")
    number = int(getattr(settings, "SITE_ID", 1))
    return [
        (
            f"INSERT INTO {table} (id, domain, name) SELECT {number}, {name}, {name}"
            f" WHERE NOT EXISTS (SELECT FROM {table})"
        ),
        (
            f"SELECT setval(pg_get_serial_sequence({quote_literal(table)}, 'id'),"
            f" coalesce(max(id), 1), max(id) IS NOT null) FROM {table}"
        ),
    ]

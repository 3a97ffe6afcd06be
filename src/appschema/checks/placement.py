"""The settings themselves: the placement of apps, the path, the ENGINE, the order of apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from appschema.conf import Config, find_unknown, get_config
from appschema.exceptions import AppSchemaError
from appschema.names import PUBLIC
from appschema.placement import APP_LABEL, Placement, get_placement, names_app
from appschema.router import is_ours


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings, the placement of apps and the models across it."""
    try:
        config = get_config()
    except (ImproperlyConfigured, AppSchemaError) as error:
        return [
            Error(
                str(error), hint="See the reference of settings in the docs.", id="appschema.E001"
            )
        ]
    return [
        *_check_names(),
        *_check_apps(config),
        *_check_path(config),
        *_check_relations(get_placement()),
        *_check_engine(),
        *_check_commands(),
    ]


def _check_names() -> Iterator[CheckMessage]:
    for name, near in find_unknown().items():
        yield Warning(
            f"{name} is no setting of appschema, and changes nothing.",
            hint=f"Did you mean {near}?" if near else "See the reference of settings in the docs.",
            id="appschema.W012",
        )


def _check_apps(config: Config) -> Iterator[CheckMessage]:
    configs = list(apps.get_app_configs())
    seen: dict[str, str] = {}
    for setting, entries in (
        ("APPSCHEMA_SHARED_APPS", config.shared_apps),
        ("APPSCHEMA_BOTH_APPS", config.both_apps),
    ):
        for entry in entries:
            found = next((each for each in configs if names_app(entry, each)), None)
            if found is None:
                yield Error(
                    f"{setting} holds {entry!r}, which is no installed app.",
                    hint=_near(entry, configs),
                    id="appschema.E002",
                )
            elif found.label in seen:
                yield Error(
                    f"{setting} holds {entry!r}, but {seen[found.label]} has the app"
                    f" {found.label!r} already.",
                    hint="Leave one of the two entries.",
                    id="appschema.E003",
                )
            else:
                seen[found.label] = setting
            if found and found.label == APP_LABEL and setting == "APPSCHEMA_BOTH_APPS":
                yield Error(
                    "APPSCHEMA_BOTH_APPS holds 'appschema', whose registry lives once, in public.",
                    hint="Remove the entry; appschema is always shared.",
                    id="appschema.E003",
                )


def _near(entry: str, configs: Iterable[AppConfig]) -> str:
    last = entry.rsplit(".", 1)[-1]
    close = [each.name for each in configs if last in (each.label, each.name.rsplit(".", 1)[-1])]
    if close:
        return f"Did you mean {close[0]!r}?"
    return (
        "Give the app's label, its module path or the path of its AppConfig, as in INSTALLED_APPS."
    )


def _check_path(config: Config) -> Iterator[CheckMessage]:
    if PUBLIC not in config.default_path:
        yield Error(
            f"APPSCHEMA_DEFAULT_PATH is {list(config.default_path)!r} and lacks 'public', where the"
            " shared tables are.",
            hint=f"Set it to {[*config.default_path, PUBLIC]!r}.",
            id="appschema.E004",
        )


def _check_relations(placement: Placement) -> Iterator[CheckMessage]:
    for model in apps.get_models(include_auto_created=True):
        if not placement.in_public(model._meta.app_label):
            continue
        for field in model._meta.local_fields:
            target = field.related_model if field.is_relation else None
            if not (isinstance(target, type) and issubclass(target, Model)):
                continue
            constrained = getattr(field, "db_constraint", False)
            if constrained and not placement.in_public(target._meta.app_label):
                yield Error(
                    f"{model._meta.label}.{field.name} is a foreign key of a table in public to"
                    f" {target._meta.label!r}, whose tables live in the schemas.",
                    hint=f"Make {target._meta.app_label!r} a shared or both app, or"
                    f" {model._meta.app_label!r} an isolated one.",
                    obj=model,
                    id="appschema.E005",
                )


def _check_replicas() -> Iterator[CheckMessage]:
    """Tell of aliases that lead to a database with schemas, or its replica, and carry none."""
    ours = {
        each["NAME"]: alias
        for alias, each in connections.settings.items()
        if each["NAME"] and is_ours(connections[alias])
    }
    for alias, each in connections.settings.items():
        same = ours.get(each["NAME"])
        if same and connections[alias].vendor == "postgresql" and not is_ours(connections[alias]):
            yield Warning(
                f"The database {alias!r} bears the name of {same!r}, {each['NAME']!r}, and its ENGINE"
                f" {each['ENGINE']!r} carries no schema: queries there read the tables of public.",
                hint=f"Set its ENGINE to that of {same!r}. If it is another database, add"
                " 'appschema.W011' to SILENCED_SYSTEM_CHECKS.",
                id="appschema.W011",
            )


def _check_engine() -> Iterator[CheckMessage]:
    engines = {alias: each["ENGINE"] for alias, each in connections.settings.items()}
    if any(is_ours(connections[alias]) for alias in engines):
        if not is_ours(connections[DEFAULT_DB_ALIAS]):
            yield Warning(
                f"The database {DEFAULT_DB_ALIAS!r} has the ENGINE {engines[DEFAULT_DB_ALIAS]!r},"
                " which carries no schema; only other databases do.",
                hint="Isolated models must be routed to a database whose ENGINE is appschema's.",
                id="appschema.W002",
            )
        yield from _check_replicas()
        return
    yield Error(
        f"No database has an ENGINE of appschema; 'default' has {engines[DEFAULT_DB_ALIAS]!r}."
        " Schemas exist in PostgreSQL only.",
        hint="Set DATABASES['default']['ENGINE'] to 'appschema.backends.postgresql' or"
        " 'appschema.backends.postgis'.",
        id="appschema.E006",
    )


def _check_commands() -> Iterator[CheckMessage]:
    """Django takes a command from the first app that has one of that name."""
    ours: set[str] = set()
    for app_config in reversed(list(apps.get_app_configs())):
        commands = set(find_commands(str(Path(app_config.path) / "management")))
        if app_config.label == APP_LABEL:
            ours = commands
        elif hidden := sorted(commands & ours):
            yield Error(
                f"{app_config.name!r} stands before 'appschema' in INSTALLED_APPS and has a command"
                f" {hidden[0]!r} of its own, which is run instead of appschema's.",
                hint="Put 'appschema' before it.",
                id="appschema.E007",
            )

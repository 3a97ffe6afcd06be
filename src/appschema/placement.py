"""Which apps' tables live where: shared in public, isolated in every schema, both in both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.apps import AppConfig, apps
from django.db.models import Model

from .conf import Config, get_config

APP_LABEL = "appschema"


@dataclass(frozen=True)
class Placement:
    """The labels of the installed apps by where their tables live.

    A label that is in no set belongs to no installed app (Django's own records of migrations,
    the cache table): it is taken to live in public and in every schema.
    """

    shared: frozenset[str]
    isolated: frozenset[str]
    both: frozenset[str]

    def in_public(self, app_label: str) -> bool:
        """Tell whether the app has tables in public."""
        return app_label not in self.isolated

    def in_schemas(self, app_label: str) -> bool:
        """Tell whether the app has tables in every schema."""
        return app_label not in self.shared

    def holds(self, app_label: str, *, public: bool) -> bool:
        """Tell whether the app has tables in public, or (``public=False``) in schemas."""
        return self.in_public(app_label) if public else self.in_schemas(app_label)


class Names(tuple[str, ...]):
    """Names that are compared by identity: they are the key of memories that are asked often."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


@dataclass(frozen=True)
class Tables:
    """The tables of the installed models, by placement."""

    isolated: dict[str, type[Model]]
    both: dict[str, type[Model]]

    # Asked for with every statement, so they are made once and not with each look.
    in_schemas: dict[str, type[Model]] = field(init=False, repr=False, compare=False)
    """The isolated and the both apps' tables together."""

    names_of_both: Names = field(init=False, repr=False, compare=False)
    """The names of the both apps' tables, which public has too."""

    names_in_schemas: Names = field(init=False, repr=False, compare=False)
    """Those, and the isolated apps' tables that migrations make: public may have one left."""

    of_any_kind: Names = field(init=False, repr=False, compare=False)
    """Those of the both apps that no migration of a model makes: it may be a view of any kind."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_schemas", {**self.both, **self.isolated})
        object.__setattr__(self, "names_of_both", Names(self.both))
        made = (
            table
            for table, model in self.in_schemas.items()
            if table in self.both or (_makes_table(model) and '"' not in table)
        )
        object.__setattr__(self, "names_in_schemas", Names(made))
        of_any_kind = (table for table, model in self.both.items() if not _makes_table(model))
        object.__setattr__(self, "of_any_kind", Names(of_any_kind))


_cached: tuple[object, Placement] | None = None
_cached_tables: tuple[object, Config, Tables] | None = None
_NO_TABLES = Tables({}, {})


def names_app(entry: str, config: AppConfig) -> bool:
    """Tell whether a settings entry (label, module path or AppConfig path) means this app."""
    kind = type(config)
    return entry in (config.label, config.name, f"{kind.__module__}.{kind.__qualname__}")


def labels_of(entries: Iterable[str], configs: Iterable[AppConfig]) -> frozenset[str]:
    """Return the labels that the entries name; entries that name no app are passed over."""
    entries = tuple(entries)
    return frozenset(
        config.label for config in configs if any(names_app(entry, config) for entry in entries)
    )


def get_placement() -> Placement:
    """Return the placement of the installed apps.

    Without ``appschema`` among them nothing is isolated: the backend then only carries
    the current schema.
    """
    global _cached
    config = get_config()
    # Both are replaced, never changed, by Django and by get_config() when settings change.
    key = (apps.app_configs, config)
    if _cached is None or _cached[0][0] is not key[0] or _cached[0][1] is not config:  # type: ignore[index]
        _cached = (key, _build(config))
    return _cached[1]


def _build(config: Config) -> Placement:
    configs = list(apps.get_app_configs())
    labels = frozenset(each.label for each in configs)
    if APP_LABEL not in labels:
        return Placement(shared=labels, isolated=frozenset(), both=frozenset())
    both = labels_of(config.both_apps, configs) - {APP_LABEL}
    shared = labels_of(config.shared_apps, configs) - both | {APP_LABEL}
    return Placement(shared=shared, isolated=labels - shared - both, both=both)


def get_tables() -> Tables:
    """Return the isolated and both apps' tables; none while models are still loading."""
    global _cached_tables
    if not apps.models_ready:
        return _NO_TABLES
    # Django returns one and the same list until a model is registered or the installed apps
    # change; so this is two comparisons, with every statement.
    models = apps.get_models(True, False)  # include_auto_created, include_swapped
    config = get_config()
    cached = _cached_tables
    if cached is None or cached[0] is not models or cached[1] is not config:
        cached = _cached_tables = (models, config, _build_tables(models, get_placement()))
    return cached[2]


def _build_tables(models: Iterable[type[Model]], placement: Placement) -> Tables:
    # A table is where the model that makes it is placed: a proxy or an unmanaged model over it
    # may be defined in any app, and counts only for a table that no model makes.
    owners: dict[str, type[Model]] = {}
    for model in sorted(models, key=lambda each: not _makes_table(each)):
        owners.setdefault(model._meta.db_table, model)
    return Tables(
        isolated={t: m for t, m in owners.items() if m._meta.app_label in placement.isolated},
        both={t: m for t, m in owners.items() if m._meta.app_label in placement.both},
    )


def _makes_table(model: type[Model]) -> bool:
    return model._meta.managed and not model._meta.proxy

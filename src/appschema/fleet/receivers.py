"""pre_migrate and post_migrate, sent for what is placed in the current schema."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.dispatch import Signal
from django.utils.module_loading import module_has_submodule

from appschema.placement import Placement


def load_receivers() -> None:
    """Import each app's ``management`` module, where apps connect to pre_ and post_migrate."""
    for app_config in apps.get_app_configs():
        if app_config.module and module_has_submodule(app_config.module, "management"):
            import_module(".management", app_config.name)


def send_placed(
    signal: Signal,
    placement: Placement,
    *,
    public: bool,
    without: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
    **arguments: Any,
) -> None:
    """Send *signal* for each app that is placed here, as Django does for each app.

    In public the receivers that an isolated app has connected for every sender are left out:
    the tables that they expect are not there. Those whose names are in ``without`` are too, and
    those whose are not in ``only``.
    """
    for app_config in apps.get_app_configs():
        if app_config.models_module is None:
            continue
        if not placement.holds(app_config.label, public=public):
            continue
        for receiver, is_asynchronous in find_receivers(signal, app_config).items():
            owner = _app_of(receiver)
            if public and owner is not None and not placement.in_public(owner):
                continue
            name = name_of(receiver)
            if name in without or (only is not None and name not in only):
                continue
            call = async_to_sync(receiver) if is_asynchronous else receiver
            call(signal=signal, sender=app_config, app_config=app_config, **arguments)


def find_receivers(signal: Signal, sender: Any) -> dict[Callable[..., Any], bool]:
    """Return who receives *signal* from *sender*, and whether it is asynchronous."""
    # Signal.send() cannot leave receivers out.
    ordinary, asynchronous = signal._live_receivers(sender)[:2]  # noqa: SLF001
    return {**dict.fromkeys(ordinary, False), **dict.fromkeys(asynchronous, True)}


def others_receive(signal: Signal, placement: Placement, known: frozenset[str]) -> bool:
    """Tell whether any receiver in a schema is not among those *known* by name."""
    return any(
        name_of(receiver) not in known
        for app_config in apps.get_app_configs()
        if app_config.models_module is not None and placement.in_schemas(app_config.label)
        for receiver in find_receivers(signal, app_config)
    )


def name_of(receiver: Callable[..., Any]) -> str:
    """Return where *receiver* is defined, as a dotted path."""
    receiver = _unwrapped(receiver)
    kind = type(receiver)
    module = getattr(receiver, "__module__", None) or kind.__module__
    return f"{module}.{getattr(receiver, '__qualname__', kind.__qualname__)}"


def _unwrapped(receiver: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(receiver, functools.partial):
        receiver = receiver.func
    return receiver


def _app_of(receiver: Callable[..., Any]) -> str | None:
    """Return the label of the installed app that *receiver* is defined in."""
    receiver = _unwrapped(receiver)
    module = getattr(receiver, "__module__", None) or type(receiver).__module__
    config = apps.get_containing_app_config(module)
    return config.label if config else None

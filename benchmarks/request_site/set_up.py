"""The tables and rows of a variant, one schema for each host."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from django.apps import apps
from django.core.management import call_command
from django.db import connection

from appschema import schema_context

from .items.models import Item
from .settings import VARIANT
from .urls import ROWS


def set_up(hosts: Sequence[str]) -> None:
    """Make everything that the requests need."""
    if VARIANT == "plain":
        _make(Item)
        _fill()
    elif VARIANT == "appschema":
        _set_up_ours(hosts)
    else:
        _set_up_peer(hosts)
    with connection.cursor() as cursor:
        # What autovacuum would do at some moment of the measurement.
        cursor.execute("VACUUM ANALYZE")


def _set_up_ours(hosts: Sequence[str]) -> None:
    # It imports models that are installed in this variant only.
    new_schema = import_module("appschema.provisioning").new_schema
    call_command("migrate", run_syncdb=True, verbosity=0)
    for host in hosts:
        name = host.split(".")[0]
        new_schema(name, host)
        with schema_context(name):
            _fill()


def _set_up_peer(hosts: Sequence[str]) -> None:
    registry = f"{VARIANT.removeprefix('django-')}_registry"
    tenant, domain = (apps.get_model(registry, name) for name in ("Tenant", "Domain"))
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO public")
    _make(tenant)
    _make(domain)
    _make(Item)
    for host in hosts:
        name = host.split(".")[0]
        row = tenant(schema_name=name)
        row.save()
        domain(domain=host, tenant=row, is_primary=True).save()
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {name}")
            cursor.execute(f"CREATE TABLE {name}.items_item (LIKE public.items_item INCLUDING ALL)")
            cursor.execute(
                f"INSERT INTO {name}.items_item (id, name)"
                f" SELECT n, 'item ' || n FROM generate_series(1, {ROWS}) AS n"
            )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE public.items_item")


def _make(model: type) -> None:
    with connection.schema_editor() as editor:
        editor.create_model(model)


def _fill() -> None:
    Item.objects.bulk_create(Item(name=f"item {n}") for n in range(1, ROWS + 1))

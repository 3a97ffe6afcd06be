"""A migration's Python in a schema may make rows of shared models, as published apps do for permissions."""

import pytest

from tests.integration.fleet.conftest import Site, create, migration

# What Wagtail's wagtailcore.0086 does: its next step looks up the permissions.
ADD_PERMISSIONS = """
from django.contrib.auth.management import create_permissions

def add_permissions(apps, schema_editor):
    app_config = apps.get_app_config("shop")
    app_config.models_module = True
    create_permissions(app_config, verbosity=0, apps=apps)
    app_config.models_module = None

def count_permissions(apps, schema_editor):
    codenames = apps.get_model("auth", "Permission").objects.values_list("codename", flat=True)
    schema_editor.execute(
        "INSERT INTO public.found SELECT current_schema(), %s", [sorted(codenames.filter(codename__endswith="_order"))]
    )
"""


@pytest.mark.parametrize("kind", ["a new schema", "a schema that is migrated"])
def test_permissions_are_made_in_a_migration_where_auth_is_shared(site: Site, kind: str):
    site.rows("CREATE TABLE public.found (schema_name text, codenames text[])")
    site.app("shop", migration(create("Item")), models="")
    site.place(
        shared=["auth", "contenttypes"],
        also=["django.contrib.contenttypes", "django.contrib.auth"],
    )
    adding = migration(
        create("Order"),
        "migrations.RunPython(functions.add_permissions)",
        "migrations.RunPython(functions.count_permissions)",
        depends=[("shop", "0001_first"), ("auth", "0012_alter_user_first_name_max_length")],
    )
    site.migrate()
    if kind == "a schema that is migrated":
        site.new("acme")
    (site.root / "shop/functions.py").write_text(ADD_PERMISSIONS)
    site.forget("shop")
    site.add("shop", "0002_next", adding)
    if kind == "a new schema":
        site.new("acme")
    else:
        site.migrate()
    assert site.rows("SELECT schema_name, codenames FROM public.found") == [
        ("acme", ["add_order", "change_order", "delete_order", "view_order"])
    ]

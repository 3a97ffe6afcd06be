"""pre_migrate and post_migrate are sent where their apps are placed."""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models.signals import post_migrate, pre_migrate

from appschema import current_schema, schema_context
from tests.integration.fleet.conftest import Site, create, migration

CONTRIB = ["django.contrib.contenttypes", "django.contrib.auth"]
SIGNALS = pytest.mark.parametrize("signal", [pre_migrate, post_migrate], ids=["pre", "post"])

OF_AN_APP = """
calls = []
def note(sender, **kwargs):
    from appschema import current_schema
    calls.append((sender.label, current_schema()))
class Noting:
    def __call__(self, sender, **kwargs):
        note(sender)
    def method(self, sender, **kwargs):
        note(sender)
async def note_later(sender, **kwargs):
    note(sender)
"""
THING = "class Thing(models.Model):\n    title = models.TextField(default='')\n"


@pytest.fixture
def three(site: Site) -> Site:
    for label in ("billing", "shop", "labels"):
        site.app(label, migration(create("Thing")), functions=OF_AN_APP, models=THING)
    site.place(shared=["billing"], both=["labels"])
    return site


def functions(label: str) -> Any:
    from importlib import import_module

    return import_module(f"{label}.functions")


@SIGNALS
def test_a_receiver_of_all_senders_sees_each_app_where_it_is_placed(three: Site, signal: Any):
    calls = []

    def note(sender: Any, **kwargs: Any) -> None:
        calls.append((sender.label, current_schema()))

    signal.connect(note)
    three.migrate()
    three.new("acme")
    assert [call for call in calls if call[1] == "public"] == [
        ("appschema", "public"),
        ("billing", "public"),
        ("labels", "public"),
    ]
    assert [call for call in calls if call[1] == "acme"] == [("shop", "acme"), ("labels", "acme")]


@SIGNALS
@pytest.mark.parametrize("kind", ["note", "Noting", "method", "note_later"])
def test_an_isolated_apps_receiver_never_runs_in_public(three: Site, signal: Any, kind: str):
    module = functions("shop")
    receivers = {
        "note": module.note,
        "note_later": module.note_later,
        "Noting": module.Noting(),
        "method": module.Noting().method,
    }
    signal.connect(receivers[kind], weak=False)
    three.migrate()
    assert module.calls == []
    three.new("acme")
    assert module.calls == [("shop", "acme"), ("labels", "acme")]


@SIGNALS
def test_an_isolated_apps_receiver_of_its_own_app_runs_in_schemas_only(three: Site, signal: Any):
    module = functions("shop")
    signal.connect(module.note, sender=apps.get_app_config("shop"))
    three.migrate()
    three.new("acme")
    assert module.calls == [("shop", "acme")]


@SIGNALS
def test_a_shared_apps_receiver_of_its_own_app_runs_in_public_only(three: Site, signal: Any):
    module = functions("billing")
    signal.connect(module.note, sender=apps.get_app_config("billing"))
    three.migrate()
    three.new("acme")
    assert module.calls == [("billing", "public")]


@SIGNALS
def test_a_both_apps_receiver_runs_in_public_and_in_schemas(three: Site, signal: Any):
    module = functions("labels")
    signal.connect(module.note, sender=apps.get_app_config("labels"))
    three.migrate()
    three.new("acme")
    assert module.calls == [("labels", "public"), ("labels", "acme")]


def test_receivers_get_what_django_gives_them(three: Site):
    given = []

    def note(**kwargs: Any) -> None:
        given.append(kwargs)

    post_migrate.connect(note, sender=apps.get_app_config("shop"), weak=False)
    three.migrate()
    three.new("acme")
    (arguments,) = given
    assert arguments["using"] == "default"
    assert arguments["apps"].get_model("shop", "Thing")
    assert [str(each) for each, _ in arguments["plan"]] == ["labels.0001_first", "shop.0001_first"]
    assert {"verbosity", "interactive", "app_config", "sender", "signal", "stdout"} <= set(
        arguments
    )


def test_a_receivers_rows_are_written_in_its_schema(three: Site):
    def fill(apps: Any, **kwargs: Any) -> None:
        apps.get_model("labels", "Thing").objects.create(title=str(current_schema()))

    post_migrate.connect(fill, sender=apps.get_app_config("labels"), weak=False)
    three.migrate()
    three.new("acme")
    assert three.rows("SELECT title FROM public.labels_thing") == [("public",)]
    assert three.rows("SELECT title FROM acme.labels_thing") == [("acme",)]


def permissions(site: Site, schema_name: str) -> set[str]:
    rows = site.rows(
        f"SELECT app_label || '.' || model FROM {schema_name}.auth_permission"
        f" JOIN {schema_name}.django_content_type AS c ON c.id = content_type_id"
    )
    return {label for (label,) in rows}


def test_isolated_permissions_and_content_types_are_made_in_each_schema(site: Site):
    site.app("billing", migration(create("Thing")), models=THING)
    site.app("shop", migration(create("Thing")), models=THING)
    site.place(shared=["billing"], also=CONTRIB)
    site.migrate()
    site.new("acme")
    assert {"shop.thing", "auth.user", "contenttypes.contenttype"} <= permissions(site, "acme")
    assert not {"auth_permission", "django_content_type"} & site.tables("public")


def test_shared_permissions_are_made_once_for_the_apps_of_schemas_too(site: Site):
    site.app("shop", migration(create("Thing")), models=THING)
    site.place(shared=CONTRIB, also=CONTRIB)
    site.migrate()
    assert "shop.thing" not in permissions(site, "public")
    site.new("acme")
    site.new("globex")
    assert {"shop.thing", "auth.user"} <= permissions(site, "public")
    assert site.rows(
        "SELECT count(*), count(DISTINCT codename) FROM auth_permission WHERE codename LIKE '%thing'"
    ) == [(4, 4)]


def test_publics_permissions_of_both_apps_leave_isolated_models_out(site: Site):
    site.app("shop", migration(create("Thing")), models=THING)
    site.place(both=CONTRIB, also=CONTRIB)
    site.migrate()
    assert "shop.thing" not in permissions(site, "public")
    site.new("acme")
    assert "shop.thing" not in permissions(site, "public")
    assert "shop.thing" in permissions(site, "acme")


def test_content_types_of_a_renamed_model_are_renamed_in_each_schema(site: Site):
    site.app("shop", migration(create("Thing")), models=THING)
    site.place(also=CONTRIB)
    site.migrate()
    site.new("acme")
    site.new("globex")
    site.app(
        "shop",
        migration(create("Thing")),
        migration('migrations.RenameModel("Thing", "Object")', depends=[("shop", "0001_first")]),
        models=THING.replace("Thing", "Object"),
    )
    site.place(also=CONTRIB)
    site.migrate()
    for name in ("acme", "globex"):
        models = site.rows(f"SELECT model FROM {name}.django_content_type WHERE app_label = 'shop'")
        assert models == [("object",)]


def test_a_receiver_that_fails_in_one_schema_stops_neither_the_others_nor_the_exit_code(
    three: Site, settings: Any
):
    from appschema.exceptions import MigrationError

    three.migrate()
    three.new("acme")
    three.new("globex")
    seen = []

    def fail(sender: Any, **kwargs: Any) -> None:
        seen.append(current_schema())
        if current_schema() == "acme":
            raise RuntimeError("not today")

    post_migrate.connect(fail, sender=apps.get_app_config("shop"))
    three.migrate()
    assert seen == []
    settings.APPSCHEMA_POST_MIGRATE = [f"{__name__}.{fail.__qualname__}"]
    with pytest.raises(MigrationError, match=r"^Failed in 1 of 3: acme\."):
        three.migrate()
    # Two sessions work at once: neither is always the first.
    assert len(seen) == 2
    assert set(seen) == {"acme", "globex"}
    with schema_context("acme"), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop_thing")


@SIGNALS
def test_a_receiver_may_write_where_the_command_writes_in_every_schema(three: Site, signal: Any):
    three.migrate()
    for name in ("acme", "globex", "initech"):
        three.new(name)
    three.add("shop", "0002_next", migration(create("Other"), depends=[("shop", "0001_first")]))

    def write(sender: Any, stdout: Any, **kwargs: Any) -> None:
        if sender.label == "shop":
            stdout.write(f"in {current_schema()}")

    signal.connect(write)
    lines = three.migrate("--jobs", "2").splitlines()
    assert {"in acme", "in globex", "in initech"} <= set(lines)

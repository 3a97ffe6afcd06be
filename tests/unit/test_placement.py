"""Which apps' tables live where, as the settings say it."""

import pytest
from django.apps import apps
from django.db import models, router
from django.db.utils import ConnectionRouter
from django.test import override_settings
from django.test.utils import isolate_apps

from appschema import placement
from appschema.placement import get_placement, get_tables
from appschema.router import PlacementRouter
from tests.sample.notes.models import Note
from tests.sample.plans.models import Plan

SPELLINGS = ["auth", "django.contrib.auth", "django.contrib.auth.apps.AuthConfig"]


def test_what_is_not_named_is_isolated() -> None:
    placement = get_placement()
    assert placement.shared == {"appschema", "plans"}
    assert placement.both == {"tags"}
    assert placement.isolated == {"auth", "contenttypes", "notes", "sessions"}


@pytest.mark.parametrize("entry", SPELLINGS)
def test_a_shared_app_is_named_by_label_module_or_config(entry: str) -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=[entry]):
        assert "auth" in get_placement().shared


@pytest.mark.parametrize("entry", SPELLINGS)
def test_a_both_app_is_named_by_label_module_or_config(entry: str) -> None:
    with override_settings(APPSCHEMA_BOTH_APPS=[entry]):
        assert "auth" in get_placement().both


@pytest.mark.parametrize("entry", ["AUTH", "contrib.auth", "django.contrib", "auth.User", ""])
def test_nothing_else_names_an_app(entry: str) -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=[entry]):
        assert get_placement().shared == {"appschema"}


@pytest.mark.parametrize("setting", ["APPSCHEMA_SHARED_APPS", "APPSCHEMA_BOTH_APPS"])
def test_appschema_is_shared_whatever_the_settings_say(setting: str) -> None:
    with override_settings(**{setting: ["appschema"]}):
        assert "appschema" in get_placement().shared
        assert "appschema" not in get_placement().both | get_placement().isolated


def test_each_app_has_one_place() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=["auth", "plans"], APPSCHEMA_BOTH_APPS=["auth"]):
        placement = get_placement()
    sets = (placement.shared, placement.isolated, placement.both)
    assert sorted(label for each in sets for label in each) == sorted(apps.app_configs)


@pytest.mark.parametrize(
    ("label", "in_public", "in_schemas"),
    [("plans", True, False), ("notes", False, True), ("tags", True, True)],
)
def test_an_app_is_where_it_is_placed(label: str, in_public: bool, in_schemas: bool) -> None:
    placement = get_placement()
    assert placement.in_public(label) is placement.holds(label, public=True) is in_public
    assert placement.in_schemas(label) is placement.holds(label, public=False) is in_schemas


def test_what_belongs_to_no_app_is_in_public_and_in_schemas() -> None:
    assert get_placement().in_public("migrations")
    assert get_placement().in_schemas("migrations")


def test_without_appschema_nothing_is_isolated() -> None:
    with override_settings(INSTALLED_APPS=["tests.sample.plans", "tests.sample.tags"]):
        placement = get_placement()
        assert placement.shared == {"plans", "tags"}
        assert not placement.isolated | placement.both


def test_placement_is_built_once_and_again_when_settings_change() -> None:
    first = get_placement()
    assert get_placement() is first
    with override_settings(APPSCHEMA_SHARED_APPS=[]):
        assert get_placement().shared == {"appschema"}
    assert get_placement() == first


def test_isolated_and_both_apps_tables_are_known_with_those_of_many_to_many_fields() -> None:
    tables = get_tables()
    assert set(tables.both) == {"tags_tag"}
    assert {"notes_note", "auth_user", "auth_user_groups"} <= set(tables.isolated)
    assert not {"plans_plan", "appschema_schema"} & set(tables.isolated)


@isolate_apps("tests.sample.plans", "tests.sample.notes")
def test_a_proxy_or_an_unmanaged_model_moves_no_table() -> None:
    class NoteReport(Note):
        class Meta:
            app_label = "plans"
            proxy = True

    class NoteView(models.Model):
        class Meta:
            app_label = "plans"
            managed = False
            db_table = "notes_note"

    class PlanView(models.Model):
        class Meta:
            app_label = "notes"
            managed = False
            db_table = "plans_plan"

    found = [NoteReport, NoteView, PlanView, Note, Plan]
    tables = placement._build_tables(found, get_placement())
    assert tables.isolated == {"notes_note": Note}
    assert tables.both == {}


def test_the_router_stands_before_the_projects_own_whatever_is_overridden() -> None:
    class Own:
        pass

    with override_settings(DATABASE_ROUTERS=[Own()]):
        assert [type(each) for each in router.routers] == [PlacementRouter, Own]
    assert [type(each) for each in router.routers] == [PlacementRouter]
    assert [type(each) for each in ConnectionRouter([Own()]).routers] == [Own]

"""What appschema puts around Django's methods is put there once."""

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model, QuerySet
from django.db.models.deletion import Collector
from django.db.models.query import RawQuerySet
from django.db.models.sql.query import Query, RawQuery

METHODS = [
    (Query, "__init__"),
    (Query, "check_query_object_type"),
    (RawQuery, "__init__"),
    (RawQuery, "clone"),
    (RawQuery, "_execute_query"),
    (QuerySet, "db"),
    (QuerySet, "contains"),
    (RawQuerySet, "db"),
    (Model, "save_base"),
    (Model, "delete"),
    (Model, "refresh_from_db"),
    (Collector, "related_objects"),
    (MigrationRecorder, "applied_migrations"),
    (MigrationRecorder, "record_applied"),
    (MigrationRecorder, "record_unapplied"),
]


def test_django_may_call_ready_again():
    """It does when a test installs other apps; each time a method more would be called, until Python refuses."""
    before = [vars(owner)[name] for owner, name in METHODS]
    apps.get_app_config("appschema").ready()
    assert [vars(owner)[name] for owner, name in METHODS] == before

"""Two schemas and public, with the same user in each: id, name and password hash."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connection
from django.test import override_settings

from appschema import schema_context
from appschema.provisioning import new_schema
from appschema.testing import remove_schema
from tests.integration.isolation.site import HOSTS, SITE


@pytest.fixture(scope="module")
def schemas(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        for name, host in HOSTS.items():
            new_schema(name, host)
    yield
    with django_db_blocker.unblock():
        for name in HOSTS:
            remove_schema(name)


@pytest.fixture(params=["sessions_isolated", "sessions_shared"])
def placement(request: pytest.FixtureRequest, schemas: None, db: None) -> Iterator[str]:
    shared = ["tests.sample.plans"]
    if request.param == "sessions_shared":
        shared.append("django.contrib.sessions")
    with override_settings(
        APPSCHEMA_SHARED_APPS=shared,
        ROOT_URLCONF=SITE,
        MIDDLEWARE=[
            "appschema.middleware.FqdnMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage",
    ):
        if request.param == "sessions_shared":
            _move_sessions_to_public()
        yield request.param


def _move_sessions_to_public() -> None:
    """As if the schemas had been migrated with this placement; the test's rollback undoes it."""
    with schema_context("public"), connection.schema_editor() as editor:
        for name in HOSTS:
            editor.execute(f"DROP TABLE {name}.django_session")
        editor.create_model(Session)


@pytest.fixture
def users(placement: str) -> dict[str, User]:
    made: dict[str, User] = {}
    password = make_password("secret")
    for name in HOSTS:
        with schema_context(name):
            made[name] = User.objects.create(
                pk=7, username="ann", email="ann@example.com", password=password
            )
    return made


@pytest.fixture
def session_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Django remembers it on the class.
    monkeypatch.setattr(FileStore, "_storage_path", str(tmp_path), raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    yield
    for each in caches.all():
        each.clear()


def engines() -> list[Any]:
    names = ("db", "cache", "cached_db", "file", "signed_cookies")
    return [
        *(pytest.param(f"django.contrib.sessions.backends.{name}", id=name) for name in names),
        pytest.param(SITE, id="own"),
    ]


@pytest.fixture(params=engines())
def engine(
    request: pytest.FixtureRequest, users: dict[str, User], session_files: Path
) -> Iterator[str]:
    with override_settings(SESSION_ENGINE=request.param):
        yield request.param

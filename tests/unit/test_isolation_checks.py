"""Each check of what keeps schemas apart above the database: what it finds, and its mend."""

from typing import Any

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DBStore
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning, run_checks
from django.core.files.storage import FileSystemStorage
from django.core.signing import TimestampSigner
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps

from appschema import checks
from appschema.isolation.storage import SchemaStorage
from appschema.placement import get_placement

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
MAKE_KEY = "appschema.isolation.cache.make_key"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
FQDN = "appschema.middleware.FqdnMiddleware"


def found() -> list[CheckMessage]:
    return checks.check_isolation(None)


def ids() -> list[str | None]:
    return [each.id for each in found()]


def caches(**entries: dict[str, Any]) -> Any:
    given = {"BACKEND": LOCMEM, "KEY_FUNCTION": MAKE_KEY}
    return override_settings(CACHES={"default": given, **entries})


class StubbornCache(LocMemCache):
    def make_key(self, key: Any, version: int | None = None) -> str:
        return f"mine:{key}"


class OwnSigner(TimestampSigner):
    def signature(self, value: Any, key: Any = None) -> str:
        return "signed"


class DerivedSigner(TimestampSigner):
    pass


def test_the_sample_site_has_no_fault() -> None:
    assert found() == []


def test_the_checks_are_registered() -> None:
    with override_settings(SESSION_COOKIE_DOMAIN=".example.com"):
        assert "appschema.W006" in {each.id for each in run_checks()}


def test_faulty_settings_of_ours_are_told_once() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS="plans"):
        assert found() == []


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(kind: type) -> None:
        monkeypatch.setattr("tests.sample.urls.SessionStore", kind, raising=False)

    with override_settings(SESSION_ENGINE="tests.sample.urls"):
        yield use


def test_e009_a_store_that_is_not_djangos(store: Any) -> None:
    class Store:
        pass

    store(Store)
    assert found() == [
        Error(
            "SESSION_ENGINE is 'tests.sample.urls', whose SessionStore is not derived from Django's"
            " SessionBase. A session cookie of one schema could be used in another.",
            hint="Derive it from 'django.contrib.sessions.backends.base.SessionBase'.",
            id="appschema.E009",
        )
    ]


def test_e009_a_store_that_makes_keys_by_itself(store: Any) -> None:
    class Store(DBStore):
        def _get_new_session_key(self) -> str:
            return "key"

    store(Store)
    assert found() == [
        Error(
            "SESSION_ENGINE is 'tests.sample.urls', whose SessionStore has a _get_new_session_key()"
            " of its own, which may not keep the keys of sessions to their schema.",
            hint="Leave the method to Django's SessionBase.",
            id="appschema.E009",
        )
    ]


@pytest.mark.parametrize("name", ["db", "cache", "cached_db", "file", "signed_cookies"])
def test_e009_not_for_djangos_engines(name: str) -> None:
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{name}"):
        assert found() == []


def test_e009_not_for_an_engine_of_the_project_nor_for_none(store: Any) -> None:
    class Store(SessionBase):
        pass

    store(Store)
    assert found() == []
    with override_settings(SESSION_ENGINE="nowhere"):
        assert found() == []
    with override_settings(SESSION_ENGINE="tests.sample.cases"):
        assert found() == []


def test_e010_signatures_of_its_own() -> None:
    with override_settings(SIGNING_BACKEND=f"{__name__}.OwnSigner"):
        assert found() == [
            Error(
                f"SIGNING_BACKEND is '{__name__}.OwnSigner', which makes signatures in its own way. A"
                " signed cookie of one schema could be used in another.",
                hint="Derive it from 'django.core.signing.TimestampSigner' and leave signature() to"
                " it.",
                id="appschema.E010",
            )
        ]
    with override_settings(SIGNING_BACKEND=f"{__name__}.DerivedSigner"):
        assert found() == []


def test_e011_sessions_before_the_schema() -> None:
    with override_settings(MIDDLEWARE=[SESSIONS, FQDN]):
        assert found() == [
            Error(
                f"{SESSIONS!r} stands before {FQDN!r} in MIDDLEWARE, so that it looks for each"
                " session with no schema active and finds none.",
                hint=f"Put {FQDN!r} first.",
                id="appschema.E011",
            )
        ]


@pytest.mark.parametrize(
    "middleware", [[], [FQDN], [SESSIONS], ["nowhere.Middleware", FQDN, SESSIONS]]
)
def test_e011_not_otherwise(middleware: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        assert found() == []


def test_w003_a_cache_without_key_function() -> None:
    with caches(default={"BACKEND": LOCMEM}):
        assert found() == [
            Warning(
                "The cache 'default' has no KEY_FUNCTION, so that schemas share its entries.",
                hint="Set CACHES['default']['KEY_FUNCTION'] to"
                " 'appschema.isolation.cache.make_key'; or, if nothing in it is a customer's, to"
                " 'django.core.cache.backends.base.default_key_func'.",
                id="appschema.W003",
            )
        ]


def test_w003_a_key_function_that_does_not_know_schemas() -> None:
    with caches(other={"BACKEND": LOCMEM, "KEY_FUNCTION": same_key}):
        (warning,) = found()
    assert warning.id == "appschema.W003"
    assert warning.msg.startswith("The cache 'other' has the KEY_FUNCTION <function same_key")


def same_key(key: Any, key_prefix: Any, version: Any) -> str:
    return str(key)


def test_w003_a_backend_that_does_not_use_it() -> None:
    backend = f"{__name__}.StubbornCache"
    with caches(other={"BACKEND": backend, "KEY_FUNCTION": MAKE_KEY}):
        assert found() == [
            Warning(
                f"The cache 'other' has the BACKEND {backend!r}, which does not use KEY_FUNCTION, so"
                " that schemas share its entries.",
                hint="Use a BACKEND that leaves make_key() to Django's BaseCache.",
                id="appschema.W003",
            )
        ]


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": LOCMEM, "KEY_FUNCTION": MAKE_KEY},
        {"BACKEND": LOCMEM, "KEY_FUNCTION": "django.core.cache.backends.base.default_key_func"},
        {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "t",
            "KEY_FUNCTION": MAKE_KEY,
        },
    ],
)
def test_w003_not_for_these(entry: dict[str, Any]) -> None:
    with caches(other=entry):
        assert found() == []


@pytest.mark.parametrize(
    ("label", "by_schema", "expected"),
    [
        ("notes", False, ["appschema.W004"]),
        ("tags", False, ["appschema.W004"]),
        ("plans", False, []),
        ("notes", True, []),
        ("tags", True, []),
        ("plans", True, ["appschema.W005"]),
    ],
)
@isolate_apps("tests.sample.plans", "tests.sample.notes", "tests.sample.tags")
def test_w004_and_w005_files_and_rows_live_alike(
    monkeypatch: pytest.MonkeyPatch, label: str, by_schema: bool, expected: list[str]
) -> None:
    plain = FileSystemStorage()
    wrapped = SchemaStorage("django.core.files.storage.FileSystemStorage")

    class Document(models.Model):
        file = models.FileField(storage=wrapped if by_schema else plain)
        name = models.CharField(max_length=10)

        class Meta:
            app_label = label

    monkeypatch.setattr(checks.isolation, "apps", Document._meta.apps)
    files = list(checks.isolation._check_files(get_placement()))
    assert [each.id for each in files] == expected
    assert all(f"{label}.Document.file " in each.msg for each in files)


@isolate_apps("tests.sample.notes")
def test_w004_looks_through_the_default_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Document(models.Model):
        file = models.FileField()

        class Meta:
            app_label = "notes"

    monkeypatch.setattr(checks.isolation, "apps", Document._meta.apps)
    placement = get_placement()
    assert [each.id for each in checks.isolation._check_files(placement)] == ["appschema.W004"]
    default = {
        "BACKEND": "appschema.isolation.storage.SchemaStorage",
        "OPTIONS": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    }
    with override_settings(STORAGES={"default": default}):
        assert list(checks.isolation._check_files(placement)) == []


@pytest.mark.parametrize("setting", ["SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN"])
def test_w006_a_cookie_for_the_hosts_of_all(setting: str) -> None:
    with override_settings(**{setting: ".example.com"}):
        assert found() == [
            Warning(
                f"{setting} is '.example.com': browsers send the cookie of one schema's host to the"
                " hosts of others, which replace it by their own.",
                hint=f"Set {setting} to None.",
                id="appschema.W006",
            )
        ]
        with override_settings(APPSCHEMA_SHARED_APPS=["plans", "auth", "sessions", "contenttypes"]):
            assert found() == []


def test_w007_users_in_schemas_and_sessions_in_public() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=["plans", "sessions"]):
        assert found() == [
            Warning(
                "The users of 'auth' are in the schemas, and the sessions of 'sessions' of all of them"
                " are in one table in public.",
                hint="Place 'sessions' as 'auth' is placed.",
                id="appschema.W007",
            )
        ]
        for engine in ("cache", "file", "signed_cookies"):
            with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
                assert found() == []


def test_w007_users_in_both_and_sessions_in_schemas() -> None:
    with override_settings(APPSCHEMA_BOTH_APPS=["tags", "auth", "contenttypes"]):
        assert found() == [
            Warning(
                "The users of 'auth' are in public and the sessions of 'sessions' are not: nobody can"
                " log in there.",
                hint="Place 'sessions' as 'auth' is placed.",
                id="appschema.W007",
            )
        ]
    with override_settings(APPSCHEMA_BOTH_APPS=["tags", "auth", "contenttypes", "sessions"]):
        assert found() == []

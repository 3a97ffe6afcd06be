"""A session cookie of one schema is worthless in another, with every engine and placement."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends import base
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import AsyncClient, Client, override_settings

from appschema import schema_context
from appschema.isolation import sessions
from appschema.testing import HostAsyncClient
from tests.integration.isolation.site import HOSTS

NOTHING = {"user": None, "cart": None}


def store(key: str | None = None) -> SessionBase:
    found: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return found


def get(client: Client, schema: str, page: str) -> dict[str, Any]:
    response = client.get(f"/{page}/", headers={"host": HOSTS[schema]})
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def replayed(client: Client | AsyncClient) -> Client:
    """Return another browser with the cookies of *client*."""
    other = Client()
    other.cookies.load({name: each.value for name, each in client.cookies.items()})
    return other


@pytest.fixture
def ann_in_a(engine: str) -> Client:
    client = Client()
    assert get(client, "stamp_a", "login") == {"user": 7}
    get(client, "stamp_a", "put")
    return client


def test_a_login_holds_in_its_schema(ann_in_a: Client) -> None:
    for _ in range(2):
        assert get(ann_in_a, "stamp_a", "show") == {"user": 7, "cart": "stamp_a"}


def test_a_cookie_of_another_schema_is_no_session(ann_in_a: Client) -> None:
    assert get(replayed(ann_in_a), "stamp_b", "show") == NOTHING


def test_a_cookie_of_a_schema_is_no_session_in_public(ann_in_a: Client, placement: str) -> None:
    with schema_context("public"):
        assert store(ann_in_a.cookies["sessionid"].value).get("cart") is None
    with schema_context(None):
        assert store(ann_in_a.cookies["sessionid"].value).get("cart") is None
    with schema_context("stamp_a"):
        assert store(ann_in_a.cookies["sessionid"].value).get("cart") == "stamp_a"


@pytest.mark.parametrize("page", ["put", "login", "logout"])
def test_what_is_done_with_it_elsewhere_leaves_the_session_as_it_is(
    ann_in_a: Client, page: str
) -> None:
    elsewhere = replayed(ann_in_a)
    get(elsewhere, "stamp_b", page)
    if page != "logout":
        assert elsewhere.cookies["sessionid"].value != ann_in_a.cookies["sessionid"].value
    assert get(ann_in_a, "stamp_a", "show") == {"user": 7, "cart": "stamp_a"}


def test_a_login_in_each_schema_is_that_schemas(ann_in_a: Client) -> None:
    ann_in_b = Client()
    get(ann_in_b, "stamp_b", "login")
    get(ann_in_b, "stamp_b", "put")
    assert get(ann_in_b, "stamp_b", "show") == {"user": 7, "cart": "stamp_b"}
    assert get(ann_in_a, "stamp_a", "show") == {"user": 7, "cart": "stamp_a"}
    assert get(replayed(ann_in_b), "stamp_a", "show") == NOTHING


def test_one_cookie_for_the_hosts_of_all_shows_nobody_elses_session(ann_in_a: Client) -> None:
    """A browser sends it everywhere, as the client of these tests does; a check warns of it."""
    with override_settings(SESSION_COOKIE_DOMAIN=".localhost"):
        get(ann_in_a, "stamp_b", "login")
        get(ann_in_a, "stamp_b", "put")
        assert get(ann_in_a, "stamp_b", "show") == {"user": 7, "cart": "stamp_b"}
        assert get(ann_in_a, "stamp_a", "show") == NOTHING


def test_a_session_that_is_first_read_inside_another_schemas_scope_is_its_own(
    ann_in_a: Client,
) -> None:
    assert get(ann_in_a, "stamp_a", "show-late") == {"user": 7, "cart": "stamp_a"}
    assert get(ann_in_a, "stamp_a", "show") == {"user": 7, "cart": "stamp_a"}


def test_a_log_out_ends_it(ann_in_a: Client) -> None:
    cookies = replayed(ann_in_a)
    get(ann_in_a, "stamp_a", "logout")
    if not settings.SESSION_ENGINE.endswith("signed_cookies"):  # nothing is kept that could end
        assert get(cookies, "stamp_a", "show") == NOTHING


def test_the_client_of_a_test_logs_in(engine: str, users: dict[str, User]) -> None:
    client = Client()
    with schema_context("stamp_a"):
        client.force_login(users["stamp_a"])
        session = client.session
        session["cart"] = "mine"
        session.save()
        if settings.SESSION_ENGINE.endswith("signed_cookies"):
            client.cookies["sessionid"] = session.session_key or ""
    assert get(client, "stamp_a", "show") == {"user": 7, "cart": "mine"}


async def aget(client: AsyncClient, schema: str, page: str) -> dict[str, Any]:
    client.host = HOSTS[schema].encode()  # type: ignore[attr-defined]
    response = await client.get(f"/{page}/")
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


async def _alogin_and_replay() -> None:
    ann, elsewhere = HostAsyncClient(), HostAsyncClient()
    assert await aget(ann, "stamp_a", "alogin") == {"user": 7}
    await aget(ann, "stamp_a", "aput")
    assert await aget(ann, "stamp_a", "ashow") == {"user": 7, "cart": "stamp_a"}
    for page in ("ashow", "aput", "alogout"):
        elsewhere.cookies.load({"sessionid": ann.cookies["sessionid"].value})
        found = await aget(elsewhere, "stamp_b", page)
        assert found in (NOTHING, {})
    assert await aget(ann, "stamp_a", "ashow") == {"user": 7, "cart": "stamp_a"}


def test_the_same_holds_for_asynchronous_views(engine: str) -> None:
    from asgiref.sync import async_to_sync

    async_to_sync(_alogin_and_replay)()


def test_keys_are_of_djangos_length_and_letters(engine: str) -> None:
    with schema_context("stamp_a"):
        session = store()
        session["a"] = 1
        session.save()
        key = session.session_key or ""
        assert store(key).session_key == key
        if engine.endswith("signed_cookies"):
            assert ":" in key  # the session itself, signed
        else:
            assert len(key) == 32
            assert key.isalnum()
            assert key == key.lower()
            assert store(key[:-1] + ("0" if key[-1] != "0" else "1")).session_key is None


def test_a_session_outlives_the_rotation_of_the_secret_key(engine: str) -> None:
    client = Client()
    get(client, "stamp_a", "put")
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert get(client, "stamp_a", "show") == {"user": None, "cart": "stamp_a"}
        assert get(replayed(client), "stamp_b", "show") == NOTHING
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
        assert get(client, "stamp_a", "show") == NOTHING


def test_clearing_expired_files_leaves_those_of_other_schemas(
    users: dict[str, User], session_files: Path
) -> None:
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.file"):
        for schema in HOSTS:
            with schema_context(schema):
                session = store()
                session["_session_expiry"] = -1
                session.save()
        assert len(list(session_files.iterdir())) == 2
        with schema_context("stamp_a"):
            type(store()).clear_expired()
        (left,) = session_files.iterdir()
        with schema_context("stamp_b"):
            assert store(left.name.removeprefix("sessionid")).session_key


def test_a_shared_table_holds_the_rows_of_all(placement: str, users: dict[str, User]) -> None:
    for schema in HOSTS:
        get(Client(), schema, "login")
    with schema_context("stamp_a"):
        assert Session.objects.count() == (2 if placement == "sessions_shared" else 1)


@pytest.mark.parametrize("in_sessions", [False, True])
def test_csrf_tokens_are_djangos_own(users: dict[str, User], in_sessions: bool) -> None:
    with override_settings(
        CSRF_USE_SESSIONS=in_sessions,
        MIDDLEWARE=[*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"],
    ):
        client = Client(enforce_csrf_checks=True)
        headers = {"host": HOSTS["stamp_a"]}
        assert client.post("/put/", headers=headers).status_code == 403
        headers["X-CSRFToken"] = get(client, "stamp_a", "token")["token"]
        assert client.post("/put/", headers=headers).status_code == 200


def test_installing_twice_binds_once() -> None:
    def bound() -> list[Any]:
        names = ("__init__", "_validate_session_key", "_get_session", "_aget_session")
        return [
            *(vars(SessionBase)[name] for name in names),
            vars(base)["get_random_string"],
            vars(signing)["salted_hmac"],
        ]

    before = bound()
    # As override_settings(INSTALLED_APPS=...) does.
    apps.get_app_config("appschema").ready()
    assert bound() == before
    assert sessions._django_get_session is not SessionBase._get_session  # type: ignore[attr-defined]

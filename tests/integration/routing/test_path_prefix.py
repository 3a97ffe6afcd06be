"""A schema's site is mounted at a path: its links, redirects and cookies are of that path."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, get_script_prefix, reverse

from appschema import current_schema
from appschema.models import Schema
from tests.integration.routing import site
from tests.integration.routing.handlers import Ask, asgi_later, wsgi
from tests.integration.routing.public_site import urlpatterns as public_urls

pytestmark = pytest.mark.usefixtures("committing")


PUBLIC_SITE = "tests.integration.routing.public_site"


@pytest.fixture(autouse=True)
def _routing(schemas: None) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[
            "appschema.middleware.PathPrefixMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage",
        APPSCHEMA_PATH_PREFIX="/t/",
        APPSCHEMA_PUBLIC_NAMES=["example.com"],
        APPSCHEMA_PUBLIC_URLCONF=PUBLIC_SITE,
    ):
        yield


def test_the_prefix_picks_the_schema_and_all_urls_begin_with_it(ask: Ask):
    found = ask("/t/acme/orders/?page=2").shown
    found.pop("cookies")
    assert found == {
        "row": "routing_one",
        "current": "routing_one",
        "path": "/t/acme/orders/",
        "path_info": "/orders/",
        "full": "/t/acme/orders/?page=2",
        "absolute": "http://example.com/t/acme/orders/?page=2",
        "beside": "http://example.com/t/acme/orders/beside",
        "reverse": "/t/acme/",
        "admin": "/t/acme",
        "template": "/t/acme/",
        "static": "/static/logo.png",
        "media": "/media/file.txt",
    }
    assert get_script_prefix() == "/"
    assert current_schema() is None


def test_below_a_prefix_of_the_servers_own_ours_comes_second(ask: Ask):
    found = ask("/t/acme/orders/", script_name="/app").shown
    assert found["path"] == "/app/t/acme/orders/"
    assert found["path_info"] == "/orders/"
    assert found["reverse"] == found["template"] == "/app/t/acme/"
    assert found["absolute"] == "http://example.com/app/t/acme/orders/"
    assert found["static"] == "/app/static/logo.png"
    assert ask("/t/acme", script_name="/app").location == "/app/t/acme/"
    assert ask("/t/acme/set-cookies/", script_name="/app").paths["own"] == "/app/t/acme/"


def test_a_prefix_may_have_several_parts_or_none(ask: Ask):
    with override_settings(APPSCHEMA_PATH_PREFIX="/customers/of/ours/"):
        found = ask("/customers/of/ours/acme/orders/").shown
        assert (found["row"], found["reverse"]) == ("routing_one", "/customers/of/ours/acme/")
    with override_settings(APPSCHEMA_PATH_PREFIX="/"):
        assert ask("/acme/orders/").shown["reverse"] == "/acme/"
        assert ask("/").shown["row"] is None


def test_what_has_no_prefix_is_served_from_public_on_its_hosts_only(ask: Ask):
    found = ask("/prices/").shown
    assert (found["row"], found["current"], found["reverse"]) == (None, "public", "/")
    with CaptureQueriesContext(connection) as captured:
        assert ask("/prices/", host="other.test").status == 404
    assert len(captured) == 0
    assert ask("/t/acme/", host="other.test").shown["row"] == "routing_one"


def test_what_only_resembles_a_prefix_is_nobodys(ask: Ask):
    for path in ["/t", "/t/", "/t//acme/", "//t/acme/", "/T/acme/", "/tt/acme/"]:
        with CaptureQueriesContext(connection) as captured:
            answer = ask(path)
        assert answer.status == 404
        assert len(captured) == 0


def test_an_unknown_and_an_inactive_name_is_not_found(ask: Ask):
    assert ask("/t/unknown/orders/").status == 404
    assert ask("/t/unknown").status == 404
    Schema.objects.filter(name="routing_one").update(is_active=False)
    assert ask("/t/acme/").status == 404
    assert ask("/t/globex/").status == 200


def test_a_malformed_name_is_a_bad_request_without_a_look_up(ask: Ask):
    for name in ["a b", "..", ".", "'; DROP SCHEMA", "a..b", "-", "%00"]:
        with CaptureQueriesContext(connection) as captured:
            assert ask(f"/t/{name}/").status == 400
        assert len(captured) == 0


def test_other_spellings_are_redirected_to_the_one(ask: Ask):
    for method in ["GET", "POST"]:
        for given, one in [
            ("/t/acme", "/t/acme/"),
            ("/t/acme?a=1&b=%C3%BC", "/t/acme/?a=1&b=%C3%BC"),
            ("/t/Acme/orders/?a=1", "/t/acme/orders/?a=1"),
            ("/t/ACME", "/t/acme/"),
            ("/t/acme./orders/", "/t/acme/orders/"),
            ("/t/acme:8000/orders/b%C3%BC%3F", "/t/acme/orders/b%C3%BC%3F"),
            ("/t/Acme//evil.test/x", "/t/acme//evil.test/x"),
        ]:
            answer = ask(given, method=method)
            assert (answer.status, answer.location) == (308, one)


def test_a_percent_encoded_prefix_is_the_same(ask: Ask):
    assert ask("/%74/ac%6De/orders/").shown["reverse"] == "/t/acme/"
    assert ask("/t%2Facme%2Forders/").shown["path_info"] == "/orders/"


def test_double_slashes_below_the_prefix_are_left_to_the_urlconf(ask: Ask):
    assert ask("/t/acme//orders/").status == 404
    assert ask("/t/acme/orders//x").shown["path_info"] == "/orders//x"


def test_redirects_of_django_stay_below_the_prefix(ask: Ask):
    assert ask("/t/acme/go/").location == "/t/acme/"
    assert ask("/t/acme/orders").location == "/t/acme/orders/"
    assert ask("/t/acme/private/").location == "/t/acme/accounts/login/?next=/t/acme/private/"
    assert ask("/t/acme/admin/").location == "/t/acme/admin/login/?next=/t/acme/admin/"


def test_the_login_form_of_the_admin_leads_below_the_prefix(ask: Ask):
    answer = ask("/t/acme/admin/login/")
    assert answer.status == 200
    assert 'action="/t/acme/admin/login/"' in answer.body
    assert 'href="/static/admin/css/base.css"' in answer.body


def test_a_login_url_that_is_a_path_is_taken_as_it_stands(ask: Ask):
    with override_settings(LOGIN_URL="/accounts/login/"):
        assert ask("/t/acme/private/").location == "/accounts/login/?next=/t/acme/private/"


def test_relative_urls_of_files_never_take_the_prefix_of_a_schema(ask: Ask):
    for prefix in ("acme", "globex"):
        # As in a process whose first request this is.
        with override_settings(STATIC_URL="assets/", MEDIA_URL="files/"):
            found = ask(f"/t/{prefix}/").shown
            assert (found["static"], found["media"]) == ("/assets/logo.png", "/files/file.txt")
            assert settings.STATIC_URL == "/assets/"


def test_the_urlconf_is_one_for_all():
    resolver = get_resolver(site.SITE)
    wsgi("/t/acme/go/"), wsgi("/t/globex/go/")
    assert get_resolver(site.SITE) is resolver
    assert all(pattern in resolver.url_patterns for pattern in site.urlpatterns)
    assert get_resolver(PUBLIC_SITE).url_patterns == public_urls


# One process, many schemas


def test_links_of_one_schema_are_its_own_after_another_was_visited(ask: Ask):
    for name in ("globex", "acme", "globex", "acme"):
        assert ask(f"/t/{name}/").shown["reverse"] == f"/t/{name}/"
        assert ask("/").shown["reverse"] == "/"


def test_links_that_are_made_at_once_in_threads_are_each_schemas_own(
    monkeypatch: pytest.MonkeyPatch,
):
    names = ["acme", "globex"] * 3
    monkeypatch.setattr(site, "barrier", Barrier(len(names)))

    def request(name: str) -> Any:
        try:
            return wsgi(f"/t/{name}/links/").shown["links"], get_script_prefix()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(request, names))
    assert found == [([f"/t/{name}/"], "/") for name in names]


def test_links_that_are_made_at_once_in_tasks_are_each_schemas_own():
    names = ["acme", "globex"] * 3

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(asgi_later(f"/t/{name}/links-async/") for name in names))

    found = [answer.shown["links"] for answer in asyncio.run(all_at_once())]
    assert found == [[f"/t/{name}/"] for name in names]


@pytest.mark.parametrize("view", ["stream", "stream-async"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_a_streamed_body_is_made_below_the_prefix(ask: Ask, view: str):
    site.closed.clear()
    assert ask(f"/t/acme/{view}/").body == "/t/acme/ routing_one\n" * 3
    assert ask(f"/t/globex/{view}/").body == "/t/globex/ routing_two\n" * 3
    if view == "stream":
        assert site.closed == ["/t/acme/ routing_one", "/t/globex/ routing_two"]
    assert get_script_prefix() == "/"


def test_a_body_that_is_not_read_to_its_end_is_closed_below_the_prefix():
    site.closed.clear()
    environ = RequestFactory().get("/t/acme/stream/").environ
    response = WSGIHandler()(environ, lambda *arguments: None)  # type: ignore[arg-type]
    assert next(iter(response)) == b"/t/acme/ routing_one\n"
    response.close()
    assert site.closed == ["/t/acme/ routing_one"]


def test_two_streams_that_are_read_in_turns_stay_below_their_prefixes():
    async def both() -> list[Any]:
        return await asyncio.gather(
            *(asgi_later(f"/t/{name}/stream-async/") for name in ("acme", "globex"))
        )

    one, two = asyncio.run(both())
    assert one.body == "/t/acme/ routing_one\n" * 3
    assert two.body == "/t/globex/ routing_two\n" * 3


def test_an_exception_in_the_view_restores_the_prefix():
    assert wsgi("/t/acme/fail/").status == 500
    assert get_script_prefix() == "/"
    assert reverse("show") == "/"

    async def in_a_task() -> str:
        assert (await asgi_later("/t/acme/fail/")).status == 500
        return get_script_prefix()

    assert asyncio.run(in_a_task()) == "/"


# Cookies


def test_cookies_of_the_site_are_sent_to_its_path_only(ask: Ask):
    answer = ask("/t/acme/set-cookies/")
    assert answer.paths == {
        "sessionid": "/t/acme/",
        "csrftoken": "/t/acme/",
        "messages": "/t/acme/",
        "django_language": "/t/acme/",
        "own": "/t/acme/",
        "old": "/t/acme/",
        "deeper": "/t/acme/",
        "__Host-own": "/",
    }
    assert answer.cookies["old"]["max-age"] == "0"


def test_djangos_own_view_sets_the_language_for_the_path(ask: Ask):
    answer = wsgi("/t/acme/i18n/setlang/", method="POST", **{"X-CSRFToken": "x" * 32})
    assert answer.status == 403  # it asks for a token, as everywhere
    token = ask("/t/acme/set-cookies/").cookies["csrftoken"].value
    headers = {"X-CSRFToken": token, "Cookie": f"csrftoken={token}"}
    assert ask("/t/acme/i18n/setlang/", method="POST", **headers).status == 302


def test_cookies_of_public_keep_their_path(ask: Ask):
    paths = ask("/set-cookies/").paths
    assert set(paths.values()) == {"/"}


def test_a_session_ends_with_a_cookie_of_its_own_path(ask: Ask):
    key = ask("/t/acme/set-cookies/").cookies["sessionid"].value
    assert ask("/t/acme/who/", Cookie=f"sessionid={key}").shown["who"] == "routing_one"
    ended = ask("/t/acme/forget/", Cookie=f"sessionid={key}").cookies["sessionid"]
    assert (ended["path"], ended["max-age"]) == ("/t/acme/", "0")
    assert ask("/t/acme/who/", Cookie=f"sessionid={key}").shown["who"] is None


def test_a_cookie_of_another_path_is_worthless_and_is_left_alone(ask: Ask):
    acme = ask("/t/acme/set-cookies/").cookies["sessionid"].value
    answer = ask("/t/globex/who/", Cookie=f"sessionid={acme}")
    assert answer.shown["who"] is None
    # If Django deletes the cookie that it cannot use, that is globex's own, not acme's.
    assert set(answer.paths.values()) <= {"/t/globex/"}
    assert ask("/t/acme/who/", Cookie=f"sessionid={acme}").shown["who"] == "routing_one"


def test_beside_a_login_in_public_the_cookie_of_the_longer_path_counts(ask: Ask):
    public = ask("/set-cookies/").cookies["sessionid"].value
    acme = ask("/t/acme/set-cookies/").cookies["sessionid"].value
    # As a browser sends them: the longer path first.
    both = f'sessionid={acme}; other="a b"; sessionid={public}'
    found = ask("/t/acme/who/", Cookie=both).shown
    assert found == {"who": "routing_one", "cookies": {"sessionid": acme, "other": "a b"}}
    assert ask("/who/", Cookie=f"sessionid={public}").shown["who"] == "public"

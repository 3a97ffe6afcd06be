"""Several ways in one site: the first that answers serves."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from appschema.middleware import ChainMiddleware, SchemaMiddleware
from appschema.resolver import forget_names
from tests.integration.routing.handlers import Ask, wsgi

pytestmark = pytest.mark.usefixtures("committing")


WAYS = [
    f"appschema.middleware.{name}Middleware"
    for name in ("Header", "PathPrefix", "Subdomain", "Fqdn")
]
FROM_GATEWAY: dict[str, Any] = {"address": "10.0.0.1", "X-Schema": "globex"}


@pytest.fixture(autouse=True)
def _routing(schemas: None) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[
            "appschema.middleware.ChainMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        APPSCHEMA_CHAIN=WAYS,
        APPSCHEMA_HEADER="X-Schema",
        APPSCHEMA_HEADER_FROM=["10.0.0.1"],
        APPSCHEMA_PATH_PREFIX="/t/",
        APPSCHEMA_BASE_DOMAINS=["example.com"],
        APPSCHEMA_PUBLIC_URLCONF="tests.integration.routing.public_site",
        APPSCHEMA_EXEMPT_PATHS=["/healthz"],
    ):
        yield


def test_the_first_way_that_answers_serves(ask: Ask):
    for url, more, row in [
        ("/orders/", FROM_GATEWAY | {"host": "acme.example.com"}, "routing_two"),
        ("/orders/", {"host": "acme.example.com", "X-Schema": "globex"}, "routing_one"),
        ("/t/acme/orders/", {"host": "globex.example.com"}, "routing_one"),
        ("/orders/", {"host": "globex.example.com"}, "routing_two"),
        ("/orders/", {"host": "www.acme.test"}, "routing_one"),
        ("/prices/", {"host": "example.com"}, None),
    ]:
        assert ask(url, **more).shown["row"] == row


def test_a_cache_is_told_of_a_header_that_might_have_answered_first(ask: Ask):
    for more in (FROM_GATEWAY, {"host": "acme.example.com"}):
        assert "X-Schema" in ask("/orders/", **more).headers["Vary"].split(", ")
    with override_settings(APPSCHEMA_CHAIN=WAYS[1:]):
        answer = ask("/orders/", host="acme.example.com")
    assert "X-Schema" not in answer.headers.get("Vary", "")


def test_only_the_way_by_path_takes_the_prefix_away(ask: Ask):
    found = ask("/t/acme/orders/", host="example.com").shown
    assert (found["path_info"], found["reverse"]) == ("/orders/", "/t/acme/")
    assert ask("/t/acme/orders/", **FROM_GATEWAY).status == 404
    assert ask("/orders/", **FROM_GATEWAY).shown["reverse"] == "/"


def test_an_answer_that_leads_nowhere_ends_the_chain_with_one_look_up():
    for url, more in [
        ("/t/unknown/orders/", {"host": "acme.example.com"}),
        ("/orders/", {"host": "unknown.example.com"}),
        ("/orders/", {"host": "unknown.test"}),
        ("/orders/", FROM_GATEWAY | {"host": "acme.example.com", "X-Schema": "unknown"}),
    ]:
        forget_names()
        with CaptureQueriesContext(connection) as captured:
            assert wsgi(url, **more).status == 404
        assert len(captured) == 1
        with CaptureQueriesContext(connection) as captured:
            assert wsgi(url, **more).status == 404
        assert len(captured) == 0


def test_a_cold_request_asks_once_and_a_warm_one_only_what_its_view_asks():
    for url, more in [
        ("/t/acme/count", {}),
        ("/count", {"host": "acme.example.com"}),
        ("/count", FROM_GATEWAY),
    ]:
        forget_names()
        for statements in (2, 1):
            with CaptureQueriesContext(connection) as captured:
                assert wsgi(url, **more).status == 200
            assert len(captured) == statements


def test_what_no_way_recognises_is_public_or_not_found(ask: Ask):
    with override_settings(APPSCHEMA_CHAIN=WAYS[:2]):
        assert ask("/prices/", host="example.com").shown["current"] == "public"
        with CaptureQueriesContext(connection) as captured:
            assert ask("/prices/", host="acme.example.com").status == 404
        assert len(captured) == 0


def test_a_projects_own_middleware_may_be_in_the_chain(ask: Ask):
    own = f"{__name__}.ByQuery"
    with override_settings(APPSCHEMA_CHAIN=[own, *WAYS]):
        assert ask("/orders/?customer=acme", host="globex.example.com").shown["row"] == (
            "routing_one"
        )
        assert ask("/orders/", host="globex.example.com").shown["row"] == "routing_two"


def test_exempt_paths_are_those_of_a_chain_too(ask: Ask):
    with CaptureQueriesContext(connection) as captured:
        assert ask("/healthz", host="unknown.test").shown == {"row": None, "current": None}
    assert len(captured) == 0


def test_what_is_no_schema_middleware_is_refused():
    path = "django.middleware.common.CommonMiddleware"
    with override_settings(APPSCHEMA_CHAIN=[path]):
        with pytest.raises(ImproperlyConfigured, match=f"holds '{path}', which is no Schema"):
            ChainMiddleware(lambda request: HttpResponse())


class ByQuery(SchemaMiddleware):
    def get_public_name(self, request: HttpRequest) -> str | None:
        return request.GET.get("customer")

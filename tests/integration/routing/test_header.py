"""A gateway tells the public name in a header."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.integration.routing.handlers import Ask, asgi

pytestmark = pytest.mark.usefixtures("committing")


@pytest.fixture(autouse=True)
def _routing(schemas: None) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=["appschema.middleware.HeaderMiddleware"],
        APPSCHEMA_HEADER="X-Schema",
        APPSCHEMA_PUBLIC_NAMES=["example.com", "www"],
        APPSCHEMA_PUBLIC_URLCONF="tests.integration.routing.public_site",
    ):
        yield


def test_the_header_picks_the_schema_whatever_the_host(ask: Ask):
    for host in ("example.com", "any.test"):
        assert ask("/orders/", host=host, **{"X-Schema": "acme"}).shown["row"] == "routing_one"
        assert ask("/orders/", host=host, **{"X-Schema": "GLOBEX"}).shown["row"] == "routing_two"
    assert ask("/orders/", **{"X-Schema": "unknown"}).status == 404
    assert ask("/prices/", host="any.test", **{"X-Schema": "www"}).shown["current"] == "public"


def test_without_the_header_the_host_may_be_public(ask: Ask):
    assert ask("/prices/").shown["current"] == "public"
    assert ask("/prices/", host="acme").status == 404


def test_a_malformed_header_is_a_bad_request_without_a_look_up(ask: Ask):
    for value in ["", "acme,globex", "acme globex", "a/b"]:
        with CaptureQueriesContext(connection) as captured:
            assert ask("/orders/", **{"X-Schema": value}).status == 400
        assert len(captured) == 0


def test_no_header_is_believed_while_the_setting_names_none(ask: Ask):
    with override_settings(APPSCHEMA_HEADER=None):
        assert ask("/orders/", host="any.test", **{"X-Schema": "acme"}).status == 404


def test_the_header_is_believed_from_these_addresses_only(ask: Ask):
    for address, status in [
        ("10.1.2.3", 200),
        ("192.0.2.7", 200),
        ("fd00::1", 200),
        ("::ffff:10.1.2.3", 200),
        ("192.0.2.8", 404),
        ("::ffff:192.0.2.8", 404),
        ("fe80::1", 404),
        ("", 404),
    ]:
        given = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"]
        with override_settings(APPSCHEMA_HEADER_FROM=given):
            answer = ask("/orders/", host="any.test", address=address, **{"X-Schema": "acme"})
        assert answer.status == status


def test_a_cache_is_told_that_answers_depend_on_the_header(ask: Ask):
    for header in ({"X-Schema": "acme"}, {}):
        path = "/orders/" if header else "/prices/"
        assert "X-Schema" in ask(path, **header).headers["Vary"].split(", ")
    with override_settings(APPSCHEMA_HEADER=None):
        assert "X-Schema" not in ask("/prices/").headers.get("Vary", "")


def test_a_header_that_is_spelt_with_an_underscore_is_another():
    # Under WSGI this is the server's task; gunicorn and nginx drop such headers.
    assert asgi("/orders/", host="any.test", X_Schema="acme").status == 404

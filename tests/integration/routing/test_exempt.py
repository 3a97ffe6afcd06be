"""Paths that are nobody's: no schema, no database, any host."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from appschema import current_schema
from tests.integration.routing.handlers import Ask

pytestmark = pytest.mark.usefixtures("committing")


HOSTS = ["acme", "unknown.test", "10.0.0.7", "[::1]:8000", "example.com"]


@pytest.fixture(
    autouse=True, params=["Fqdn", "Subdomain", "PathPrefix", "Header", "Chain"], ids=str.lower
)
def _routing(schemas: None, request: pytest.FixtureRequest) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[
            f"appschema.middleware.{request.param}Middleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        APPSCHEMA_EXEMPT_PATHS=["/healthz", "/count"],
        APPSCHEMA_PUBLIC_NAMES=["example.com"],
        APPSCHEMA_PUBLIC_URLCONF="tests.integration.routing.public_site",
        APPSCHEMA_PATH_PREFIX="/",
        APPSCHEMA_HEADER="X-Schema",
        APPSCHEMA_CHAIN=["appschema.middleware.FqdnMiddleware"],
    ):
        yield


def test_an_exempt_path_is_served_with_no_schema_and_no_database(ask: Ask):
    for host in HOSTS:
        with CaptureQueriesContext(connection) as captured:
            answer = ask("/healthz", host=host, **{"X-Schema": "acme"})
        assert answer.shown == {"row": None, "current": None}
        assert len(captured) == 0
        assert current_schema() is None


def test_only_the_exact_path_is_exempt(ask: Ask):
    for path in ("/healthz/", "/healthz/x", "/health", "//healthz"):
        assert ask(path, host="unknown.test").status == 404


def test_a_host_that_is_not_allowed_gets_no_answer(ask: Ask):
    with override_settings(ALLOWED_HOSTS=["acme"]):
        assert ask("/healthz", host="10.0.0.7").status == 400
        assert ask("/healthz", host="acme").status == 200


def test_a_customers_table_cannot_be_read_there(ask: Ask):
    with CaptureQueriesContext(connection) as captured:
        assert ask("/count", host="acme").status == 500
    assert len(captured) == 0

"""Redirects from other public names to the primary one."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from appschema.models import PublicName, Schema
from appschema.resolver import forget_names
from tests.integration.routing.conftest import make_primary
from tests.integration.routing.handlers import Answer, Ask, wsgi

pytestmark = pytest.mark.usefixtures("committing")


OURS = "appschema.middleware."


@pytest.fixture(autouse=True)
def _routing(schemas: None) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[f"{OURS}FqdnMiddleware"],
        APPSCHEMA_REDIRECT_TO_PRIMARY=True,
        APPSCHEMA_BASE_DOMAINS=["example.com", "eu.example.com"],
        APPSCHEMA_PATH_PREFIX="/t/",
        APPSCHEMA_HEADER="X-Schema",
        APPSCHEMA_CHAIN=[f"{OURS}{name}Middleware" for name in ("PathPrefix", "Subdomain", "Fqdn")],
        APPSCHEMA_PUBLIC_URLCONF="tests.integration.routing.public_site",
    ):
        yield


def follow(url: str, host: str) -> Answer:
    """Follow redirects as a browser does, but not in a circle."""
    seen: set[tuple[str, str]] = set()
    while True:
        assert (url, host) not in seen, f"a circle: {seen}"
        seen.add((url, host))
        answer = wsgi(url, host=host)
        if answer.status != 308:
            return answer
        place = answer.location
        if place.startswith("http://"):
            host, _, rest = place.removeprefix("http://").partition("/")
            place = f"/{rest}"
        url = place


def test_the_setting_is_off_by_default(ask: Ask):
    with override_settings(APPSCHEMA_REDIRECT_TO_PRIMARY=False):
        make_primary("www.acme.test")
        assert ask("/orders/", host="old.acme.test").shown["row"] == "routing_one"


def test_scheme_port_path_query_and_method_are_kept(ask: Ask):
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE"]:
        make_primary("www.acme.test")
        answer = ask("/orders/b%C3%BC%3F/?a=1&b=%2F", host="Old.acme.test.:8000", method=method)
        assert answer.status == 308
        assert answer.location == "http://www.acme.test:8000/orders/b%C3%BC%3F/?a=1&b=%2F"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert ask("/orders/", host="www.acme.test:8000").shown["row"] == "routing_one"


def test_a_very_long_url_is_redirected_too_and_the_test_client_follows():
    make_primary("www.acme.test")
    query = "a" * 5000
    found = Client(headers={"host": "old.acme.test"}).get(f"/orders/?{query}", follow=True)
    assert found.redirect_chain == [(f"http://www.acme.test/orders/?{query}", 308)]
    assert found.json()["row"] == "routing_one"


def test_the_scheme_is_the_visitors(ask: Ask):
    make_primary("www.acme.test")
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        answer = ask("/", host="old.acme.test", **{"X-Forwarded-Proto": "https"})
    assert answer.location == "https://www.acme.test/"


def test_no_path_leads_to_another_site(ask: Ask):
    for path in ["//evil.test/", "//evil.test/%2e%2e", "/\\evil.test", "/@evil.test"]:
        make_primary("www.acme.test")
        location = ask(path, host="old.acme.test").location
        assert location.startswith("http://www.acme.test/")


def test_the_primary_itself_and_a_schema_without_one_are_served(ask: Ask):
    make_primary("www.acme.test")
    assert ask("/orders/", host="WWW.acme.test.").shown["row"] == "routing_one"
    PublicName.objects.filter(schema__name="routing_one").update(is_primary=False)
    assert ask("/orders/", host="old.acme.test").shown["row"] == "routing_one"


def test_a_host_that_allowed_hosts_lacks_is_no_target(ask: Ask):
    make_primary("www.acme.test")
    with override_settings(ALLOWED_HOSTS=["old.acme.test"]):
        assert ask("/orders/", host="old.acme.test").shown["row"] == "routing_one"


def test_the_primary_name_comes_with_the_one_look_up():
    make_primary("www.acme.test")
    for statements in (1, 0):
        with CaptureQueriesContext(connection) as captured:
            assert wsgi("/", host="old.acme.test").status == 308
        assert len(captured) == statements


def test_another_primary_is_noticed_at_once(ask: Ask):
    make_primary("www.acme.test")
    assert ask("/", host="old.acme.test").location == "http://www.acme.test/"
    make_primary("old.acme.test")
    assert ask("/", host="old.acme.test").status == 200
    assert ask("/", host="www.acme.test").location == "http://old.acme.test/"


def test_an_inactive_schema_is_not_found_rather_than_redirected(ask: Ask):
    make_primary("www.acme.test")
    Schema.objects.filter(name="routing_one").update(is_active=False)
    assert ask("/", host="old.acme.test").status == 404


def test_a_sub_domain_is_redirected_below_its_base(ask: Ask):
    with override_settings(MIDDLEWARE=[f"{OURS}SubdomainMiddleware"]):
        for base in ("example.com", "eu.example.com:8000"):
            assert ask("/a?b=c", host=f"acme-old.{base}").location == f"http://acme.{base}/a?b=c"
            assert ask("/orders/", host=f"acme.{base}").status == 200


def test_a_path_is_redirected_on_its_host(ask: Ask):
    with override_settings(MIDDLEWARE=[f"{OURS}PathPrefixMiddleware"]):
        answer = ask("/t/acme-old/orders/%C3%BC?a=1", host="any.test", method="POST")
        assert (answer.status, answer.location) == (308, "/t/acme/orders/%C3%BC?a=1")
        assert ask("/t/ACME-old", host="any.test").location == "/t/acme/"
        assert ask("/t/acme-old//evil.test").location == "/t/acme//evil.test"
        assert ask("/t/acme/orders/").status == 200


def test_a_request_that_a_gateway_has_recognised_is_never_redirected(ask: Ask):
    with override_settings(MIDDLEWARE=[f"{OURS}HeaderMiddleware"]):
        assert ask("/orders/", **{"X-Schema": "acme-old"}).shown["row"] == "routing_one"


def test_in_a_chain_the_primary_may_be_of_another_way_by_host(ask: Ask):
    with override_settings(MIDDLEWARE=[f"{OURS}ChainMiddleware"]):
        assert ask("/a", host="www.acme.test:81").location == "http://acme.example.com:81/a"
        assert ask("/t/www.acme.test/a").location == "/t/acme/a"
        make_primary("www.acme.test")
        assert ask("/a", host="acme.example.com").location == "http://www.acme.test/a"
        assert ask("/a", host="old.acme.test").location == "http://www.acme.test/a"
        assert ask("/t/acme/a").location == "/t/www.acme.test/a"
        assert ask("/orders/", host="www.acme.test").shown["row"] == "routing_one"


def test_a_host_that_leads_to_another_schema_is_no_target():
    for public_name, name in (("x.example.com", "routing_one"), ("x", "routing_two")):
        PublicName.objects.create(public_name=public_name, schema=Schema.objects.get(name=name))
    make_primary("x.example.com")
    with override_settings(MIDDLEWARE=[f"{OURS}ChainMiddleware"]):
        assert wsgi("/orders/", host="www.acme.test").shown["row"] == "routing_one"


@pytest.mark.parametrize("middleware", ["Fqdn", "Subdomain", "PathPrefix", "Chain"])
@pytest.mark.parametrize(
    "names",
    [
        ["x.example.com", "x", "www.acme.test"],
        ["eu", "example.com", "www.eu", "eu.example.com"],
        ["x", "x.eu", "x.eu.example.com", "x.example.com", "x.x"],
    ],
)
def test_no_choice_of_names_leads_in_a_circle(middleware: str, names: list[str]):
    schema = Schema.objects.get(name="routing_one")
    for name in names:
        PublicName.objects.get_or_create(public_name=name, schema=schema)
    hosts = [
        *names,
        "acme",
        *(f"{name}.{base}" for name in names for base in ("example.com", "eu.example.com")),
    ]
    with override_settings(MIDDLEWARE=[f"{OURS}{middleware}Middleware"]):
        for primary in names:
            make_primary(primary)
            forget_names()
            found = {follow(f"/t/{name}/orders/", "any.test").status for name in names}
            found |= {follow("/orders/", host).status for host in hosts}
            assert found <= {200, 404}

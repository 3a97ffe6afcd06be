"""Sub-domains, whole hosts, and as many unknown ones as somebody cares to send."""

import os
import random
from collections.abc import Iterator

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from appschema import resolver
from appschema.exceptions import NoSchemaError
from appschema.middleware import FqdnMiddleware, SubdomainMiddleware
from appschema.models import PublicName, Schema
from tests.integration.routing.handlers import Ask

pytestmark = pytest.mark.usefixtures("committing")


SUBDOMAIN = "appschema.middleware.SubdomainMiddleware"


@pytest.fixture(autouse=True)
def _routing(schemas: None) -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[SUBDOMAIN],
        APPSCHEMA_BASE_DOMAINS=["example.com", "eu.example.com", "Bücher.example"],
        APPSCHEMA_PUBLIC_NAMES=["www", "status.example.net"],
        APPSCHEMA_PUBLIC_URLCONF="tests.integration.routing.public_site",
    ):
        yield


def test_the_sub_domain_is_the_public_name(ask: Ask):
    for host in [
        "acme.example.com",
        "ACME.Example.com.:8000",
        "acme.eu.example.com",
        "acme.xn--bcher-kva.example",
    ]:
        found = ask("/orders/", host=host).shown
        assert (found["row"], found["current"]) == ("routing_one", "routing_one")
        assert ask("/orders/", host=host.lower().replace("acme", "globex")).shown["row"] == (
            "routing_two"
        )


def test_a_public_name_may_have_several_levels(ask: Ask):
    PublicName.objects.create(
        public_name="shop.acme", schema=Schema.objects.get(name="routing_one")
    )
    assert ask("/orders/", host="shop.acme.example.com").shown["row"] == "routing_one"
    assert ask("/orders/", host="shop.acme.eu.example.com").shown["row"] == "routing_one"
    assert ask("/orders/", host="shop.globex.example.com").status == 404


def test_bases_and_listed_names_are_public_without_a_look_up(ask: Ask):
    for host in [
        "example.com",
        "EXAMPLE.com.:80",
        "eu.example.com",
        "xn--bcher-kva.example",
        "www.example.com",
        "www.eu.example.com",
        "status.example.net",
    ]:
        with CaptureQueriesContext(connection) as captured:
            found = ask("/prices/", host=host).shown
        assert (found["row"], found["current"]) == (None, "public")
        assert len(captured) == 0


def test_other_hosts_are_not_found(ask: Ask):
    for host in [
        "www.acme.example.com",
        "unknown.example.com",
        "acmeexample.com",
        "acme.example.com.evil.test",
        "acme",
        "www.acme.test",
        "127.0.0.1",
        "[::1]",
    ]:
        assert ask("/orders/", host=host).status == 404


def test_hosts_beside_the_bases_are_not_looked_up(ask: Ask):
    for host in ["acmeexample.com", "www.acme.test", "127.0.0.1", "[::1]:80"]:
        with CaptureQueriesContext(connection) as captured:
            assert ask("/orders/", host=host).status == 404
        assert len(captured) == 0


def test_a_malformed_host_is_a_bad_request_without_a_look_up(ask: Ask):
    for host in ["a..example.com", "-.example.com", ".example.com", "a b"]:
        with CaptureQueriesContext(connection) as captured:
            assert ask("/orders/", host=host).status == 400
        assert len(captured) == 0


def test_names_that_differ_in_case_are_one(ask: Ask):
    """A second schema cannot take a name that only looks other."""
    two = Schema.objects.get(name="routing_two")
    with pytest.raises(Exception, match=r"already exists|appschema_publicname"):
        PublicName.objects.create(public_name="ACME", schema=two)
    for host in ("acme.example.com", "Acme.example.com", "aCME.EXAMPLE.COM"):
        assert ask("/orders/", host=host).shown["row"] == "routing_one"


MANY = 10_000 if os.environ.get("APPSCHEMA_FULL") == "1" else 2_000


@pytest.mark.parametrize(
    ("kind", "form", "total"),
    [(FqdnMiddleware, "{}.test", MANY), (SubdomainMiddleware, "{}.example.com", 1_000)],
)
def test_thousands_of_unknown_hosts_take_bounded_memory_and_a_look_up_each(
    kind: type[FqdnMiddleware | SubdomainMiddleware], form: str, total: int
):
    chance = random.Random(7)
    hosts = [form.format(f"{chance.getrandbits(64):x}") for _ in range(total)]
    looked_up: list[str] = []

    def count(execute, sql, params, many, context):
        looked_up.append(sql)
        return execute(sql, params, many, context)

    with override_settings(APPSCHEMA_RESOLVER_SIZE=500):
        serve = kind(lambda request: HttpResponse())
        with connection.execute_wrapper(count):
            for number, host in enumerate(hosts, start=1):
                request = RequestFactory().get("/", headers={"host": host})
                for _ in range(2):
                    with pytest.raises(NoSchemaError):
                        serve(request)
                assert len(looked_up) == number
            assert len(resolver._memory._entries) == 500
        with connection.execute_wrapper(count):
            for host in hosts[:100]:
                bad = RequestFactory().get("/", headers={"host": f"-{host}"})
                with pytest.raises(Exception, match="host"):
                    serve(bad)
    assert len(looked_up) == len(hosts)


def test_an_instance_can_be_asked_of_a_host_alone():
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert SubdomainMiddleware(view).name_of("acme.example.com") == "acme"
    assert SubdomainMiddleware(view).host_of("globex", "acme.eu.example.com") == (
        "globex.eu.example.com"
    )
    assert FqdnMiddleware(view).host_of("www.acme.test", "acme.example.com") == "www.acme.test"

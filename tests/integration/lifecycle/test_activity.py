"""An inactive schema's visitors get its notice, or are told of nothing; and its other names."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from appschema import current_schema
from appschema.exceptions import (
    InvalidPublicName,
    NoSchemaError,
    SchemaExists,
    SchemaUnavailable,
    UnknownPublicName,
    UnknownSchema,
    WrongState,
)
from appschema.middleware import ChainMiddleware, FqdnMiddleware
from appschema.models import PublicName
from appschema.provisioning import (
    activate_schema,
    add_public_name,
    deactivate_schema,
    drop_schema,
    remove_public_name,
    undrop_schema,
)
from appschema.resolver import resolve
from tests.integration.fleet.conftest import Site
from tests.integration.lifecycle.conftest import Told

HOST = "acme.example.com"
NOTICE = "We are moving. Back at noon, Zürich time <b>."


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"in {current_schema()}")


async def aview(request: HttpRequest) -> HttpResponse:
    return view(request)


def visit(kind: Any = FqdnMiddleware) -> HttpResponse:
    answer = kind(view)(RequestFactory().get("/", headers={"host": HOST}))
    assert isinstance(answer, HttpResponse)
    return answer


def visit_async() -> HttpResponse:
    async def ask() -> HttpResponse:
        request: ASGIRequest = AsyncRequestFactory().get("/")
        request.META["HTTP_HOST"] = HOST
        middleware: Any = FqdnMiddleware(aview)
        answer = await middleware(request)
        assert isinstance(answer, HttpResponse)
        return answer

    return asyncio.run(ask())


@pytest.fixture
def acme(site: Site) -> Site:
    site.place()
    site.migrate()
    site.new("acme")
    return site


def test_visitors_get_503_and_the_notice_and_then_the_site_again(acme: Site):
    deactivate_schema("acme", NOTICE)
    for answer in (visit(), visit_async()):
        assert (answer.status_code, answer.content.decode()) == (503, f"{NOTICE}\n")
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        assert answer["Cache-Control"] == "no-store"
    assert activate_schema("acme").notice == ""
    assert visit().content == b"in acme"
    assert current_schema() is None


def test_each_way_to_recognise_a_request_answers_so(acme: Site):
    deactivate_schema("acme", NOTICE)
    with override_settings(APPSCHEMA_CHAIN=["appschema.middleware.FqdnMiddleware"]):
        assert visit(ChainMiddleware).status_code == 503
    with override_settings(APPSCHEMA_REDIRECT_TO_PRIMARY=True):
        assert visit().status_code == 503


def test_without_a_notice_it_is_as_unknown(acme: Site):
    deactivate_schema("acme")
    with pytest.raises(NoSchemaError) as raised:
        visit()
    assert type(raised.value) is NoSchemaError
    with override_settings(APPSCHEMA_SCHEMA_REDIRECT="https://example.com/"):
        assert visit()["Location"] == "https://example.com/"
        deactivate_schema("acme", NOTICE)
        assert visit().status_code == 503


def test_the_notice_of_a_dropped_schema_is_not_shown_and_comes_back_with_it(acme: Site):
    deactivate_schema("acme", NOTICE)
    drop_schema("acme")
    with pytest.raises(NoSchemaError) as raised:
        resolve(HOST)
    assert type(raised.value) is NoSchemaError
    undrop_schema("acme")
    assert visit().status_code == 503


def test_a_project_may_have_a_page_of_its_own_rendered_with_no_schema(acme: Site, tmp_path: Path):
    (tmp_path / "appschema").mkdir()
    (tmp_path / "appschema/unavailable.html").write_text("<p>{{ notice }}</p>")
    deactivate_schema("acme", NOTICE)
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    with override_settings(TEMPLATES=[engine]):
        answer = visit()
    assert answer.status_code == 503
    assert answer.content.decode() == f"<p>{NOTICE.replace('<b>', '&lt;b&gt;')}</p>"
    assert answer["Content-Type"].startswith("text/html")


def test_the_notice_is_answered_from_memory(acme: Site):
    deactivate_schema("acme", NOTICE)
    visit()
    with CaptureQueriesContext(connection) as queries:
        assert visit().status_code == 503
    assert len(queries) == 0


def test_code_that_asks_gets_the_notice_and_elsewhere_it_is_404(acme: Site):
    deactivate_schema("acme", NOTICE)
    with pytest.raises(SchemaUnavailable) as raised:
        resolve(HOST)
    assert raised.value.notice == NOTICE
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (copied.notice, copied.public_name, str(copied)) == (NOTICE, HOST, str(raised.value))


def test_an_unknown_schema_is_neither_activated_nor_deactivated(acme: Site):
    for act in (activate_schema, deactivate_schema):
        with pytest.raises(UnknownSchema):
            act("nobody")


def names() -> dict[str, bool]:
    return dict(PublicName.objects.values_list("public_name", "is_primary"))


def test_a_schema_is_reached_by_each_name_that_it_is_given(acme: Site, told: Told):
    row = add_public_name("acme", "WWW.Acme.example.")
    assert (row.public_name, row.is_primary) == ("www.acme.example", False)
    assert resolve("www.acme.example").name == "acme"
    remove_public_name("WWW.acme.example:80")
    with pytest.raises(NoSchemaError):
        resolve("www.acme.example")
    assert names() == {HOST: True}
    assert told == []


def test_another_name_becomes_the_primary_one_and_the_first_stays(acme: Site):
    add_public_name("acme", "new.example.com", primary=True)
    assert names() == {HOST: False, "new.example.com": True}
    assert add_public_name("acme", HOST).is_primary is False, "given again, it stays as it is"
    add_public_name("acme", HOST, primary=True)
    assert names() == {HOST: True, "new.example.com": False}


def test_the_first_name_of_a_schema_is_primary(acme: Site):
    PublicName.objects.all().delete()
    assert add_public_name("acme", "new.example.com").is_primary


def test_a_primary_name_is_not_removed(acme: Site):
    with pytest.raises(WrongState, match=r"Run 'manage\.py addname acme OTHER --primary' first"):
        remove_public_name(HOST)
    assert names() == {HOST: True}


def test_what_is_no_name_or_anothers_is_refused_and_nothing_changed(acme: Site):
    acme.new("globex")
    before = names()
    for primary in (True, False):
        with pytest.raises(SchemaExists, match=r"belongs to the schema 'globex' already"):
            add_public_name("acme", "globex.example.com", primary=primary)
    with pytest.raises(UnknownSchema):
        add_public_name("nobody", "new.example.com")
    with pytest.raises(InvalidPublicName):
        add_public_name("acme", "no host")
    with (
        override_settings(APPSCHEMA_PUBLIC_NAMES=["www.example.com"]),
        pytest.raises(InvalidPublicName, match=r"'www\.example\.com' is served from public"),
    ):
        add_public_name("acme", "WWW.example.com")
    with pytest.raises(InvalidPublicName):
        remove_public_name("no host")
    with pytest.raises(UnknownPublicName, match=r"^No schema has the public name 'x\.example'\."):
        remove_public_name("x.example")
    assert names() == before

"""Each request runs in the schema of its host: through the real WSGI and ASGI handlers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from appschema import current_schema, schema_context
from appschema.middleware import FqdnMiddleware, SchemaMiddleware
from appschema.models import PublicName, Schema
from appschema.names import PUBLIC
from appschema.resolver import forget_names, resolve
from appschema.testing import ensure_schema
from tests.sample.notes.models import Note
from tests.sample.tags.models import Tag

pytestmark = [pytest.mark.usefixtures("committing"), pytest.mark.urls(__name__)]

ONE, TWO = "one.middleware.test", "two.middleware.test"
NAMES = {ONE: "middleware_one", TWO: "middleware_two"}
Answer = tuple[int, dict[str, str], str]
barrier = Barrier(1)


def show(request: HttpRequest) -> JsonResponse:
    schema: Schema | None = request.schema  # type: ignore[attr-defined]
    return JsonResponse({"row": schema and schema.name, "current": current_schema()})


def meet(request: HttpRequest) -> JsonResponse:
    """Wait for the others, so that all requests are inside their schemas at once."""
    barrier.wait(10)
    before = current_schema()
    count = Note.objects.filter(title=f"of {before}").count()
    barrier.wait(10)
    return JsonResponse({"before": before, "after": current_schema(), "count": count})


async def meet_async(request: HttpRequest) -> JsonResponse:
    before = current_schema()
    counts = []
    for _ in range(3):
        counts.append(await Note.objects.filter(title=f"of {before}").acount())
        await asyncio.sleep(0)
    in_thread = await sync_to_async(current_schema, thread_sensitive=False)()
    return JsonResponse(
        {"before": before, "after": current_schema(), "in_thread": in_thread, "counts": counts}
    )


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(str(current_schema()))


def tags(request: HttpRequest) -> JsonResponse:
    Tag.objects.create(label="written")
    return JsonResponse({"tags": list(Tag.objects.values_list("label", flat=True))})


def ask(request: HttpRequest) -> HttpResponse:
    for _ in range(3):
        Note.objects.count()
    return HttpResponse()


urlpatterns = [
    path("", show),
    path("meet/", meet),
    path("meet-async/", meet_async),
    path("fail/", fail),
    path("ask/", ask),
    path("tags/", tags),
]


class ByHeader(SchemaMiddleware):
    """A project's own: the schema is named by a header."""

    def get_public_name(self, request: HttpRequest) -> str:
        return request.headers.get("X-Customer", "")


FQDN, BY_HEADER = "appschema.middleware.FqdnMiddleware", f"{__name__}.ByHeader"


@pytest.fixture(autouse=True)
def schemas(committing: None) -> Iterator[None]:
    for host, name in NAMES.items():
        ensure_schema(name, host)
        with schema_context(name):
            Note.objects.create(title=f"of {name}")
    forget_names()
    with override_settings(MIDDLEWARE=[FQDN]):
        yield
    Schema.objects.filter(name__in=NAMES.values()).update(is_active=True)
    PublicName.objects.exclude(public_name__in=NAMES).filter(
        schema__name__in=NAMES.values()
    ).delete()
    forget_names()


def wsgi(host: str, url: str = "/", **headers: str) -> Answer:
    environ = RequestFactory().get(url, headers={"host": host, **headers}).environ
    started: list[Any] = []
    note: Any = lambda *arguments: started.extend(arguments)  # noqa: E731
    response = WSGIHandler()(environ, note)
    body = b"".join(response).decode()
    response.close()
    return int(started[0].split()[0]), dict(started[1]), body


async def asgi_later(host: str, url: str = "/", **headers: str) -> Answer:
    pairs = {"host": host, **headers}.items()
    scope = {
        "type": "http",
        "method": "GET",
        "path": url,
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
    }
    communicator = ApplicationCommunicator(ASGIHandler(), scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    start = await communicator.receive_output(20)
    body = await communicator.receive_output(20)
    await communicator.wait(20)
    found = {name.decode().title(): value.decode() for name, value in start["headers"]}
    return start["status"], found, body["body"].decode()


def asgi(host: str, url: str = "/", **headers: str) -> Answer:
    return asyncio.run(asgi_later(host, url, **headers))


@pytest.fixture(params=[wsgi, asgi], ids=["wsgi", "asgi"])
def get(request: pytest.FixtureRequest) -> Callable[..., Answer]:
    return cast("Get", request.param)


Get = Callable[..., Answer]


def shown(answer: Answer) -> dict[str, Any]:
    assert answer[0] == 200, answer[2]
    found: dict[str, Any] = json.loads(answer[2])
    return found


def test_a_host_is_served_in_its_schema(get: Get):
    for host, name in NAMES.items():
        assert shown(get(host)) == {"row": name, "current": name}
        assert shown(get(f"{host.upper()}.:8000")) == {"row": name, "current": name}
    assert current_schema() is None


def test_any_public_name_of_a_schema_leads_to_it(get: Get):
    schema = Schema.objects.get(name=NAMES[ONE])
    schema.public_names.create(public_name="bücher.middleware.test")
    assert shown(get("xn--bcher-kva.middleware.test"))["current"] == NAMES[ONE]


def test_an_unknown_host_is_not_found(get: Get):
    assert get("unknown.middleware.test")[0] == 404


def test_an_inactive_schemas_host_is_not_found(get: Get):
    assert get(ONE)[0] == 200
    Schema.objects.filter(name=NAMES[ONE]).update(is_active=False)
    assert get(ONE)[0] == 404
    assert get(TWO)[0] == 200


@pytest.mark.parametrize("atomic", [False, True])
def test_a_row_without_its_schema_is_an_error_and_neither_reads_nor_writes_public(
    get: Get, monkeypatch: pytest.MonkeyPatch, atomic: bool
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    host = "nowhere.middleware.test"
    row = Schema.objects.create(name="middleware_nowhere")
    row.public_names.create(public_name=host, is_primary=True)
    with schema_context(PUBLIC):
        Tag.objects.create(label="public's")
    try:
        assert shown(get(ONE, "/tags/")) == {"tags": ["written"]}
        assert get(host, "/tags/")[0] == 500
        with schema_context(PUBLIC):
            assert [tag.label for tag in Tag.objects.all()] == ["public's"]
    finally:
        row.delete()
        for name in (PUBLIC, NAMES[ONE]):
            with schema_context(name):
                Tag.objects.all().delete()


def test_an_unknown_or_inactive_host_is_redirected_if_the_settings_say_so(get: Get):
    Schema.objects.filter(name=NAMES[ONE]).update(is_active=False)
    with override_settings(APPSCHEMA_SCHEMA_REDIRECT="https://www.example.com/signup"):
        for host in (ONE, "unknown.middleware.test"):
            status, headers, _ = get(host, "/anything/")
            assert (status, headers["Location"]) == (302, "https://www.example.com/signup")


def test_public_names_are_served_from_public_without_a_look_up(get: Get):
    with override_settings(APPSCHEMA_PUBLIC_NAMES=["WWW.middleware.test"]):
        with CaptureQueriesContext(connection) as captured:
            assert shown(get("www.middleware.test:80")) == {"row": None, "current": PUBLIC}
        assert len(captured) == 0


def test_public_names_may_have_urls_of_their_own(get: Get):
    with override_settings(
        APPSCHEMA_PUBLIC_NAMES=["www.middleware.test"],
        APPSCHEMA_PUBLIC_URLCONF="tests.sample.plans.urls",
    ):
        assert get("www.middleware.test", "/plans/")[0] == 200
        assert get("www.middleware.test", "/")[0] == 404
        assert get(ONE, "/plans/")[0] == 404
        assert get(ONE, "/")[0] == 200


@pytest.mark.parametrize(
    "host", ["no host", "a..b", "one.middleware.test:x", "a/b", "'; DROP SCHEMA", "[::1", "-x.test"]
)
def test_a_malformed_host_is_a_bad_request_without_a_look_up(get: Get, host: str):
    with CaptureQueriesContext(connection) as captured:
        assert get(host)[0] == 400
    assert len(captured) == 0


def test_a_host_that_is_not_allowed_is_a_bad_request_without_a_look_up(get: Get):
    with override_settings(ALLOWED_HOSTS=[TWO]), CaptureQueriesContext(connection) as captured:
        assert get(ONE)[0] == 400
    assert len(captured) == 0


def test_an_exception_in_the_view_restores_the_context():
    with pytest.raises(RuntimeError, match="middleware_one"):
        Client(headers={"host": ONE}).get("/fail/")
    assert current_schema() is None
    assert wsgi(ONE, "/fail/")[0] == 500
    assert current_schema() is None


def test_an_exception_in_the_view_restores_the_context_in_its_task():
    async def two_requests() -> None:
        assert (await asgi_later(ONE, "/fail/"))[0] == 500
        assert current_schema() is None

    asyncio.run(two_requests())


def test_the_context_around_the_handler_is_restored():
    with schema_context("outer"):
        assert shown(wsgi(ONE))["current"] == NAMES[ONE]
        assert wsgi("unknown.middleware.test")[0] == 404
        assert current_schema() == "outer"


def test_a_projects_own_middleware_overrides_one_method(get: Get):
    with override_settings(MIDDLEWARE=[BY_HEADER]):
        assert shown(get("any.test", **{"X-Customer": TWO}))["row"] == NAMES[TWO]
        assert get("any.test")[0] == 400
        assert get(ONE, **{"X-Customer": "unknown.middleware.test"})[0] == 404


def test_the_base_asks_for_the_method_in_words():
    with pytest.raises(NotImplementedError, match=r"^SchemaMiddleware must override get_public_n"):
        SchemaMiddleware(show)(RequestFactory().get("/"))


def test_a_warm_request_asks_what_its_view_asks(get: Get):
    resolve(ONE)
    with CaptureQueriesContext(connection) as captured:
        wsgi(ONE, "/ask/")
    assert len(captured) == 3


def test_a_cold_request_asks_once_more():
    with CaptureQueriesContext(connection) as captured:
        wsgi(ONE, "/ask/")
    assert len(captured) == 4


def test_requests_of_two_hosts_in_threads_stay_in_their_schemas(
    monkeypatch: pytest.MonkeyPatch,
):
    hosts = [ONE, TWO] * 3
    monkeypatch.setattr(f"{__name__}.barrier", Barrier(len(hosts)))
    resolve(ONE), resolve(TWO)

    def request(host: str) -> dict[str, Any]:
        try:
            return shown(wsgi(host, "/meet/"))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(hosts)) as pool:
        found = list(pool.map(request, hosts))
    names = [NAMES[host] for host in hosts]
    assert found == [{"before": name, "after": name, "count": 1} for name in names]


def test_requests_of_two_hosts_in_tasks_stay_in_their_schemas():
    hosts = [ONE, TWO] * 3

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(asgi_later(host, "/meet-async/") for host in hosts))

    found = [shown(answer) for answer in asyncio.run(all_at_once())]
    names = [NAMES[host] for host in hosts]
    assert found == [
        {"before": name, "after": name, "in_thread": name, "counts": [1, 1, 1]} for name in names
    ]


def test_an_async_chain_is_not_left_for_a_warm_name():
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(current_schema()))

    async def respond() -> Any:
        middleware = FqdnMiddleware(view)
        response = middleware(RequestFactory().get("/", headers={"host": ONE}))
        assert isinstance(response, Awaitable)
        return await response

    resolve(ONE)
    with CaptureQueriesContext(connection) as captured:
        assert asyncio.run(respond()).content == b"middleware_one"
    assert len(captured) == 0

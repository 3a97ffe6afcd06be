"""What is called later, or elsewhere, runs in the schema in which it was made."""

import asyncio
import gc
import importlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import ref

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import close_old_connections, connection, connections, transaction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from appschema import current_schema, deactivate, in_current_schema, schema_context
from appschema.concurrency import ThreadPoolExecutor
from appschema.exceptions import NoActiveSchema
from appschema.resolver import forget_names
from appschema.testing import ensure_schema
from tests.sample.notes.models import Note

pytestmark = [pytest.mark.usefixtures("committing"), pytest.mark.urls(__name__)]

ONE, TWO = "one.later.test", "two.later.test"
NAMES = {ONE: "later_one", TWO: "later_two"}


@pytest.fixture(autouse=True)
def schemas(committing: None) -> Iterator[None]:
    for host, name in NAMES.items():
        ensure_schema(name, host)
        with schema_context(name):
            Note.objects.all().delete()
            Note.objects.create(title=f"of {name}")
    forget_names()
    with override_settings(MIDDLEWARE=["appschema.middleware.FqdnMiddleware"]):
        yield
    forget_names()


def title() -> str:
    return Note.objects.get().title


# After the commit


@pytest.mark.parametrize("robust", [False, True])
def test_a_callback_runs_after_commit_in_the_schema_that_registered_it(robust: bool) -> None:
    found: list[str | None] = []
    with schema_context("later_two"):
        with transaction.atomic():
            with schema_context("later_one"):
                transaction.on_commit(lambda: found.append(title()), robust=robust)
            transaction.on_commit(lambda: found.append(title()), robust=robust)
            with schema_context(None):
                transaction.on_commit(lambda: found.append(current_schema()), robust=robust)
            with schema_context("later_one"):
                assert found == []
        assert found == ["of later_one", "of later_two", None]
        assert current_schema() == "later_two"


def test_a_callback_outside_a_transaction_runs_at_once() -> None:
    found: list[str] = []
    with schema_context("later_one"):
        transaction.on_commit(lambda: found.append(title()))
    assert found == ["of later_one"]


def test_a_callback_is_logged_by_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError("on purpose")

    with caplog.at_level(logging.ERROR), schema_context("later_one"), transaction.atomic():
        transaction.on_commit(fails, robust=True)
    assert "fails in on_commit() during transaction (on purpose)" in caplog.text


def test_a_partial_is_logged_by_what_it_calls(caplog: pytest.LogCaptureFixture) -> None:
    callback = partial(int, "no number")
    with caplog.at_level(logging.ERROR), schema_context("later_one"), transaction.atomic():
        transaction.on_commit(callback, robust=True)
    assert f"calling {callback} in on_commit()" in caplog.text


def test_a_class_is_logged_by_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    class Fails:
        def __init__(self) -> None:
            raise ValueError("on purpose")

    with caplog.at_level(logging.ERROR), schema_context("later_one"), transaction.atomic():
        transaction.on_commit(Fails, robust=True)
    assert f"calling {Fails.__qualname__} in on_commit()" in caplog.text


def test_the_text_of_a_partial_is_not_made_unless_it_is_logged() -> None:
    """That of a queryset would be a query."""
    with schema_context("later_one"):
        notes = Note.objects.all()
        with CaptureQueriesContext(connection) as queries:
            transaction.on_commit(partial(len, [notes]))
    assert [each["sql"] for each in queries] == []


def test_a_callback_that_cannot_be_called_is_refused_as_by_django() -> None:
    with pytest.raises(TypeError, match="must be a callable"):
        transaction.on_commit("no function")  # type: ignore[arg-type]


def test_callbacks_that_a_test_captures_run_in_their_schema() -> None:
    found: list[str] = []
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks() as callbacks:
            with schema_context("later_one"):
                transaction.on_commit(lambda: found.append(title()))
        with schema_context("later_two"):
            callbacks[0]()
    assert found == ["of later_one", "of later_one"]


# After the response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        try:
            for _ in range(3):
                yield f"{title()}\n"
        finally:
            closed.append(title())

    return StreamingHttpResponse(lines())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            note = await Note.objects.aget()
            yield f"{note.title}\n"
            await asyncio.sleep(0)

    return StreamingHttpResponse(lines())


def stream_queryset(request: HttpRequest) -> StreamingHttpResponse:
    notes = Note.objects.all().iterator()
    return StreamingHttpResponse(f"{note.title}\n" for note in notes)


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


class Titles:
    """Like a file, but what it gives comes from the database."""

    left = 2

    def read(self, size: int = -1) -> bytes:
        self.left -= 1
        return f"{title()}\n".encode() if self.left >= 0 else b""

    def close(self) -> None:
        closed.append(title())


def download_rows(request: HttpRequest) -> FileResponse:
    return FileResponse(Titles())  # type: ignore[arg-type,unused-ignore]


left_open: list[Iterator[str]] = []


def leave_a_scope_open(request: HttpRequest) -> HttpResponse:
    def lend() -> Iterator[str]:
        with schema_context("later_two"):
            yield title()
            yield title()

    generator = lend()
    left_open.append(generator)
    return HttpResponse(next(generator))


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(title())


urlpatterns = [
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("stream-queryset/", stream_queryset),
    path("download/", download),
    path("download-rows/", download_rows),
    path("leave-a-scope-open/", leave_a_scope_open),
    path("plain/", plain),
]
closed: list[str] = []


def start_wsgi(host: str, url: str) -> Any:
    environ = RequestFactory().get(url, headers={"host": host}).environ
    return WSGIHandler()(environ, lambda *arguments: lambda data: None)


@pytest.mark.parametrize("url", ["/stream/", "/stream-queryset/"])
def test_bodies_of_two_responses_are_streamed_in_turns(url: str) -> None:
    closed.clear()
    one, two = start_wsgi(ONE, url), start_wsgi(TWO, url)
    assert current_schema() is None
    parts = [(a, b) for a, b in zip(one, two, strict=True)]
    assert set(parts) == {(b"of later_one\n", b"of later_two\n")}
    for response in (one, two):
        response.close()
    assert closed == (["of later_one", "of later_two"] if url == "/stream/" else [])
    assert current_schema() is None


def test_a_body_that_is_left_half_read_is_closed_in_its_schema() -> None:
    closed.clear()
    response = start_wsgi(ONE, "/stream/")
    with schema_context("later_two"):
        assert next(iter(response)) == b"of later_one\n"
        response.close()
    assert closed == ["of later_one"]


@pytest.mark.parametrize("url", ["/stream/", "/stream-async/", "/stream-queryset/"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
def test_bodies_are_streamed_in_their_schema_under_asgi(url: str) -> None:
    async def get(host: str) -> str:
        scope = {
            "type": "http",
            "method": "GET",
            "path": url,
            "query_string": b"",
            "http_version": "1.1",
            "headers": [(b"host", host.encode())],
        }
        communicator = ApplicationCommunicator(ASGIHandler(), scope)
        await communicator.send_input({"type": "http.request", "body": b""})
        parts, more = [], True
        assert (await communicator.receive_output(20))["status"] == 200
        while more:
            event = await communicator.receive_output(20)
            parts.append(event.get("body", b"").decode())
            more = event.get("more_body", False)
        await communicator.wait(20)
        return "".join(parts)

    async def both() -> list[str]:
        return [*await asyncio.gather(get(ONE), get(TWO))]

    found = [set(body.splitlines()) for body in async_to_sync(both)()]
    assert found == [{"of later_one"}, {"of later_two"}]
    connections.close_all()


def test_what_is_only_like_a_file_is_read_in_its_schema() -> None:
    closed.clear()
    response = start_wsgi(ONE, "/download-rows/")
    with schema_context("later_two"):
        assert b"".join(response) == b"of later_one\n" * 2
        response.close()
    assert closed == ["of later_one"]


def test_a_scope_that_a_request_leaves_open_ends_with_it() -> None:
    assert b"".join(start_wsgi(ONE, "/leave-a-scope-open/")) == b"of later_two"
    assert current_schema() is None
    with schema_context("later_one"):
        start_wsgi(TWO, "/leave-a-scope-open/")
        assert current_schema() == "later_one"
        for each in left_open:
            each.close()  # type: ignore[attr-defined]
        assert current_schema() == "later_one"
    left_open.clear()


def test_the_file_of_a_response_is_still_given_to_the_server() -> None:
    environ = RequestFactory().get("/download/", headers={"host": ONE}).environ
    environ["wsgi.file_wrapper"] = lambda file, size: [file]
    handler: Any = WSGIHandler()
    (file,) = handler(environ, lambda *arguments: lambda data: None)
    assert file.name == __file__
    file.close()


@pytest.mark.parametrize("url", ["/plain/", "/stream/"])
def test_a_response_is_freed_when_it_is_closed(url: str) -> None:
    response = start_wsgi(ONE, url)
    dead = ref(response)
    gc.disable()
    try:
        # From Python 3.12 on, a generator that nobody began keeps what it was given when closed.
        assert b"".join(response)
        response.close()
        del response
        # A body of megabytes would else wait for the garbage collector.
        assert dead() is None
    finally:
        gc.enable()


def test_a_response_whose_closing_is_wrapped_again_is_closed_in_its_schema() -> None:
    found: list[str] = []

    def receiver(**kwargs: object) -> None:
        found.append(title())

    response = start_wsgi(ONE, "/plain/")
    inner = response.close

    def close() -> None:
        found.append("outer")
        inner()

    response.close = close
    request_finished.disconnect(close_old_connections)
    request_finished.connect(receiver)
    try:
        response.close()
    finally:
        request_finished.disconnect(receiver)
        request_finished.connect(close_old_connections)
    assert found == ["outer", "of later_one"]


def test_request_finished_is_sent_in_the_schema() -> None:
    found: list[str] = []

    def receiver(**kwargs: object) -> None:
        found.append(title())

    request_finished.disconnect(close_old_connections)
    request_finished.connect(receiver)
    try:
        for host in NAMES:
            start_wsgi(host, "/plain/").close()
    finally:
        request_finished.disconnect(receiver)
        request_finished.connect(close_old_connections)
    assert found == ["of later_one", "of later_two"]


# In other threads and tasks


def test_a_function_keeps_the_schema_in_which_it_was_bound() -> None:
    with schema_context("later_one"):
        bound = in_current_schema(title)
    unset = in_current_schema(current_schema)
    with schema_context("later_two"):
        assert bound() == "of later_one"
        assert unset() is None
        assert title() == "of later_two"
    assert bound.__name__ == "title"


def test_a_thread_runs_in_the_schema_of_its_bound_target() -> None:
    found: list[str] = []

    def work() -> None:
        found.append(title())
        connection.close()

    with schema_context("later_one"):
        thread = Thread(target=in_current_schema(work))
    thread.start()
    thread.join()
    assert found == ["of later_one"]


def test_an_executors_work_runs_in_the_schema_in_which_it_was_submitted() -> None:
    with ThreadPoolExecutor(2) as executor:
        futures = []
        for name in [*NAMES.values()] * 10:
            with schema_context(name):
                futures.append((name, executor.submit(title)))
                futures.append((name, executor.submit(lambda prefix: prefix + title()[3:], "of ")))
        for name, future in futures:
            assert future.result(20) == f"of {name}"
        with schema_context("later_two"):
            assert list(executor.map(lambda number: (number, title()), range(3))) == [
                (number, "of later_two") for number in range(3)
            ]
        assert executor.submit(current_schema).result(20) is None


def test_the_threads_of_an_executor_keep_no_connection_open() -> None:
    with ThreadPoolExecutor(1) as executor, schema_context("later_one"):
        for _ in range(2):
            assert executor.submit(lambda: connection.connection).result(20) is None
            assert executor.submit(title).result(20) == "of later_one"


def test_a_connection_that_grew_too_old_while_a_thread_waited_is_not_used_for_its_next_work() -> (
    None
):
    def use(expires_in: float) -> int:
        found = title()
        assert found == "of later_one"
        connection.close_at = time.monotonic() + expires_in
        pid: int = connection.connection.info.backend_pid
        return pid

    with ThreadPoolExecutor(1) as executor, schema_context("later_one"):
        first = executor.submit(use, 0.3).result(20)
        assert executor.submit(use, 0.3).result(20) == first
        time.sleep(0.4)
        assert executor.submit(use, 0).result(20) != first


def test_tasks_and_threads_of_asyncio_see_the_schema_in_which_they_were_started() -> None:
    async def start() -> list[asyncio.Future[Any]]:
        loop = asyncio.get_running_loop()
        return [
            loop.create_task(Note.objects.aget()),
            loop.create_task(asyncio.to_thread(closing_title)),
            loop.create_task(sync_to_async(closing_title, thread_sensitive=False)()),
        ]

    def closing_title() -> str:
        try:
            return title()
        finally:
            connection.close()

    async def run() -> list[Any]:
        started = []
        for name in NAMES.values():
            async with schema_context(name):
                started += await start()
        deactivate()
        return await asyncio.gather(*started)

    found = [str(each) for each in async_to_sync(run)()]
    assert found == ["of later_one"] * 3 + ["of later_two"] * 3


# Django's tasks


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has tasks from 6.0 on.")
def test_a_task_runs_in_the_schema_in_which_it_was_enqueued() -> None:
    from django.tasks import task_backends

    settings = {"default": {"BACKEND": f"{__name__}.Queue"}}
    with override_settings(TASKS=settings):
        tasks: Any = importlib.import_module("tests.sample.notes.tasks")
        for name in NAMES.values():
            with schema_context(name):
                tasks.tell.enqueue("sync")
                async_to_sync(tasks.tell.aenqueue)("async")
                tasks.tell_async.enqueue("coroutine")
        queue: Any = task_backends["default"]
        found = [each.task.call(*each.args, **each.kwargs) for each in queue.results]
        called = [
            async_to_sync(each.task.acall)(*each.args, **each.kwargs) for each in queue.results
        ]
    expected = [
        f"{kind}: of {name}" for name in NAMES.values() for kind in ("sync", "async", "coroutine")
    ]
    assert found == expected
    assert called == expected
    assert current_schema() is None


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has tasks from 6.0 on.")
def test_a_task_that_was_enqueued_with_no_schema_is_refused_rows_of_one() -> None:
    from django.tasks import task_backends

    with override_settings(TASKS={"default": {"BACKEND": f"{__name__}.Queue"}}):
        tasks: Any = importlib.import_module("tests.sample.notes.tasks")
        tasks.tell.enqueue("sync")
        (result,) = task_backends["default"].results  # type: ignore[attr-defined]
        for name in (None, *NAMES.values()):
            with schema_context(name), pytest.raises(NoActiveSchema):
                result.task.call(*result.args, **result.kwargs)


def __getattr__(name: str) -> Any:
    """Make the class of the tasks' backend where Django has tasks."""
    if name != "Queue":
        raise AttributeError(name)
    from django.tasks.backends.dummy import DummyBackend

    from appschema.schema_tasks import SchemaTasks

    return type("Queue", (SchemaTasks, DummyBackend), {})


# What all requests share


def test_the_urlconf_is_imported_with_no_schema_active(tmp_path: Any) -> None:
    (tmp_path / "lazy_urls.py").write_text(
        "from django.http import HttpResponse\n"
        "from django.urls import path\n"
        "from tests.sample.notes.models import Note\n"
        "notes = Note.objects.all()\n"
        "def show(request):\n"
        "    return HttpResponse(notes.get().title)\n"
        "urlpatterns = [path('', show)]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        with override_settings(ROOT_URLCONF="lazy_urls"):
            handler: Callable[..., Any] = WSGIHandler()
            assert "lazy_urls" in sys.modules
            for host, name in NAMES.items():
                environ = RequestFactory().get("/", headers={"host": host}).environ
                response = handler(environ, lambda *arguments: lambda data: None)
                assert b"".join(response) == f"of {name}".encode()
                response.close()
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("lazy_urls", None)

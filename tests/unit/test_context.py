"""The current schema: scopes, threads, tasks, generators; no server."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.views import View
from hypothesis import given
from hypothesis import strategies as st

from appschema import activate, current_schema, deactivate, schema_context
from appschema.exceptions import InvalidSchemaName


@pytest.fixture(autouse=True)
def _unset() -> Iterator[None]:
    assert current_schema() is None
    yield
    found = current_schema()
    deactivate()
    assert found is None


class Stop(Exception):
    pass


def test_schema_is_unset_at_first():
    assert current_schema() is None


def test_scope_sets_and_restores():
    with schema_context("a") as scope:
        assert current_schema() == scope.schema_name == "a"
        with schema_context("b"):
            assert current_schema() == "b"
        assert current_schema() == "a"


def test_scope_restores_when_its_body_raises():
    with schema_context("a"):
        with pytest.raises(Stop), schema_context("b"):
            raise Stop
        assert current_schema() == "a"


def test_scope_of_none_is_unset():
    with schema_context("a"):
        with schema_context(None):
            assert current_schema() is None
        assert current_schema() == "a"


def test_public_can_be_entered():
    with schema_context("public"):
        assert current_schema() == "public"


@pytest.mark.parametrize("name", ["", "pg_x", "a b", "a;b", "information_schema", 7, b"a"])
def test_bad_name_is_refused_before_anything_is_set(name):
    with pytest.raises(InvalidSchemaName):
        schema_context(name)
    with pytest.raises(InvalidSchemaName):
        activate(name)
    assert current_schema() is None


def test_activate_and_deactivate():
    activate("a")
    assert current_schema() == "a"
    activate("b")
    assert current_schema() == "b"
    deactivate()
    assert current_schema() is None


def test_activate_inside_a_scope_lasts_until_its_end():
    activate("outer")
    with schema_context("a"):
        activate("b")
        assert current_schema() == "b"
        deactivate()
        assert current_schema() is None
        activate("c")
    assert current_schema() == "outer"
    deactivate()


def test_scopes_left_in_another_order_bring_no_ended_schema_back():
    first, second, third = schema_context("a"), schema_context("b"), schema_context("c")
    for scope in (first, second, third):
        scope.__enter__()
    second.__exit__(None, None, None)
    assert current_schema() == "c"
    third.__exit__(None, None, None)
    assert current_schema() == "a"
    first.__exit__(None, None, None)
    assert current_schema() is None


def test_scope_that_is_left_after_the_one_around_it():
    outer, inner = schema_context("a"), schema_context("b")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert current_schema() == "b"
    inner.__exit__(None, None, None)
    assert current_schema() is None


def test_one_object_can_be_entered_again_and_inside_itself():
    scope = schema_context("a")
    with scope:
        with schema_context("b"), scope:
            assert current_schema() == "a"
        assert current_schema() == "a"
    assert current_schema() is None
    with scope:
        assert current_schema() == "a"


def test_leaving_a_scope_that_was_not_entered_changes_nothing():
    with schema_context("a"):
        schema_context("b").__exit__(None, None, None)
        assert current_schema() == "a"


class Model:
    """What must hold: the schema is that of the newest scope that is still open."""

    def __init__(self) -> None:
        self.stack: list[list[Any]] = []

    def enter(self, scope: Any, name: str | None) -> None:
        self.stack.append([scope, name])

    def leave(self, scope: Any) -> None:
        owners = [owner for owner, _ in self.stack]
        if scope in owners:
            del self.stack[len(owners) - 1 - owners[::-1].index(scope)]

    @property
    def current(self) -> str | None:
        return self.stack[-1][1] if self.stack else None


NAMES = st.sampled_from([None, "public", "a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), NAMES),
        st.tuples(st.just("again"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("activate"), NAMES),
    ),
    max_size=30,
)


@given(STEPS)
def test_any_order_of_entering_and_leaving_gives_the_newest_open_scope(steps):
    with ExitStack() as stack:
        root = schema_context(None)
        stack.enter_context(root)
        model = Model()
        model.enter(root, None)
        scopes: list[Any] = []
        for step, argument in steps:
            if step == "enter":
                scope = schema_context(argument)
                scopes.append(scope)
                scope.__enter__()
                model.enter(scope, argument)
            elif step == "activate":
                activate(argument) if argument else deactivate()
                model.stack[-1][1] = argument
            elif scopes:
                scope = scopes[argument % len(scopes)]
                if step == "again":
                    scope.__enter__()
                    model.enter(scope, scope.schema_name)
                else:
                    scope.__exit__(None, None, None)
                    model.leave(scope)
            assert current_schema() == model.current
        for scope in scopes * len(steps):
            scope.__exit__(None, None, None)


# Decorator -----------------------------------------------------------------------------------


def test_decorated_function_runs_in_the_schema():
    @schema_context("a")
    def decorated(value: int, *, more: int) -> tuple[int, str | None]:
        """Its documentation."""
        return value + more, current_schema()

    assert decorated(1, more=2) == (3, "a")
    assert decorated.__name__ == "decorated"
    assert decorated.__doc__ == "Its documentation."
    assert current_schema() is None


def test_decorated_function_that_raises_restores():
    @schema_context("a")
    def decorated() -> None:
        activate("b")
        raise Stop

    with schema_context("c"):
        with pytest.raises(Stop):
            decorated()
        assert current_schema() == "c"


def test_decorated_function_can_call_itself():
    @schema_context("a")
    def decorated(depth: int) -> list[str | None]:
        with schema_context("b"):
            deeper = decorated(depth - 1) if depth else []
        return [current_schema(), *deeper]

    assert decorated(3) == ["a"] * 4


def test_decorated_method_gets_its_object():
    class Report:
        name = "report"

        @schema_context("a")
        def run(self) -> tuple[str, str | None]:
            return self.name, current_schema()

    assert Report().run() == ("report", "a")


def test_class_is_refused():
    with pytest.raises(TypeError, match="cannot decorate the class 'Report'"):

        @schema_context("a")
        class Report:
            pass


def test_one_decorator_in_two_threads_at_once():
    step = Barrier(2, timeout=30)

    @schema_context("shared")
    def decorated() -> str | None:
        step.wait()
        found = current_schema()
        step.wait()
        return found

    def worker(name: str) -> list[str | None]:
        with schema_context(name):
            return [decorated(), current_schema()]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(worker, ["a", "b"])) == [["shared", "a"], ["shared", "b"]]


def test_one_object_in_two_threads_at_once():
    step = Barrier(2, timeout=30)
    scope = schema_context("shared")

    def worker(name: str) -> list[str | None]:
        found = []
        with schema_context(name):
            with scope:
                step.wait()
                found.append(current_schema())
            step.wait()
            found.append(current_schema())
        return found

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(worker, ["a", "b"])) == [["shared", "a"], ["shared", "b"]]


def test_thread_begins_unset():
    with schema_context("a"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_schema).result() is None


# Generators ----------------------------------------------------------------------------------


@schema_context("g")
def steps() -> Generator[Any, Any, str]:
    try:
        received = yield current_schema()
        yield received, current_schema()
    except Stop:
        yield "caught", current_schema()
    return f"done in {current_schema()}"


def test_decorated_generator_runs_in_its_schema_and_the_caller_in_its_own():
    with schema_context("a"):
        generator = steps()
        assert next(generator) == "g"
        assert current_schema() == "a"
        assert generator.send("sent") == ("sent", "g")
        assert current_schema() == "a"
        with pytest.raises(StopIteration, match="done in g"):
            next(generator)
        assert current_schema() == "a"


def test_decorated_generator_gets_the_exception_in_its_schema():
    with schema_context("a"):
        generator = steps()
        next(generator)
        assert generator.throw(Stop()) == ("caught", "g")
        assert current_schema() == "a"
        generator.close()


def test_decorated_generator_is_closed_in_its_schema():
    found = []

    @schema_context("g")
    def generating() -> Generator[None]:
        try:
            yield
        finally:
            found.append(current_schema())

    generator = generating()
    next(generator)
    generator.close()
    assert found == ["g"]
    assert current_schema() is None


def test_decorated_generator_can_delegate():
    def outer() -> Generator[Any, Any, Any]:
        return (yield from steps())

    generator = outer()
    assert next(generator) == "g"
    assert generator.send(1) == (1, "g")
    with pytest.raises(StopIteration, match="done in g"):
        next(generator)


def test_decorated_generators_interleave():
    @schema_context("b")
    def other() -> Iterator[str | None]:
        yield current_schema()
        yield current_schema()

    one, two = steps(), other()
    assert [next(one), next(two), current_schema()] == ["g", "b", None]
    assert [one.send(1), next(two), current_schema()] == [(1, "g"), "b", None]


def test_scope_open_across_a_yield_ends_where_it_is_closed_late():
    def lending() -> Generator[str | None]:
        with schema_context("g"):
            yield current_schema()

    generator = lending()
    with schema_context("a"):
        next(generator)
    generator.close()
    assert current_schema() is None


# Tasks ---------------------------------------------------------------------------------------


def test_tasks_have_a_schema_each():
    async def task(name: str) -> list[str | None]:
        found = []
        async with schema_context(name):
            for _ in range(3):
                await asyncio.sleep(0)
                found.append(current_schema())
        return [*found, current_schema()]

    async def main() -> list[list[str | None]]:
        return [*await asyncio.gather(task("a"), task("b"))]

    assert asyncio.run(main()) == [["a"] * 3 + [None], ["b"] * 3 + [None]]


def test_task_begins_with_the_schema_in_which_it_was_made_and_changes_no_other():
    async def child() -> str | None:
        found = current_schema()
        activate("changed")
        return found

    async def main() -> None:
        async with schema_context("a"):
            task = asyncio.create_task(child())
        assert current_schema() is None
        assert await task == "a"
        assert current_schema() is None

    asyncio.run(main())


def test_cancelled_task_leaves_its_scope():
    left = []

    async def child() -> None:
        try:
            async with schema_context("a"):
                await asyncio.Event().wait()
        finally:
            left.append(current_schema())

    async def main() -> None:
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert left == [None]


def test_decorated_coroutine_runs_in_the_schema():
    @schema_context("a")
    async def decorated(value: int) -> tuple[int, str | None]:
        await asyncio.sleep(0)
        return value, current_schema()

    async def main() -> list[Any]:
        async with schema_context("b"):
            return [await decorated(1), current_schema()]

    assert asyncio.run(main()) == [(1, "a"), "b"]


def test_decorated_asynchronous_generator_runs_in_its_schema():
    found = []

    @schema_context("g")
    async def generating() -> AsyncIterator[Any]:
        try:
            received = yield current_schema()
            yield received, current_schema()
        except Stop:
            yield "caught", current_schema()
        finally:
            found.append(current_schema())

    async def main() -> None:
        async with schema_context("a"):
            generator: Any = generating()
            assert await anext(generator) == "g"
            assert current_schema() == "a"
            assert await generator.asend("sent") == ("sent", "g")
            assert await generator.athrow(Stop()) == ("caught", "g")
            assert current_schema() == "a"
            with pytest.raises(StopAsyncIteration):
                await anext(generator)
            generator = generating()
            await anext(generator)
            await generator.aclose()
            assert [value async for value in generating()] == ["g", (None, "g")]
            assert current_schema() == "a"

    asyncio.run(main())
    assert found == ["g", "g", "g"]


def test_repr_names_the_schema():
    assert repr(schema_context("a")) == "schema_context('a')"


class AsyncCallable:
    async def __call__(self) -> str | None:
        return current_schema()


async def _told() -> str | None:
    return current_schema()


def _returns_a_coroutine() -> Any:
    return _told()


class AsyncView(View):
    async def get(self, request: Any) -> HttpResponse:
        return HttpResponse(current_schema() or "none")


@pytest.mark.parametrize("function", [AsyncCallable(), _returns_a_coroutine, _told])
def test_whatever_is_awaited_runs_in_the_schema(function: Any):
    decorated = schema_context("a")(function)

    async def call() -> str | None:
        with schema_context("b"):
            found: str | None = await decorated()
            assert current_schema() == "b"
            return found

    assert asyncio.run(call()) == "a"


class GeneratorCallable:
    def __call__(self) -> Iterator[str | None]:
        yield current_schema()
        yield current_schema()


class AsyncGeneratorCallable:
    async def __call__(self) -> AsyncIterator[str | None]:
        yield current_schema()
        yield current_schema()


def _returns_a_generator() -> Any:
    return (current_schema() for _ in range(2))


def _returns_an_async_generator() -> Any:
    return AsyncGeneratorCallable()()


@pytest.mark.parametrize("function", [GeneratorCallable(), _returns_a_generator])
def test_whatever_is_iterated_runs_in_the_schema(function: Any):
    with schema_context("b"):
        seen = [(each, current_schema()) for each in schema_context("a")(function)()]
    assert seen == [("a", "b"), ("a", "b")]


@pytest.mark.parametrize("function", [AsyncGeneratorCallable(), _returns_an_async_generator])
def test_whatever_is_iterated_asynchronously_runs_in_the_schema(function: Any):
    async def iterate() -> list[tuple[str | None, str | None]]:
        with schema_context("b"):
            return [(each, current_schema()) async for each in schema_context("a")(function)()]

    assert asyncio.run(iterate()) == [("a", "b"), ("a", "b")]


def test_an_asynchronous_view_of_a_class_runs_in_the_schema():
    view: Any = schema_context("a")(AsyncView.as_view())

    async def call() -> bytes:
        with schema_context("b"):
            request = HttpRequest()
            request.method = "GET"
            response = await view(request)
            return bytes(response.content)

    assert asyncio.run(call()) == b"a"

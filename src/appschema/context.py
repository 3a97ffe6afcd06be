"""The current schema: what ``activate``, ``deactivate`` and ``schema_context`` change.

The whole state is one ``ContextVar`` that holds an immutable chain of scopes, so every
thread and every asyncio task has its own, and nothing is ever derived from a connection.

Leaving a scope takes that scope's own entry out of the chain, wherever it stands. Scopes
that are left in another order than they were entered (generators that are closed late) thus
never bring back the schema of a scope that has ended.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial, wraps
from types import TracebackType
from typing import Any, Optional, Self, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from .names import validate_active_name

F = TypeVar("F", bound=Callable[..., Any])


# A scope, the schema that it has now, and the one around it. A plain tuple: two are made with every
# request.
_Scope = tuple[Optional["schema_context"], str | None, Optional["_Scope"]]

_scopes: ContextVar[_Scope | None] = ContextVar("appschema_scopes", default=None)
# What the newest of them says, set with them: it is asked for several times with every statement.
_newest: ContextVar[str | None] = ContextVar("appschema_schema_name", default=None)

get_current = _newest.get
"""``current_schema``, without a call in Python."""


def current_schema() -> str | None:
    """Return the name of the current schema, ``"public"``, or ``None`` when it is unset."""
    return _newest.get()


def activate(schema_name: str) -> None:
    """Make *schema_name* the current schema until ``deactivate()`` or the scope around ends.

    Raises ``InvalidSchemaName``. Does not touch the database. Where a block has an end,
    use ``schema_context``, which restores what it found.
    """
    _replace(validate_active_name(schema_name))


def deactivate() -> None:
    """Leave the current schema unset until the scope around ends."""
    _replace(None)


_owner: ContextVar[bool] = ContextVar("appschema_owner", default=False)

get_owner = _owner.get
"""``runs_as_owner``, without a call in Python."""


@contextmanager
def as_owner() -> Iterator[None]:
    """Send statements as the role that connects, not as the schema's: what changes tables needs it.

    Only with ``APPSCHEMA_ROLES``; without it nothing changes. The current schema stays what it is.
    Also a decorator. Threads that are started inside do not inherit it; tasks of asyncio
    that are made inside do, and keep it.
    """
    token = _owner.set(True)
    try:
        yield
    finally:
        _owner.reset(token)


def runs_as_owner() -> bool:
    """Tell whether statements are sent as the owner of the tables, inside ``as_owner()``."""
    return _owner.get()


def _replace(schema_name: str | None) -> None:
    owner, _, around = _scopes.get() or (None, None, None)
    _scopes.set((owner, schema_name, around))
    _newest.set(schema_name)


def _validated(schema_name: object) -> str:
    # A scope is opened with every request, and what was found of a name stays true.
    if type(schema_name) is str:
        return _validated_before(schema_name)
    return validate_active_name(schema_name)


_validated_before = lru_cache(maxsize=4096)(validate_active_name)


def _without(scope: _Scope | None, owner: schema_context) -> _Scope | None:
    """Return the chain without the innermost scope of *owner*, or as it is if there is none."""
    newer: list[_Scope] = []
    while scope is not None and scope[0] is not owner:
        newer.append(scope)
        scope = scope[2]
    around = None if scope is None else scope[2]
    for each in reversed(newer):
        around = (each[0], each[1], around)
    return around


class schema_context:  # noqa: N801 - used like a function, as Django's own scopes are
    """A scope in which *schema_name* is the current schema: ``with``, ``async with`` or decorator.

    ``None`` makes a scope in which the schema is unset. Raises ``InvalidSchemaName`` at once.
    As a decorator it opens a new scope for each call, and for generators a new one for each
    step, so that the caller's schema is untouched between the steps. A generator that holds a
    ``with schema_context(...)`` open across a ``yield`` lends its schema to the caller
    (as any ``ContextVar`` does): decorate the generator function instead.
    """

    __slots__ = ("schema_name",)

    def __init__(self, schema_name: str | None) -> None:
        self.schema_name = None if schema_name is None else _validated(schema_name)

    def __repr__(self) -> str:
        return f"schema_context({self.schema_name!r})"

    def __enter__(self) -> Self:
        schema_name = self.schema_name
        _scopes.set((self, schema_name, _scopes.get()))
        _newest.set(schema_name)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        scope = _scopes.get()
        # Nearly always it is the newest.
        left = scope[2] if scope is not None and scope[0] is self else self._leave(scope)
        _scopes.set(left)
        _newest.set(None if left is None else left[1])

    def _leave(self, newest: _Scope | None) -> _Scope | None:
        return _without(newest, self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc_value, traceback)

    def __call__(self, function: F) -> F:
        if isinstance(function, type):
            raise TypeError(
                f"schema_context cannot decorate the class {function.__name__!r}."
                " Decorate its methods."
            )
        name = self.schema_name
        if inspect.isasyncgenfunction(function):
            wrapper: Callable[..., Any] = _async_generator_in(name, function)
        elif inspect.isgeneratorfunction(function):
            wrapper = _generator_in(name, function)
        # Django marks what is asynchronous, and Python before 3.12 does not see it.
        elif iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):

            @wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with schema_context(name):
                    return await function(*args, **kwargs)

        else:

            @wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with schema_context(name):
                    result = function(*args, **kwargs)
                return _later_in(name, result)

        return cast(F, wrapper)


class request_context(schema_context):  # noqa: N801 - as schema_context
    """A scope that nothing outlives: with it all is left that was entered inside and is still open.

    A generator that holds a ``with schema_context(...)`` open and is not run to its end, in a view,
    would lend that schema to whatever its thread does after the request. Not a decorator's scope.
    """

    __slots__ = ()

    def _leave(self, newest: _Scope | None) -> _Scope | None:
        scope = newest
        while scope is not None and scope[0] is not self:
            scope = scope[2]
        return newest if scope is None else scope[2]


def _later_in(name: str | None, result: Any) -> Any:
    """Return what a call gave; if it is still to run, so that it will do so in the schema."""
    if inspect.isgenerator(result):
        return _generator_in(name, lambda: result)()
    if inspect.isasyncgen(result):
        return _async_generator_in(name, lambda: result)()
    return _awaited_in(name, result) if inspect.iscoroutine(result) else result


async def _awaited_in(name: str | None, coroutine: Coroutine[Any, Any, Any]) -> Any:
    with schema_context(name):
        return await coroutine


def in_current_schema(function: F) -> F:
    """Return *function* bound to the schema that is current now, or to none if it is unset.

    For what is called later or elsewhere: a callback, the target of a thread, the work of an
    executor. Functions, coroutine functions and generator functions are taken, as by
    ``schema_context``, and any other callable.
    """
    scope = schema_context(current_schema())
    if isinstance(function, type):
        # Nobody means to decorate the class: what is given away is a call of it, by its name.
        @wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return cast(F, scope(call))
    return scope(function)


def _generator_in(
    name: str | None, function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with schema_context(name):
            generator = function(*args, **kwargs)
        step: Callable[[], Any] = partial(next, generator)
        try:
            while True:
                try:
                    with schema_context(name):
                        value = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield value
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - handed on to the generator
                    step = partial(generator.throw, error)
                else:
                    step = partial(generator.send, sent)
        finally:
            with schema_context(name):
                generator.close()

    return wrapper


def _async_generator_in(
    name: str | None, function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with schema_context(name):
            generator = function(*args, **kwargs)
        step: Callable[[], Any] = partial(anext, generator)
        try:
            while True:
                try:
                    with schema_context(name):
                        value = await step()
                except StopAsyncIteration:
                    return
                try:
                    sent = yield value
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - handed on to the generator
                    step = partial(generator.athrow, error)
                else:
                    step = partial(generator.asend, sent)
        finally:
            with schema_context(name):
                await generator.aclose()

    return wrapper

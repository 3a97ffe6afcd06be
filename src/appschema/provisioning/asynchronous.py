"""The same for coroutines: each runs in the thread in which Django's ORM runs for the caller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from . import activity, adopt, clone, create, drop, public_names, purge, refill, rename

P = ParamSpec("P")
R = TypeVar("R")


def _twin(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    @wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        # The schema and the transaction of the caller are those of this thread.
        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

    twin.__name__ = twin.__qualname__ = f"a{function.__name__}"
    twin.__doc__ = f"Do as ``{function.__name__}``, for a coroutine."
    twin.__module__ = __name__
    return twin


anew_schema = _twin(create.new_schema)
aclone_schema = _twin(clone.clone_schema)
arefill_spares = _twin(refill.refill_spares)
aadopt_schema = _twin(adopt.adopt_schema)
arename_schema = _twin(rename.rename_schema)
aactivate_schema = _twin(activity.activate_schema)
adeactivate_schema = _twin(activity.deactivate_schema)
aadd_public_name = _twin(public_names.add_public_name)
aremove_public_name = _twin(public_names.remove_public_name)
adrop_schema = _twin(drop.drop_schema)
aundrop_schema = _twin(drop.undrop_schema)
apurge_schema = _twin(purge.purge_schema)
adue_schemas = _twin(purge.due_schemas)

"""Django's tasks (6.0 and later), run in the schema in which they were enqueued.

Put ``SchemaTasks`` before the backend of your choice, and name the class in ``TASKS``:

    class Backend(SchemaTasks, DatabaseBackend):
        pass

A worker is another process, so the schema's name travels with the keyword arguments.

The module needs Django 6.0. It is not called ``tasks``: Celery and the like import a module of that
name from each installed app.
"""

from __future__ import annotations

from typing import Any

from django.tasks import Task

from .context import current_schema, schema_context

ARGUMENT = "appschema_schema_name"
"""The keyword argument by which the name travels; the task's function does not see it."""


class SchemaTask(Task):  # type: ignore[type-arg]
    """A task that remembers the schema in which it was enqueued."""

    __slots__ = ()

    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue the task for the current schema."""
        return super().enqueue(*args, **kwargs, **{ARGUMENT: current_schema()})

    async def aenqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue the task for the current schema."""
        return await super().aenqueue(*args, **kwargs, **{ARGUMENT: current_schema()})

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function in the schema that came with it."""
        with schema_context(kwargs.pop(ARGUMENT, None)):
            return super().call(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function in the schema that came with it."""
        with schema_context(kwargs.pop(ARGUMENT, None)):
            return await super().acall(*args, **kwargs)


class SchemaTasks:
    """A mixin for backends of ``TASKS``."""

    task_class = SchemaTask

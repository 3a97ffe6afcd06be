"""Run a plan in one schema: what Django's migrate does for a database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.signals import post_migrate, pre_migrate

from appschema.context import as_owner, schema_context
from appschema.names import PUBLIC
from appschema.placement import get_placement
from appschema.roles.database import DatabaseRoles
from appschema.router import reaching_shared_tables

from .executor import PlacedExecutor, Progress
from .plan import Request, SchemaPlan, plan_schema
from .receivers import send_placed
from .records import public_records
from .result import Result

Sync = Callable[[BaseDatabaseWrapper, set[str]], None]
Send = Callable[..., None]


def make_plan(connection: BaseDatabaseWrapper, request: Request, schema_name: str) -> SchemaPlan:
    """Return what ``migrate`` would do in one schema. Raises ``SchemaMissing``."""
    with schema_context(schema_name), as_owner():
        return _plan(PlacedExecutor(connection, get_placement(), schema_name), request, schema_name)


def _plan(executor: PlacedExecutor, request: Request, schema_name: str) -> SchemaPlan:
    executor.loader.check_consistent_history(executor.connection)
    shared = {} if executor.public else public_records(executor.recorder)
    return plan_schema(executor, request, schema_name, executor.placement, shared)


def migrate_schema(
    connection: BaseDatabaseWrapper,
    request: Request,
    schema_name: str,
    *,
    progress: Progress | None = None,
    sync: Sync | None = None,
    kind: type[PlacedExecutor] = PlacedExecutor,
    stdout: Any = None,
) -> Result:
    """Migrate one schema, or public, and return what was applied. Raises what goes wrong.

    ``sync`` makes the tables of apps without migrations, if the request asks for it.
    """
    with schema_context(schema_name), as_owner():
        executor = kind(connection, get_placement(), schema_name, progress)
        result = _run(executor, request, _plan(executor, request, schema_name), sync, stdout)
        if schema_name == PUBLIC:
            roles = DatabaseRoles(connection)
            if roles.are_wanted():
                roles.make_those_of_database()
        return result


def _run(
    executor: PlacedExecutor,
    request: Request,
    plan: SchemaPlan,
    sync: Sync | None,
    stdout: Any,
) -> Result:
    connection, steps = executor.connection, list(plan.steps)
    send = partial(
        send_placed,
        placement=executor.placement,
        public=executor.public,
        verbosity=request.verbosity,
        interactive=request.interactive,
        using=connection.alias,
        stdout=stdout,
        plan=steps,
    )
    run_plan(executor, request, plan, send, sync)
    return Result(plan.schema_name, tuple(str(migration) for migration, _ in steps))


def run_plan(
    executor: PlacedExecutor,
    request: Request,
    plan: SchemaPlan,
    send: Send,
    sync: Sync | None = None,
) -> tuple[Any, Any]:
    """Run *plan* in the executor's schema, which is active, and return the models before and after.

    ``send`` sends pre_migrate and post_migrate.
    """
    # Python in migrations and receivers may ask for rows of shared models: of permissions, say.
    with reaching_shared_tables():
        with executor.placed_states():
            state = executor.applied_state()
            before = state.apps
            send(pre_migrate, apps=before)
            if request.run_syncdb and sync:
                to_sync = executor.unmigrated_here
                if request.app_label:
                    to_sync = to_sync & {request.app_label}
                if to_sync:
                    sync(executor.connection, to_sync)
            state = executor.migrate(
                list(plan.targets),
                plan=[*plan.steps, *plan.beside],
                state=state.clone(),
                fake=request.fake,
                fake_initial=request.fake_initial,
            )
        _render_real_apps(state)
        send(post_migrate, apps=state.apps)
    return before, state.apps


def _render_real_apps(state: ProjectState) -> None:
    """Render the models of apps without migrations again, now with their relations."""
    state.clear_delayed_apps_cache()
    rendered = state.apps
    with rendered.bulk_update():
        keys = []
        for model_state in rendered.real_models:
            key = (model_state.app_label, model_state.name_lower)
            keys.append(key)
            rendered.unregister_model(*key)
    rendered.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])

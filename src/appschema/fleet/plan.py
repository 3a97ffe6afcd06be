"""What will be done in one schema: pure, from a loaded graph and its records.

Nothing here asks a database: the records were read when the graph was loaded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.migrations import Migration
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from appschema.exceptions import MigrationError
from appschema.names import PUBLIC
from appschema.placement import Placement

Key = tuple[str, str | None]


@dataclass(frozen=True)
class Request:
    """What the user asked of ``migrate``, apart from the schemas."""

    app_label: str | None = None
    migration_name: str | None = None
    fake: bool = False
    fake_initial: bool = False
    run_syncdb: bool = False
    prune: bool = False
    interactive: bool = False
    verbosity: int = 1


@dataclass(frozen=True)
class SchemaPlan:
    """The migrations to run in one schema, in order, each with whether it is undone."""

    schema_name: str
    targets: tuple[Key, ...]
    steps: tuple[tuple[Migration, bool], ...]
    beside: tuple[tuple[Migration, bool], ...] = ()
    """Migrations of shared apps, applied in public, that the steps build upon: they change
    nothing in the schema, but the state of the models."""

    @property
    def backwards(self) -> bool:
        return any(backwards for _, backwards in self.steps)


def find_targets(loader: MigrationLoader, request: Request) -> tuple[Key, ...]:
    """Return the nodes of the graph that *request* means, as Django's migrate reads them.

    Raises ``MigrationError`` for an app or a name that there is not, and for conflicts.
    """
    if conflicts := loader.detect_conflicts():
        found = "; ".join(f"{', '.join(names)} in {app}" for app, names in conflicts.items())
        raise MigrationError(
            f"Conflicting migrations detected; multiple leaf nodes in the migration graph: ({found})."
            " To fix them run 'manage.py makemigrations --merge'."
        )
    label = request.app_label
    leaves: list[Key] = list(loader.graph.leaf_nodes())
    if label is None:
        return tuple(leaves)
    if label not in loader.migrated_apps:
        if request.run_syncdb:
            return ()
        raise MigrationError(
            f"App {label!r} does not have migrations. Make them with 'manage.py makemigrations {label}',"
            " or make its tables without: add --run-syncdb."
        )
    if request.run_syncdb:
        raise MigrationError(
            f"Can't use run_syncdb with app {label!r} as it has migrations. Leave --run-syncdb out."
        )
    if request.migration_name is None:
        return tuple(key for key in leaves if key[0] == label)
    if request.migration_name == "zero":
        return ((label, None),)
    return (_find_migration(loader, label, request.migration_name),)


def _find_migration(loader: MigrationLoader, label: str, name: str) -> Key:
    try:
        migration = loader.get_migration_by_prefix(label, name)
    except AmbiguityError as error:
        raise MigrationError(
            f"More than one migration matches {name!r} in app {label!r}. Give more of the name."
        ) from error
    except KeyError as error:
        raise MigrationError(
            f"Cannot find a migration matching {name!r} from app {label!r}."
            f" Run 'manage.py showmigrations {label}' to see which there are."
        ) from error
    key = (label, migration.name)
    # A squashed migration that is applied in part is not in the graph; its last part is.
    if key not in loader.graph.nodes and key in loader.replacements:
        key = loader.replacements[key].replaces[-1]
    return key


def plan_schema(
    executor: MigrationExecutor,
    request: Request,
    schema_name: str,
    placement: Placement,
    applied_in_public: Collection[tuple[str, str]],
) -> SchemaPlan:
    """Return the plan for one schema, or for public: of the apps that are placed there, only.

    Raises ``MigrationError`` when a migration needs one of a shared app that public lacks.
    """
    public = schema_name == PUBLIC
    targets = find_targets(executor.loader, request)
    if request.migration_name is None:
        targets = tuple(key for key in targets if placement.holds(key[0], public=public))
    steps: list[tuple[Migration, bool]] = executor.migration_plan(list(targets))
    # Going back, what depends on the target is undone where it is placed, here or elsewhere.
    placed = [step for step in steps if placement.holds(step[0].app_label, public=public)]
    beside = [
        step
        for step in steps
        if not public and not step[1] and not placement.in_schemas(step[0].app_label)
    ]
    for migration, _ in beside if placed else ():
        if not _is_applied(migration, applied_in_public):
            raise MigrationError(
                f"Schema {schema_name!r} needs {migration} of a shared app, which is not applied in"
                " public. Run 'manage.py migrate --shared' first."
            )
    return SchemaPlan(schema_name, targets, tuple(placed), tuple(beside) if placed else ())


def _is_applied(migration: Migration, applied: Collection[tuple[str, str]]) -> bool:
    if (migration.app_label, migration.name) in applied:
        return True
    return bool(migration.replaces) and all(tuple(each) in applied for each in migration.replaces)


def find_squashed(
    loader: MigrationLoader, placement: Placement, recorded: Collection[tuple[str, str]]
) -> tuple[Key, ...]:
    """Return the squashed migrations that are not *recorded*, though all that they replace are.

    The loader was made with these records. Django writes such records with every migrate.
    """
    return tuple(
        key
        for key in loader.replacements
        if placement.in_schemas(key[0]) and key in loader.applied_migrations and key not in recorded
    )

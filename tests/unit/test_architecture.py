"""The layers of docs/architecture.md, and the public names."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import appschema

SOURCE = Path(appschema.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"

# Top down. A module imports from its own layer and from those below, never from above.
LAYERS = [
    {"apps"},
    {"management", "admin", "middleware", "checks", "testing", "concurrency", "schema_tasks"},
    {"provisioning"},
    {"fleet"},
    {"resolver"},
    {"models", "migrations"},
    {"router", "deletion", "patience"},
    {"backends", "catalog", "isolation", "roles"},
    {"context", "placement"},
    {"conf"},
    {"names"},
    {"exceptions", "signals"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts != ("__init__",):
            yield ".".join(parts), path


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports from appschema, as dotted names below it."""
    package = ("appschema", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *filter(None, [node.module])))
            found = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            if name.startswith("appschema."):
                yield name.removeprefix("appschema.")


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda each: str(each)[-40:])
def test_a_module_imports_from_no_layer_above_its_own(name: str, path: Path):
    room = name.split(".", maxsplit=1)[0]
    for imported in imports(path):
        # `from appschema import x`: the root re-exports the context.
        target = imported.split(".")[0]
        target = target if target in RANK else "context"
        assert RANK[target] >= RANK[room], f"{name} imports {imported}, which stands above it"


def test_the_layers_test_sees_imports():
    seen = {name: set(imports(path)) for name, path in modules()}
    assert "context.schema_context" in seen["provisioning.create"]
    assert "names.PUBLIC" in seen["backends.cursors"]


def test_the_backend_does_not_know_the_models():
    for name, path in modules():
        if name.startswith("backends"):
            assert not any(each.startswith("models") for each in imports(path)), name


def test_a_plan_is_made_without_a_database():
    source = (SOURCE / "fleet" / "plan.py").read_text()
    assert "connection" not in source
    assert "cursor" not in source


def test_no_command_imports_a_command():
    for name, path in modules():
        if name.startswith("management.commands."):
            assert not any(each.startswith("management") for each in imports(path)), name


def test_no_product_code_asks_whether_it_is_under_test():
    for name, path in modules():
        text = path.read_text()
        assert "sys.argv" not in text, name
        assert "PYTEST" not in text, name


def test_there_is_no_room_without_a_concept():
    names = {name.split(".")[-1] for name, _ in modules()}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_the_page_shows_each_module():
    page = PAGE.read_text()
    missing = [
        name
        for name, path in modules()
        if "migrations" not in name and path.stem != "__init__" and f"{path.stem}.py" not in page
    ]
    assert not missing


def test_the_public_names_are_these():
    assert appschema.__all__ == [
        "activate",
        "current_schema",
        "deactivate",
        "in_current_schema",
        "schema_context",
    ]
    assert all(hasattr(appschema, name) for name in appschema.__all__)


@pytest.mark.parametrize("name", ["jobs", "tasks"])
def test_no_module_bears_a_name_that_queues_import_from_each_app(name: str) -> None:
    # Celery, procrastinate and others do, on every Django; ours for tasks needs Django 6.0.
    assert find_spec(f"appschema.{name}") is None

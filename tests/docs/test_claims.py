"""What the pages claim beside their blocks: the API they document, the figures they repeat."""

import importlib
import inspect
import re

import pytest

import appschema
from tests.docs.pages import ROOT

API = (ROOT / "docs/reference/api.md").read_text()
# The public modules, and what in them is for appschema itself.
MODULES: dict[str, set[str]] = {
    "appschema.provisioning": set(),
    # What the columns and managers of the registry are made of; users meet their instances.
    "appschema.models": {
        "PublicNameField",
        "RegistryQuerySet",
        "SchemaNameField",
        "check_schema_name",
        "refuse_name_of_public",  # For appschema.provisioning.
    },
    "appschema.middleware": set(),
    "appschema.resolver": {"resolve_normal", "resolve_with_primary"},  # For the middleware.
    "appschema.testing": set(),
    "appschema.concurrency": set(),
    "appschema.isolation.cache": set(),
    "appschema.isolation.logging": set(),
    "appschema.isolation.media": set(),
    "appschema.isolation.signing": {"sign_by_schema"},  # For apps.py.
    "appschema.isolation.templates": set(),
    "appschema.isolation.storage": {
        "SchemaFileName",  # What a field holds.
        "bind_file_names",  # For apps.py.
        "bind_name",
    },
}


def documented_in(module: str) -> set[str]:
    """Return the names that the section of a module lists."""
    (section,) = re.findall(
        rf"^## {re.escape(module)}\n(.*?)(?=^## |\Z)", API, re.MULTILINE | re.DOTALL
    )
    return set(re.findall(r"^\.\. auto(?:class|function|data):: (\w+)", section, re.MULTILINE))


@pytest.mark.parametrize("name", MODULES)
def test_the_page_of_the_api_has_what_is_public_and_nothing_else(name: str):
    module = importlib.import_module(name)
    public = {
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and f"{value.__module__}.".startswith(f"{name}.")
    }
    assert public - MODULES[name] == documented_in(name)


def test_the_page_of_the_api_has_the_names_of_the_root():
    assert documented_in("appschema") == set(appschema.__all__)


def test_the_page_of_the_api_has_the_signals_of_provisioning():
    source = (ROOT / "src/appschema/signals.py").read_text()
    signals = set(re.findall(r"^(\w+) = Signal\(\)", source, re.MULTILINE))
    assert documented_in("appschema.signals") == signals - {"registry_changed"}


def test_what_is_documented_has_a_docstring_of_its_own():
    for name in MODULES:
        module = importlib.import_module(name)
        for each in documented_in(name):
            value = vars(module)[each]
            own = "__doc__" in vars(value) if inspect.isclass(value) else value.__doc__
            assert own, f"{name}.{each}"


def test_the_counts_of_djangos_tests_are_those_of_the_evidence():
    evidence = (ROOT / "docs/evidence/django-suite.md").read_text()
    totals = re.findall(r"^\| \*\*all\*\* \| (\d+) .* (\d+) \|$", evidence, re.MULTILINE)
    claimed = re.findall(r"(\d \d{3}) (?:tests )?of\n? *Django", (ROOT / "README.md").read_text())
    assert [count.replace(" ", "") for count in claimed] == [total for total, _ in totals]
    assert {worse for _, worse in totals} == {"0"}


@pytest.mark.parametrize("page", ["security", "hazards"])
def test_the_tests_that_a_page_names_are_there(page: str):
    text = (ROOT / f"docs/explanation/{page}.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", text)
    assert len(named) > 40
    for path, *names in (each.split("::") for each in named):
        source = (ROOT / path).read_text()
        for name in names:
            assert re.search(rf"^\s*(?:class|(?:async )?def) {name}\b", source, re.MULTILINE), name

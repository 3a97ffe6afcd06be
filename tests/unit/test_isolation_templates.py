"""A cached template is that of its schema."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.template import Context, Engine, Origin, TemplateDoesNotExist
from django.template.loaders.base import Loader

from appschema import current_schema, schema_context

LOADED: list[str | None] = []


class RowsLoader(Loader):
    """Has one template, whose text is another in each schema; zoe has none."""

    def get_template_sources(self, template_name: str) -> Iterator[Origin]:
        if template_name == "greeting.html":
            yield Origin(template_name, template_name, self)

    def get_contents(self, origin: Any) -> str:
        LOADED.append(current_schema())
        if current_schema() == "zoe":
            raise TemplateDoesNotExist(origin)
        return f"Hello from {current_schema()}"


@pytest.mark.parametrize("debug", [True, False])
def test_each_schema_has_its_own_and_it_is_loaded_once(debug: bool) -> None:
    loader = ("appschema.isolation.templates.CachedLoader", [f"{__name__}.RowsLoader"])
    engine = Engine(loaders=[loader], debug=debug)
    LOADED.clear()
    for _ in range(2):
        for schema in ("acme", "globex"):
            with schema_context(schema):
                template = engine.get_template("greeting.html")
                assert template.render(Context()) == f"Hello from {schema}"
        with schema_context("zoe"), pytest.raises(TemplateDoesNotExist):
            engine.get_template("greeting.html")
    assert LOADED == ["acme", "globex", "zoe"]

"""What is cached in one schema is not found in another, by whichever call it is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory, override_settings
from django.views.decorators.cache import cache_page

from appschema import current_schema, schema_context
from appschema.isolation.cache import make_key
from tests.sample.notes.models import Note

BACKENDS = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "isolation"},
    "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"},
    "db": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"},
}


@pytest.fixture(params=BACKENDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path, schemas: None, db: None) -> Iterator[Any]:
    entry = {"LOCATION": str(tmp_path), **BACKENDS[request.param], "KEY_FUNCTION": make_key}
    with override_settings(CACHES={"default": entry}):
        if request.param == "db":
            with schema_context("public"):
                call_command("createcachetable", verbosity=0)
        yield caches["default"]


def test_no_call_reaches_another_schemas_entries(cache: Any) -> None:
    with schema_context("stamp_a"):
        cache.set_many({"one": 1, "two": 2})
    for elsewhere in ("stamp_b", "public", None):
        with schema_context(elsewhere):
            assert cache.get("one") is None
            assert cache.get_many(["one", "two"]) == {}
            assert "one" not in cache
            assert not cache.touch("one")
            assert not cache.delete("one")
            cache.delete_many(["one", "two"])
            with pytest.raises(ValueError, match="not found"):
                cache.incr("one")
            with pytest.raises(ValueError, match="not found"):
                cache.incr_version("one")
            assert cache.add("one", 10)
            assert cache.get_or_set("two", 20) == 20
    with schema_context("stamp_a"):
        assert cache.get_many(["one", "two"]) == {"one": 1, "two": 2}
        assert cache.incr("one") == 2
        assert cache.incr_version("two") == 2
    with schema_context("stamp_b"):
        assert cache.get_many(["one", "two"]) == {"one": 10, "two": 20}
        assert cache.get("two", version=2) is None


def test_clear_empties_all_schemas(cache: Any) -> None:
    with schema_context("stamp_a"):
        cache.set("one", 1)
    with schema_context("stamp_b"):
        cache.clear()
    with schema_context("stamp_a"):
        assert cache.get("one") is None


def test_a_cached_page_is_the_schemas(cache: Any) -> None:
    asked = []

    @cache_page(60)
    def view(request: HttpRequest) -> HttpResponse:
        asked.append(current_schema())
        return HttpResponse(str(current_schema()))

    for _ in range(2):
        for schema in ("stamp_a", "stamp_b"):
            with schema_context(schema):
                # The same host: its name is part of Django's key, so it would hide the fault.
                response = view(RequestFactory().get("/page/"))
                assert response.content == schema.encode()
    assert asked == ["stamp_a", "stamp_b"]


def test_a_cached_fragment_is_the_schemas(cache: Any) -> None:
    engine = Engine(libraries={"cache": "django.templatetags.cache"})
    template = engine.from_string("{% load cache %}{% cache 60 sidebar %}{{ name }}{% endcache %}")
    for schema in ("stamp_a", "stamp_b"):
        with schema_context(schema):
            assert template.render(Context({"name": schema})) == schema
    with schema_context("stamp_a"):
        assert template.render(Context({"name": "later"})) == "stamp_a"
        cache.delete(make_template_fragment_key("sidebar"))
        assert template.render(Context({"name": "later"})) == "later"
    with schema_context("stamp_b"):
        assert template.render(Context({"name": "later"})) == "stamp_b"


def test_a_content_type_is_the_schemas_by_whatever_it_is_looked_up(schemas: None, db: None) -> None:
    ids = {}
    for schema in ("stamp_a", "stamp_b"):
        with schema_context(schema):
            ContentType.objects.clear_cache()
            if schema == "stamp_b":
                ContentType.objects.filter(app_label="notes", model="note").delete()
                ContentType.objects.clear_cache()
            ids[schema] = ContentType.objects.get_for_model(Note).pk
    assert ids["stamp_a"] != ids["stamp_b"]
    for schema, pk in ids.items():
        with schema_context(schema):
            assert ContentType.objects.get_by_natural_key("notes", "note").pk == pk
            assert ContentType.objects.get_for_models(Note)[Note].pk == pk
            assert ContentType.objects.get_for_id(pk).model == "note"
    with schema_context("stamp_a"), pytest.raises(ContentType.DoesNotExist):
        ContentType.objects.get_for_id(ids["stamp_b"])
    ContentType.objects.clear_cache()

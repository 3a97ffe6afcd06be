"""The view of the current schema's files."""

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.test import RequestFactory, override_settings

from appschema import schema_context
from appschema.isolation.media import serve_media


@pytest.fixture(autouse=True)
def _files(tmp_path: Path):
    wrapped = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path), "base_url": "/media/"},
    }
    ours = {"BACKEND": "appschema.isolation.storage.SchemaStorage", "OPTIONS": wrapped}
    with override_settings(STORAGES={"default": ours, "plain": wrapped}):
        for schema in ("acme", "zoe"):
            with schema_context(schema):
                default_storage.save("logos/ä.txt", ContentFile(schema.encode()))
        yield


REQUEST = RequestFactory().get("/media/")


def test_it_serves_what_the_urls_of_the_storage_name():
    with schema_context("acme"):
        assert default_storage.url("logos/ä.txt") == "/media/acme/logos/%C3%A4.txt"
        response = serve_media(REQUEST, "acme/logos/ä.txt")
        assert response.headers["Content-Type"] == "text/plain"
        assert isinstance(response, FileResponse)
        with response.file_to_stream as file:
            assert file.read() == b"acme"


def test_nginx_sends_the_file():
    with schema_context("acme"):
        response = serve_media(REQUEST, "acme/logos/ä.txt", redirect="/protected/")
    assert isinstance(response, HttpResponse)
    assert response.headers["X-Accel-Redirect"] == "/protected/acme/logos/%C3%A4.txt"
    assert response.content == b""


@pytest.mark.parametrize("redirect", [None, "/protected/"])
@pytest.mark.parametrize(
    "path",
    [
        "zoe/logos/ä.txt",
        "acme/../zoe/logos/ä.txt",
        "../zoe/logos/ä.txt",
        "/etc/passwd",
        "acme",
        "acme/",
        "acme/nothing",
        "acme//etc/passwd",
        "",
    ],
)
def test_nothing_else_is_served(path: str, redirect: str | None):
    with schema_context("acme"), pytest.raises(Http404):
        serve_media(REQUEST, path, redirect=redirect)


def test_a_directory_is_no_file():
    with schema_context("acme"), pytest.raises(Http404):
        serve_media(REQUEST, "acme/logos")


def test_no_schema_no_file():
    with schema_context(None), pytest.raises(Http404):
        serve_media(REQUEST, "acme/logos/ä.txt")


def test_a_storage_that_is_not_kept_by_schema_is_not_served():
    with schema_context("acme"), pytest.raises(Http404):
        serve_media(REQUEST, "acme/logos/ä.txt", storage="plain")

"""A view that gives out the current schema's files, where a web server alone would give all.

A web server that serves MEDIA_URL by itself knows no schemas: whoever knows the URL of a file
gets it, on every schema's host.
"""

from __future__ import annotations

from urllib.parse import quote

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import storages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from appschema.context import current_schema

from .storage import SchemaStorage, directory_of


def serve_media(
    request: HttpRequest, path: str, *, storage: str = "default", redirect: str | None = None
) -> HttpResponseBase:
    """Serve a file of the current schema, else answer 404.

    *path* is what follows MEDIA_URL, so it begins with the schema's directory. With *redirect*,
    an internal location of nginx such as ``/protected/``, nginx sends the file itself
    (``X-Accel-Redirect``). Whoever is on the schema's host gets the file, without a login: wrap
    the view to ask for one. Raises ``Http404`` for a file of another schema, for one that there is
    not, and without a ``SchemaStorage``.
    """
    schema_name = current_schema()
    directory, _, name = path.partition("/")
    found = storages[storage]
    if not isinstance(found, SchemaStorage) or schema_name is None:
        raise Http404(f"The storage {storage!r} keeps no files of schema {schema_name!r}.")
    if directory != directory_of(schema_name):
        raise Http404(f"{path!r} is no file of schema {schema_name!r}.")
    try:
        if not name or not found.exists(name):
            raise Http404(f"There is no file {path!r}.")
        if redirect is not None:
            # nginx finds out the type of the content by itself.
            headers = {"X-Accel-Redirect": f"{redirect}{quote(path)}", "Content-Type": ""}
            return HttpResponse(headers=headers)
        return FileResponse(found.open(name))
    except (SuspiciousFileOperation, IsADirectoryError) as error:
        raise Http404(f"There is no file {path!r}.") from error

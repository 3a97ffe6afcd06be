"""The page that visitors of an inactive schema get."""

from __future__ import annotations

from django.http import HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from appschema.context import schema_context

TEMPLATE = "appschema/unavailable.html"
"""A project's own page; it is rendered with ``notice``, with no request and no schema active."""


def unavailable(notice: str) -> HttpResponse:
    """Answer 503 with *notice*, in the project's template if it has one, else as plain text."""
    headers = {"Cache-Control": "no-store"}
    try:
        template = get_template(TEMPLATE)
    except TemplateDoesNotExist:
        return HttpResponse(
            f"{notice}\n", status=503, headers=headers, content_type="text/plain; charset=utf-8"
        )
    with schema_context(None):
        return HttpResponse(template.render({"notice": notice}), status=503, headers=headers)

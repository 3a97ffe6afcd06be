"""What every answer of the demo has in common."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

GetResponse = Callable[[HttpRequest], HttpResponse]
MAX_BODY = (
    8 * 1024 * 1024
)  # More than any form takes; a file that is a bit too large is the form's to refuse.
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def refuse_large_bodies(get_response: GetResponse) -> GetResponse:
    """Refuse a request by its announced length: Django would put its files on the disk before any view runs."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > MAX_BODY:
            return render(request, "413.html", status=413)
        return get_response(request)

    return middleware


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Let pages load nothing from another host, and no script or style that stands in the page itself."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware

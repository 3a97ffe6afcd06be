"""What a schema's site serves, and (``public_urls``) what is served from public."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from threading import Barrier
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.template import engines
from django.templatetags.static import static
from django.urls import include, path, reverse

from appschema import current_schema
from appschema.models import Schema
from tests.sample.notes.models import Note

SITE = __name__
barrier = Barrier(1)


class Site(AdminSite):
    """Without the admin's own table, as the admin is not installed, and for nobody."""

    def has_permission(self, request: HttpRequest) -> bool:
        return False

    def get_log_entries(self, request: HttpRequest) -> Any:
        return []


admin_site = Site()


def describe(request: HttpRequest) -> dict[str, object]:
    schema: Schema | None = request.schema  # type: ignore[attr-defined]
    return {
        "row": schema and schema.name,
        "current": current_schema(),
        "path": request.path,
        "path_info": request.path_info,
        "full": request.get_full_path(),
        "absolute": request.build_absolute_uri(),
        "beside": request.build_absolute_uri("beside"),
        "reverse": reverse("show"),
        "admin": admin_site.each_context(request)["site_url"],
        "template": engines["django"].from_string("{% url 'show' %}").render(),
        "static": static("logo.png"),
        "media": f"{settings.MEDIA_URL}file.txt",
        "cookies": request.COOKIES,
    }


def show(request: HttpRequest, rest: str = "") -> JsonResponse:
    return JsonResponse(describe(request))


def links(request: HttpRequest) -> JsonResponse:
    """Make links while others do."""
    barrier.wait(10)
    found = [reverse("show") for _ in range(50)]
    barrier.wait(10)
    return JsonResponse({"links": sorted({*found, reverse("show")})})


async def links_async(request: HttpRequest) -> JsonResponse:
    found = set()
    for _ in range(20):
        found.add(reverse("show"))
        await asyncio.sleep(0)
    return JsonResponse({"links": sorted(found)})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        try:
            for _ in range(3):
                yield f"{reverse('show')} {current_schema()}\n"
        finally:
            closed.append(f"{reverse('show')} {current_schema()}")

    return StreamingHttpResponse(lines())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{reverse('show')} {current_schema()}\n"
            await asyncio.sleep(0)

    return StreamingHttpResponse(lines())


closed: list[str] = []


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(reverse("show"))


def go(request: HttpRequest) -> HttpResponse:
    return redirect("show")


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


def set_cookies(request: HttpRequest) -> HttpResponse:
    messages.info(request, "hello")
    get_token(request)
    request.session["who"] = current_schema()
    response = HttpResponse()
    response.set_cookie("own", "1")
    response.set_cookie("deeper", "1", path=reverse("show"))
    response.set_cookie("__Host-own", "1", secure=True)
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, "en", path=settings.LANGUAGE_COOKIE_PATH)
    response.delete_cookie("old")
    return response


def who(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"who": request.session.get("who"), "cookies": request.COOKIES})


def forget(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse()


def health(request: HttpRequest) -> JsonResponse:
    schema: Schema | None = request.schema  # type: ignore[attr-defined]
    return JsonResponse({"row": schema and schema.name, "current": current_schema()})


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Note.objects.count()))


def users(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(User.objects.count()))


urlpatterns = [
    path("", show, name="show"),
    path("orders/", show),
    path("orders/<path:rest>", show),
    path("links/", links),
    path("links-async/", links_async),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("fail/", fail),
    path("go/", go),
    path("private/", private),
    path("accounts/login/", show, name="login"),
    path("set-cookies/", set_cookies),
    path("who/", who),
    path("forget/", forget),
    path("healthz", health),
    path("count", count),
    path("admin/", admin_site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
]

"""The views of a site whose cookies and tokens are taken from one schema to another."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import (
    aauthenticate,
    aget_user,
    alogin,
    alogout,
    authenticate,
    login,
    logout,
)
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path

from appschema import current_schema, schema_context

SITE = __name__
HOSTS = {"stamp_a": "stamp-a.localhost", "stamp_b": "stamp-b.localhost"}


def log_in(request: HttpRequest) -> JsonResponse:
    user = authenticate(request, username="ann", password="secret")
    login(request, user)
    return JsonResponse({"user": user.pk})


def log_out(request: HttpRequest) -> JsonResponse:
    logout(request)
    return JsonResponse({})


def put(request: HttpRequest) -> JsonResponse:
    request.session["cart"] = current_schema()
    return JsonResponse({})


def show(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": request.user.pk, "cart": request.session.get("cart")})


def show_late(request: HttpRequest) -> JsonResponse:
    """Touch the session for the first time inside the scope of another schema."""
    with schema_context("stamp_b"):
        cart = request.session.get("cart")
    return JsonResponse({"user": request.user.pk, "cart": cart})


async def alog_in(request: HttpRequest) -> JsonResponse:
    user = await aauthenticate(request, username="ann", password="secret")
    await alogin(request, user)
    return JsonResponse({"user": user.pk})


async def alog_out(request: HttpRequest) -> JsonResponse:
    await alogout(request)
    return JsonResponse({})


async def aput(request: HttpRequest) -> JsonResponse:
    await request.session.aset("cart", current_schema())
    return JsonResponse({})


async def ashow(request: HttpRequest) -> JsonResponse:
    user = await aget_user(request)
    return JsonResponse({"user": user.pk, "cart": await request.session.aget("cart")})


def set_signed(request: HttpRequest) -> JsonResponse:
    response = JsonResponse({})
    response.set_signed_cookie("choice", "blue")
    messages.success(request, "saved")
    return response


def get_signed(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "choice": request.get_signed_cookie("choice", default=None),
            "messages": [str(each) for each in messages.get_messages(request)],
        }
    )


def token(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"token": get_token(request)})


urlpatterns = [
    path("token/", token),
    path("login/", log_in),
    path("logout/", log_out),
    path("put/", put),
    path("show/", show),
    path("show-late/", show_late),
    path("alogin/", alog_in),
    path("alogout/", alog_out),
    path("aput/", aput),
    path("ashow/", ashow),
    path("set-signed/", set_signed),
    path("get-signed/", get_signed),
]


_kept: dict[str, dict[str, Any]] = {}


class OwnStore(SessionBase):
    """An engine of a project: rows in a dict of the process, neither signed nor in a schema."""

    def load(self) -> dict[str, Any]:
        if self.session_key in _kept:
            return dict(_kept[self.session_key])
        self._session_key = None
        return {}

    def exists(self, session_key: str) -> bool:
        return session_key in _kept

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        _kept[self.session_key] = dict(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        return None

    def delete(self, session_key: str | None = None) -> None:
        _kept.pop(session_key or self.session_key or "", None)


# SESSION_ENGINE names a module, and its store has this name.
SessionStore = OwnStore

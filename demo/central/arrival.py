"""The way from the sign-up, on the central host, into the new workspace, on a host of its own.

No cookie can be set for another host, so the owner is sent there with a link that signs in. It is
worth something for a minute, once, and in its own workspace only.
"""

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from appschema import current_schema


class ArrivalTokens(PasswordResetTokenGenerator):
    """Signs the workspace too: the owner of every new workspace has the same primary key.

    Django's own part holds the password's salted hash, `last_login`, which the first sign-in
    changes, and the time, which PASSWORD_RESET_TIMEOUT limits.
    """

    key_salt = "demo.central.arrival"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{current_schema()}:{super()._make_hash_value(user, timestamp)}"


tokens = ArrivalTokens()


def arrival_path(owner: User) -> str:
    """Return the path that signs `owner` in; call it in the owner's workspace."""
    return reverse("arrive", "demo.tracker.urls", args=[owner.pk, tokens.make_token(owner)])


@never_cache
@require_GET
def arrive(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """Sign the owner in, if the link is good."""
    with transaction.atomic():
        # The second of two uses at the same moment waits here, and then sees the first's last_login.
        owner = User.objects.select_for_update().filter(pk=pk).first()
        if not tokens.check_token(owner, token):
            messages.error(request, "This link was used already or is too old. Please sign in.")
            return redirect("login")
        login(request, owner)
    messages.success(request, "Your workspace is ready. Begin with a project.")
    return redirect("home")

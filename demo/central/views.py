from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from appschema import schema_context
from appschema.exceptions import InvalidSchemaName, SchemaExists
from appschema.models import Schema
from appschema.provisioning import new_schema
from demo import CUSTOMERS, LOGIN, MEMBER, PASSWORD
from demo.central.arrival import arrival_path
from demo.central.forms import SignUpForm, reserved, taken
from demo.central.models import Announcement


def home(request: HttpRequest) -> HttpResponse:
    """The landing page: all workspaces, and a form for another."""
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        name = form.cleaned_data["workspace"]
        try:
            path = open_workspace(
                name, form.cleaned_data["username"], form.cleaned_data["password"]
            )
        except SchemaExists:
            form.add_error("workspace", taken(name))  # Somebody was faster.
        except InvalidSchemaName:
            form.add_error("workspace", reserved(name))
        else:
            return redirect(address(request, f"{name}.localhost") + path)
    schemas = Schema.objects.active().prefetch_related("public_names").order_by("created", "pk")
    context = {
        "workspaces": [
            {
                "name": schema.name,
                "url": address(request, schema.public_name or "") + "/",
                "is_demo": schema.name in CUSTOMERS,
            }
            for schema in schemas
        ],
        "form": form,
        "announcements": Announcement.objects.all()[:3],
        "logins": (LOGIN, MEMBER),
        "password": PASSWORD,
    }
    return render(request, "central/home.html", context)


@transaction.atomic
def open_workspace(name: str, username: str, password: str) -> str:
    """Make a workspace together with its owner, or neither; return the path that signs the owner in."""
    new_schema(name, f"{name}.localhost")
    with schema_context(name):
        return arrival_path(User.objects.create_superuser(username, password=password))


def address(request: HttpRequest, host: str) -> str:
    """Return scheme, host and port under which this site serves `host`."""
    return f"{request.scheme}://{host}:{request.get_port()}"

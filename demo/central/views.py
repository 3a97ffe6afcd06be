from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from appschema.models import Schema
from demo.central.models import Announcement


def home(request: HttpRequest) -> HttpResponse:
    """The landing page: all workspaces, by their public names."""
    port = request.get_port()
    workspaces = [
        {"name": schema.name.title(), "url": f"{request.scheme}://{schema.public_name}:{port}/"}
        for schema in Schema.objects.active().order_by("name")
    ]
    context = {"workspaces": workspaces, "announcements": Announcement.objects.all()[:3]}
    return render(request, "central/home.html", context)

"""What a schema's host serves."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.sample.notes.models import Note


def notes(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"titles": list(Note.objects.order_by("title").values_list("title", flat=True))}
    )


urlpatterns = [path("notes/", notes)]

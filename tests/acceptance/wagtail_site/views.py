"""The search of a site."""

from django.http import HttpRequest, JsonResponse
from wagtail.models import Page


def search(request: HttpRequest) -> JsonResponse:
    found = Page.objects.live().search(request.GET["query"])
    return JsonResponse({"titles": [page.title for page in found]})

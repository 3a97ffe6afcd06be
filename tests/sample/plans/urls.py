"""What the public site serves, where it has URLs of its own."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.sample.plans.models import Plan


def plans(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"names": list(Plan.objects.order_by("name").values_list("name", flat=True))}
    )


urlpatterns = [path("plans/", plans)]

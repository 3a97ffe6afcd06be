"""What is served from public."""

from django.urls import path

from tests.integration.routing.site import set_cookies, show, who

urlpatterns = [
    path("", show, name="show"),
    path("prices/", show),
    path("set-cookies/", set_cookies),
    path("who/", who),
]

"""Nothing is served: migrations are measured."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

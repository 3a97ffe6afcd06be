"""What the central site serves."""

from django.urls import path

from demo.central import views

urlpatterns = [path("", views.home, name="home")]

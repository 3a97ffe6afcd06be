"""What each customer's host serves."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from demo.central.arrival import arrive
from demo.tracker import views

urlpatterns = [
    path("", views.home, name="home"),
    path("projects/<int:pk>/", views.project, name="project"),
    path("projects/<int:pk>/edit/", views.EditProject.as_view(), name="edit_project"),
    path("projects/<int:pk>/delete/", views.DeleteProject.as_view(), name="delete_project"),
    path("tasks/<int:pk>/", views.task, name="task"),
    path("tasks/<int:pk>/edit/", views.EditTask.as_view(), name="edit_task"),
    path("tasks/<int:pk>/delete/", views.DeleteTask.as_view(), name="delete_task"),
    path("tasks/<int:pk>/toggle/", views.toggle, name="toggle"),
    path("attachments/<int:pk>/", views.download, name="download"),
    path(
        "attachments/<int:pk>/delete/", views.DeleteAttachment.as_view(), name="delete_attachment"
    ),
    path("members/", views.members, name="members"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("arrive/<int:pk>/<str:token>/", arrive, name="arrive"),  # From the sign-up, once.
    path("admin/", admin.site.urls),
    # Browsers ask for it where a page names no icon, as the admin's do.
    path("favicon.ico", RedirectView.as_view(url=static("icon.svg"))),
]

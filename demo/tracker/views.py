"""Plain Django views: not one line here knows that there are other customers."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST
from django.views.generic import DeleteView, UpdateView

from demo.central.models import Announcement
from demo.tracker.forms import AttachmentForm, NewTaskForm, ProjectForm, TaskFilter, TaskForm
from demo.tracker.models import Attachment, Project, Task


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """All projects, a form for another, and the tasks of whoever asks."""
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        return redirect(form.save())
    done = Count("tasks", filter=Q(tasks__status=Task.Status.DONE))
    mine = Task.objects.filter(assignee_id=request.user.pk).exclude(status=Task.Status.DONE)
    context = {
        "projects": Project.objects.annotate(done_tasks=done, all_tasks=Count("tasks")),
        "mine": mine.select_related("project").order_by("due_date", "pk"),
        "form": form,
        "announcement": Announcement.objects.first(),
    }
    return render(request, "tracker/home.html", context)


@login_required
def project(request: HttpRequest, pk: int) -> HttpResponse:
    """One project's tasks by their status, and a form for another."""
    found = get_object_or_404(Project, pk=pk)
    form = NewTaskForm(request.POST or None, instance=Task(project=found))
    if form.is_valid():
        form.save()
        return redirect(found)
    asked = TaskFilter(request.GET, auto_id="filter_%s")  # There are two forms on this page.
    tasks = found.tasks.select_related("assignee").annotate(files=Count("attachments"))
    shown = list(asked.apply(tasks))
    columns = [
        (status.label, [task for task in shown if task.status == status])
        for status in Task.Status
        if asked.cleaned_data.get("status") in (None, status)
    ]
    context = {"project": found, "columns": columns, "filter": asked, "form": form}
    return render(request, "tracker/project.html", context)


@login_required
def task(request: HttpRequest, pk: int) -> HttpResponse:
    """One task with its files, and a form for another file."""
    found = get_object_or_404(Task.objects.select_related("project", "assignee"), pk=pk)
    attachment = Attachment(task=found, uploaded_by_id=request.user.pk)
    form = AttachmentForm(request.POST or None, request.FILES or None, instance=attachment)
    if form.is_valid():
        form.save()
        return redirect(found)
    attachments = found.attachments.select_related("uploaded_by")
    context = {"task": found, "attachments": attachments, "form": form}
    return render(request, "tracker/task.html", context)


@login_required
@require_POST
def toggle(request: HttpRequest, pk: int) -> HttpResponse:
    """Tick a task off, or open it again."""
    found = get_object_or_404(Task, pk=pk)
    found.status = Task.Status.TODO if found.is_done else Task.Status.DONE
    found.save(update_fields=["status"])
    return redirect(found.project)


@login_required
def download(request: HttpRequest, pk: int) -> FileResponse:
    """Send a file, whatever it holds, to be saved: no upload is ever shown as a page of this site."""
    attachment = get_object_or_404(Attachment, pk=pk)
    try:
        file = attachment.file.open()
    except FileNotFoundError as error:
        raise Http404(f"The file of attachment {pk} is gone.") from error
    return FileResponse(file, as_attachment=True, filename=attachment.name)


@login_required
def members(request: HttpRequest) -> HttpResponse:
    """Everybody who can sign in here; who may add users finds a form."""
    may_add = request.user.has_perm("auth.add_user")
    if request.method == "POST" and not may_add:
        raise PermissionDenied
    form: UserCreationForm = UserCreationForm(request.POST or None)
    if form.is_valid():
        member = form.save()
        messages.success(request, f"{member} can sign in now.")
        return redirect("members")
    users = User.objects.filter(is_active=True).order_by("username")
    context = {"users": users, "form": form if may_add else None}
    return render(request, "tracker/members.html", context)


class EditProject(LoginRequiredMixin, UpdateView):
    model = Project
    form_class = ProjectForm
    template_name = "tracker/form.html"
    extra_context = {"title": "Rename the project"}


class EditTask(LoginRequiredMixin, UpdateView):
    model = Task
    form_class = TaskForm
    template_name = "tracker/form.html"
    extra_context = {"title": "Edit the task"}


class ChangePassword(SuccessMessageMixin, PasswordChangeView):
    template_name = "tracker/form.html"
    success_url = reverse_lazy("home")
    success_message = "Your password is changed."
    extra_context = {"title": "Change your password"}


class Delete(LoginRequiredMixin, SuccessMessageMixin, DeleteView):
    """Ask first, then delete, and go to where the object was listed."""

    template_name = "tracker/delete.html"

    def get_success_message(self, cleaned_data: dict[str, Any]) -> str:
        return f"“{self.object}” is deleted."


class DeleteProject(Delete):
    model = Project
    success_url = reverse_lazy("home")


class DeleteTask(Delete):
    model = Task

    def get_success_url(self) -> str:
        return str(self.object.project.get_absolute_url())


class DeleteAttachment(Delete):
    model = Attachment

    def get_success_url(self) -> str:
        return str(self.object.task.get_absolute_url())

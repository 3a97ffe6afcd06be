"""Plain Django views: not one line here knows that there are other customers."""

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from demo.central.models import Announcement
from demo.tracker.forms import ProjectForm, TaskForm
from demo.tracker.models import Project, Task


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """All projects, and a form for another."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("project", form.save().pk)
    projects = Project.objects.annotate(
        open_tasks=Count("tasks", filter=Q(tasks__is_done=False)), all_tasks=Count("tasks")
    )
    context = {
        "projects": projects,
        "form": form,
        "announcement": Announcement.objects.first(),
    }
    return render(request, "tracker/home.html", context)


@login_required
def project(request: HttpRequest, pk: int) -> HttpResponse:
    """One project's tasks, and a form for another."""
    found = get_object_or_404(Project, pk=pk)
    form = TaskForm(request.POST or None, instance=Task(project=found))
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("project", pk)
    tasks = found.tasks.select_related("assignee")
    return render(request, "tracker/project.html", {"project": found, "tasks": tasks, "form": form})


@login_required
@require_POST
def toggle(request: HttpRequest, pk: int) -> HttpResponse:
    """Tick a task off, or on again."""
    task = get_object_or_404(Task, pk=pk)
    task.is_done = not task.is_done
    task.save(update_fields=["is_done"])
    return redirect("project", task.project_id)

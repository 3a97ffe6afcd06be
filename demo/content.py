"""What the demo shows: its tables, its customers and their first rows."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from appschema import schema_context
from appschema.models import Schema
from appschema.provisioning import new_schema, refill_spares
from demo import CUSTOMERS, LOGIN, MEMBER, PASSWORD
from demo.central.models import Announcement
from demo.tracker.models import Attachment, Project, Task

NEWS = "Welcome to the demo. This line is one row in a shared table, and every workspace shows it."
DONE, DOING, TODO = Task.Status.DONE, Task.Status.DOING, Task.Status.TODO
NOTES = "notes.txt"
PLAN = [(DONE, LOGIN, -6), (DOING, MEMBER, 2), (TODO, LOGIN, -1), (TODO, None, 12)]


def prepare() -> None:
    """Bring all tables up to date and make the customers that are not there yet."""
    print("Bringing the tables up to date ...", flush=True)
    call_command("migrate", verbosity=0)
    with schema_context("public"):
        if not Announcement.objects.exists():
            Announcement.objects.create(text=NEWS)
        present = set(Schema.objects.values_list("name", flat=True))
    for name, projects in CUSTOMERS.items():
        if name not in present:
            print(f"Creating {name} ...", flush=True)
            new_schema(name, f"{name}.localhost")
        with schema_context(name):
            fill(name, projects)
    # So that a sign-up waits for nothing: it takes a schema that is ready.
    refill_spares()


@transaction.atomic
def fill(workspace: str, projects: dict[str, list[str]]) -> None:
    """Give the current schema its first users, rows and file, once."""
    if User.objects.exists():
        return
    users = {
        LOGIN: User.objects.create_superuser(LOGIN, password=PASSWORD),
        MEMBER: User.objects.create_user(MEMBER, password=PASSWORD),
        None: None,
    }
    today = timezone.localdate()
    for name, titles in projects.items():
        project = Project.objects.create(name=name)
        for title, (status, assignee, days) in zip(titles, PLAN, strict=True):
            Task.objects.create(
                project=project,
                title=title,
                status=status,
                assignee=users[assignee],
                due_date=today + timedelta(days),
            )
    task = Task.objects.order_by("pk")[1]
    task.description = f"The notes of our last meeting are attached.\n\nOnly {workspace} has them."
    task.save()
    notes = ContentFile(f"Notes of {workspace}: {task}.\n".encode(), NOTES)
    Attachment.objects.create(
        task=task, file=notes, name=NOTES, size=notes.size, uploaded_by=users[LOGIN]
    )

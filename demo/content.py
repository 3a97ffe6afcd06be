"""What the demo shows: its tables, its customers and their first rows."""

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from appschema import schema_context
from appschema.models import Schema
from appschema.provisioning import new_schema
from demo import CUSTOMERS, LOGIN, PASSWORD
from demo.central.models import Announcement
from demo.tracker.models import Project, Task

TASKS = ["Ask three customers", "Write it down", "Build the first one", "Show it"]
NEWS = "Welcome to the demo: this line is one row in a shared table."


def prepare() -> None:
    """Bring all tables up to date and make the customers that are not there yet."""
    print("Bringing the tables up to date ...", flush=True)
    call_command("migrate", verbosity=0)
    with schema_context("public"):
        Announcement.objects.get_or_create(text=NEWS)
        present = set(Schema.objects.values_list("name", flat=True))
    for name, projects in CUSTOMERS.items():
        if name not in present:
            print(f"Creating {name} ...", flush=True)
            new_schema(name, f"{name}.localhost")
        with schema_context(name):
            fill(projects)


@transaction.atomic
def fill(projects: list[str]) -> None:
    """Give the current schema its first user and rows, once."""
    if User.objects.exists():
        return
    admin = User.objects.create_superuser(LOGIN, f"{LOGIN}@example.com", PASSWORD)
    for name in projects:
        project = Project.objects.create(name=name)
        for number, title in enumerate(TASKS):
            Task.objects.create(project=project, title=title, is_done=not number, assignee=admin)

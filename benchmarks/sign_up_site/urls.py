"""A view that reads and writes a shared table, to which the tables of each customer refer."""

from itertools import count

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .settings import APP

ROWS = 100
_numbers = count()


def view(request: HttpRequest) -> HttpResponse:
    number = next(_numbers)
    plan = apps.get_model("plans", "Plan").objects.get(pk=number % ROWS + 1)
    plan.title = f"plan {number}"
    plan.save()
    table = apps.get_model(APP, "Table0")
    row = table.objects.create(title=plan.title, plan=plan)
    return HttpResponse(f"{row.title} {table.objects.get(pk=row.pk).plan_id}")


# In a transaction, as ATOMIC_REQUESTS says.
urlpatterns = [path("", view)]

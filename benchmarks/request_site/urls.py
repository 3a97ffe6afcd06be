"""The same views in every variant: so many queries by primary key, in a transaction or not."""

from collections.abc import Callable
from itertools import count

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .items.models import Item

ROWS = 100
QUERIES = (0, 1, 5)
_numbers = count()


def view_of(queries: int) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        names = [Item.objects.get(pk=next(_numbers) % ROWS + 1).name for _ in range(queries)]
        return HttpResponse(" ".join(names))

    return view


# ATOMIC_REQUESTS holds for all others.
urlpatterns = [
    *(path(f"plain/{n}/", transaction.non_atomic_requests(view_of(n))) for n in QUERIES),
    *(path(f"atomic/{n}/", view_of(n)) for n in QUERIES),
]

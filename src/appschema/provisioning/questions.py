"""Questions that need no answer of one another, in one message: each message is a journey to the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.models import Model

from appschema.names import quote_identifier

Answer = tuple[Any, ...]
"""The first row; empty if there is none."""


def columns_of(model: type[Model], columns: Iterable[str]) -> str:
    """Return the SELECT of these columns of a model's table, which may be gone on with."""
    listed = ", ".join(map(quote_identifier, columns))
    return f"SELECT {listed} FROM {quote_identifier(model._meta.db_table)}"


def ask(using: str, *questions: str) -> list[Answer]:
    """Return the answer to each of the SELECTs.

    In READ COMMITTED each sees what is committed when its turn comes, so that one behind a lock
    sees what was done under it before. Values are written into the text (``quote_literal``): with
    parameters some protocols take one statement only.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("; ".join(questions))
        answers: list[Answer] = [cursor.fetchone() or ()]
        while cursor.nextset():
            answers.append(cursor.fetchone() or ())
    return answers

"""How a method of Django's is extended where it offers no setting, signal or hook."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def extend(owner: Any, name: str, by: Callable[[Any], Any]) -> None:
    """Put what *by* returns for the function *name* of *owner* in its place, with its name."""
    found = vars(owner)[name]
    setattr(owner, name, wraps(found)(by(found)))

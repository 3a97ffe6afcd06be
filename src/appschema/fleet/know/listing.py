"""The registry's rows, read at once: thousands of instances of models would take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from appschema.context import schema_context
from appschema.models import PublicName, Schema
from appschema.names import PUBLIC


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the registry, with its public names."""

    name: str
    is_active: bool
    created: datetime
    notice: str
    dropped: datetime | None
    purging: bool
    public_name: str | None
    """The primary one."""
    public_names: tuple[str, ...]

    @property
    def state(self) -> str:
        """``active``, ``inactive``, ``dropped`` or ``purging``."""
        if self.purging:
            return "purging"
        if self.dropped is not None:
            return "dropped"
        return "active" if self.is_active else "inactive"


def list_schemas(using: str) -> Iterator[Listed]:
    """Yield the registered schemas in the order of their names. Two statements."""
    names: dict[int, list[str]] = {}
    primary: dict[int, str] = {}
    with schema_context(PUBLIC):
        for schema_id, name, is_primary in PublicName.objects.using(using).values_list(
            "schema_id", "public_name", "is_primary"
        ):
            names.setdefault(schema_id, []).append(name)
            if is_primary:
                primary[schema_id] = name
        rows = list(
            Schema.objects.using(using).values_list(
                "id", "name", "is_active", "created", "notice", "dropped", "purging"
            )
        )
    for schema_id, name, is_active, created, notice, dropped, purging in rows:
        yield Listed(
            name=name,
            is_active=is_active,
            created=created,
            notice=notice,
            dropped=dropped,
            purging=purging,
            public_name=primary.get(schema_id),
            public_names=tuple(names.get(schema_id, ())),
        )

"""A dict whose entries belong to the schema in which they were stored."""

from __future__ import annotations

from typing import Any

from appschema.context import current_schema


class SchemaKeyedDict(dict[Any, Any]):
    """What Django keeps in a dict per process, kept per schema.

    A key is looked up in the current schema, or among those of no schema when it is unset. What
    concerns the whole dict concerns all schemas: ``clear`` empties it, iterating gives pairs of
    schema and key. Do not use ``update``, which would store keys without a schema.
    """

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__((current_schema(), key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((current_schema(), key), value)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__((current_schema(), key))

    def __contains__(self, key: Any) -> bool:
        return super().__contains__((current_schema(), key))

    def forget_schema(self, schema_name: str) -> None:
        """Remove all entries of one schema."""
        for key in [key for key in list(self) if key[0] == schema_name]:
            super().pop(key, None)

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((current_schema(), key), default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return super().setdefault((current_schema(), key), default)

    def pop(self, key: Any, *default: Any) -> Any:
        return super().pop((current_schema(), key), *default)

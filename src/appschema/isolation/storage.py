"""Files belong to a schema, whichever storage keeps them.

``SchemaStorage`` in STORAGES, with what stood there as its OPTIONS: see the page
"Isolate caches, sessions and files".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from os import PathLike
from typing import Any, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage
from django.db.models import FileField
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from appschema.context import current_schema
from appschema.exceptions import NoActiveSchema
from appschema.placement import get_placement


class SchemaFileName(str):
    """The name of a file, and the schema in which it was learnt: there only is it this file."""

    __slots__ = ("schema_name",)
    schema_name: str

    def __reduce__(self) -> tuple[Any, ...]:
        return bind_name, (str(self), self.schema_name)


def bind_name(name: str, schema_name: str) -> SchemaFileName:
    """Return the name of a file with the schema that it belongs to."""
    bound = SchemaFileName(name)
    bound.schema_name = schema_name
    return bound


def bind_file_names() -> None:
    """Let the name of a file that is read from a schema's row belong to that schema.

    In another schema it would be another file.
    """
    FileField.get_db_converters = _converters  # type: ignore[assignment, method-assign]


def _converters(field: FileField, connection: Any) -> list[Any]:
    # Of this kind of field only: a converter of the backend would be asked for with every column.
    converters = super(FileField, field).get_db_converters(connection)
    model, schema_name = getattr(field, "model", None), current_schema()
    if model and schema_name and get_placement().in_schemas(model._meta.app_label):
        return [partial(_bind, schema_name), *converters]
    return converters


def _bind(schema_name: str, value: Any, expression: Any, connection: Any) -> Any:
    return bind_name(value, schema_name) if isinstance(value, str) and value else value


def directory_of(schema_name: str) -> str:
    """Return the directory, below the wrapped storage's own, of a schema's files."""
    # A schema's name holds neither a slash nor a dot. Where file systems take upper for lower
    # case, 'Acme' would be 'acme': what is not all lower case gets a digest of its own.
    if schema_name == schema_name.casefold():
        return schema_name
    digest = hashlib.sha256(schema_name.encode()).hexdigest()[:16]
    return f"{schema_name}.{digest}"


@deconstructible(path="appschema.isolation.storage.SchemaStorage")
class SchemaStorage(Storage):
    """Keeps the files of each schema in a directory of its own, in the storage ``BACKEND``.

    Names are as with ``BACKEND`` alone and never hold the directory, so rows can be copied to
    another schema, and files with them. The schema is the current one of each call; ``public``
    has a directory too. Raises ``NoActiveSchema`` while the schema is unset, and
    ``SuspiciousFileOperation`` for a name that leads out of the directory and for a name that
    was saved in, or read from a row of, another schema.
    """

    def __init__(self, BACKEND: str, OPTIONS: Mapping[str, Any] | None = None) -> None:  # noqa: N803 - as in STORAGES
        self._settings = (BACKEND, dict(OPTIONS or {}))
        self.wrapped: Storage = import_string(BACKEND)(**self._settings[1])
        """The storage of all schemas' files, to which names must be given with the directory."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SchemaStorage):
            return NotImplemented
        return self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings[0])

    def __getattr__(self, name: str) -> Any:
        # Values (bucket_name, default_acl) say how the storage is set up. What can be called
        # would take a name as it is, without the directory.
        if not name.startswith("_") and name not in ("wrapped", "location", "base_location"):
            value = getattr(self.wrapped, name)
            if value is None or isinstance(value, str | bytes | int | float | tuple):
                return value
        raise AttributeError(
            f"SchemaStorage passes on no {name!r}, which may not keep to the schema's directory."
            f" If it is meant for all schemas' files, use '.wrapped.{name}'.",
            name=name,
            obj=self,
        )

    def _directory(self, name: object) -> str:
        schema_name = current_schema()
        if schema_name is None:
            raise NoActiveSchema(
                f"No schema is active, so that it is not known whose file {str(name)!r} is."
                " Use it inside 'with schema_context(NAME):'."
            )
        if isinstance(name, SchemaFileName) and name.schema_name != schema_name:
            raise SuspiciousFileOperation(
                f"The file {str(name)!r} is one of schema {name.schema_name!r}, and the current"
                f" schema is {schema_name!r}. Use it inside"
                f" 'with schema_context({name.schema_name!r}):'."
            )
        return directory_of(schema_name)

    def _add(self, name: object, *, or_all: bool = False) -> str:
        """Return the name in the wrapped storage; with *or_all* that of the directory itself."""
        directory, name = self._directory(name), str(name)
        parts = name.split("/")
        if "\\" in name or "\0" in name or name.startswith("/") or ".." in parts:
            raise SuspiciousFileOperation(
                f"The file name {name!r} could lead out of the schema's directory. Use a relative"
                " name with '/' and without '..'."
            )
        if not or_all and not set(parts) - {"", "."}:
            raise SuspiciousFileOperation(
                f"The file name {name!r} means the schema's whole directory. Give a file's name."
            )
        return f"{directory}/{name}".removesuffix("/")

    def _remove(self, stored: str, *, of: object) -> str:
        prefix = self._directory(of) + "/"
        if not stored.startswith(prefix):
            raise SuspiciousFileOperation(
                f"{self._settings[0]!r} made {stored!r} of the name {prefix + str(of)!r}, which is"
                " outside the schema's directory. A storage that chooses names freely cannot be"
                " wrapped."
            )
        return stored.removeprefix(prefix)

    def _longer(self, max_length: int | None) -> int | None:
        # The limit is that of the column, which holds the name without the directory.
        return None if max_length is None else max_length + len(self._directory("")) + 1

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        return self.wrapped.open(self._add(name), mode)

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        if name is None:
            name = cast(str, content.name)
        stored = self.wrapped.save(self._add(name), content, max_length=self._longer(max_length))
        return bind_name(self._remove(stored, of=name), cast(str, current_schema()))

    def delete(self, name: str) -> None:
        self.wrapped.delete(self._add(name))

    def exists(self, name: str) -> bool:
        return self.wrapped.exists(self._add(name, or_all=True))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        return self.wrapped.listdir(self._add(path, or_all=True))

    def path(self, name: str) -> str:
        return self.wrapped.path(self._add(name, or_all=True))

    def size(self, name: str) -> int:
        return self.wrapped.size(self._add(name))

    def url(self, name: str | None, *args: Any, **kwargs: Any) -> str:
        return self.wrapped.url(self._add(name or ""), *args, **kwargs)

    def get_accessed_time(self, name: str) -> datetime:
        return self.wrapped.get_accessed_time(self._add(name))

    def get_created_time(self, name: str) -> datetime:
        return self.wrapped.get_created_time(self._add(name))

    def get_modified_time(self, name: str) -> datetime:
        return self.wrapped.get_modified_time(self._add(name))

    # What makes a name is asked of the wrapped storage, which may have its own way.

    def generate_filename(self, filename: str | PathLike[str]) -> str:
        return self.wrapped.generate_filename(filename)

    def get_valid_name(self, name: str) -> str:
        return self.wrapped.get_valid_name(name)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        return self.wrapped.get_alternative_name(file_root, file_ext)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        free = self.wrapped.get_available_name(self._add(name), self._longer(max_length))
        return self._remove(free, of=name)

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        return self.wrapped.is_name_available(self._add(name), self._longer(max_length))

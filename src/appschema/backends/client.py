"""``manage.py dbshell`` in the current schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.client import DatabaseClient

from appschema.context import current_schema

from .envelope import make_envelope

if TYPE_CHECKING:
    _Base = DatabaseClient
else:
    _Base = object


class DatabaseClientMixin(_Base):
    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Any
    ) -> tuple[list[str], dict[str, str] | None]:
        args, env = super().settings_to_cmd_args_env(settings_dict, parameters)
        if schema_name := current_schema():
            path = make_envelope(schema_name).path.replace(" ", "\\ ")
            options = (env or {}).get("PGOPTIONS", "")
            env = {**(env or {}), "PGOPTIONS": f"{options} -c search_path={path}".strip()}
        return args, env

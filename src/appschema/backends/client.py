"""``manage.py dbshell`` in the current schema."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.client import DatabaseClient

from appschema.conf import get_config
from appschema.context import current_schema
from appschema.names import quote_option

from .envelope import make_envelope, role_of

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
            values = {"search_path": make_envelope(schema_name).path}
            if get_config().roles:
                database = settings_dict.get("NAME") or ""
                owner = settings_dict.get("OPTIONS", {}).get("assume_role", "none")
                sender = SimpleNamespace(database_name=database, owner_role=owner)
                values["role"] = role_of(schema_name, sender)
            # What the user's shell has set for psql, unless the settings set it.
            options = [(env or {}).get("PGOPTIONS") or os.environ.get("PGOPTIONS", "")]
            for name, value in values.items():
                options.append(f"-c {name}={quote_option(value)}")
            env = {**(env or {}), "PGOPTIONS": " ".join(options).strip()}
        return args, env

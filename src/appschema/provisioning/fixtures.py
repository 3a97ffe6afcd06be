"""The fixtures whose rows each new schema has: APPSCHEMA_FIXTURES."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.core import serializers
from django.core.management import call_command
from django.core.management.commands.loaddata import Command as LoadData

from appschema.conf import get_config
from appschema.context import schema_context


def load_fixtures(schema_name: str, *, using: str) -> None:
    """Load the fixtures into one schema. Raises what ``loaddata`` raises, also for shared rows."""
    if names := get_config().fixtures:
        with schema_context(schema_name):
            call_command("loaddata", *names, database=using, verbosity=0)


def digest_fixtures(*, using: str) -> str:
    """Return a digest of the files' names and contents. Raises ``CommandError`` if one is missing."""
    finder: Any = LoadData()
    finder.using, finder.verbosity, finder.app_label = using, 0, None
    finder.serialization_formats = serializers.get_public_serializer_formats()
    digest = hashlib.sha256()
    for name in get_config().fixtures:
        for path, *_ in finder.find_fixtures(name):
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()

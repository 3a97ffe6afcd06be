"""Wiring: what appschema connects when Django starts."""

from __future__ import annotations

from django.apps import AppConfig


class AppschemaConfig(AppConfig):
    name = "appschema"
    verbose_name = "Schemas"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, resolver  # noqa: F401 - both register themselves
        from .backends import compiler
        from .fleet import records
        from .isolation import crossing, memory, references, sessions, signing, storage
        from .router import install

        records.place_records()
        records.note_records()
        memory.key_by_schema()
        crossing.guard_crossing()
        compiler.guard_raw_queries()
        references.guide_deletion()
        signing.sign_by_schema()
        sessions.bind_sessions()
        storage.bind_file_names()
        install()

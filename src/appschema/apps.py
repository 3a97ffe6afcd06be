"""Wiring: what appschema connects when Django starts."""

from __future__ import annotations

from functools import cache

from django.apps import AppConfig


class AppschemaConfig(AppConfig):
    name = "appschema"
    verbose_name = "Schemas"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, resolver  # noqa: F401 - both register themselves
        from .isolation import memory, sessions, signing, storage
        from .router import install

        _extend_django()
        memory.key_by_schema()
        signing.sign_by_schema()
        sessions.bind_sessions()
        storage.bind_file_names()
        install()


@cache
def _extend_django() -> None:
    """Put ours around methods of Django's, once: it calls ``ready`` again when a test installs other apps."""
    from .backends import compiler
    from .fleet import records
    from .isolation import crossing, generic_keys, members, read_rows, referenced_deletes

    records.place_records()
    records.note_records()
    crossing.guard_crossing()
    members.guard_members()
    generic_keys.guard_generic_keys()
    read_rows.guard_read_rows()
    compiler.guard_raw_queries()
    referenced_deletes.guide_deletion()

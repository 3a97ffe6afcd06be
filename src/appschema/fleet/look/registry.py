"""Rows of the registry without a schema, and schemas without a row."""

from __future__ import annotations

from collections.abc import Iterator

from appschema.conf import get_config
from appschema.fleet.origins import own_schemas
from appschema.models import PublicName, Schema
from appschema.names import MARKER_TABLE, PUBLIC, is_own_name, quote_identifier

from .finding import Finding, error, warning
from .inspection import Inspection


def find_schemas(look: Inspection) -> Iterator[Finding]:
    for name in look.names:
        found, quoted = look.namespaces.get(name), quote_identifier(name)
        if name in look.purging:
            yield warning(
                "half-purged",
                name,
                "Purging it has begun, and has not ended: tables of it are gone, and nobody can"
                " enter it.",
                f"If it is not being done just now: manage.py purgeschemas {name}",
            )
            continue
        if found is None:
            yield error(
                "schema-missing",
                name,
                "The registry has this schema, and the database has not. Its requests end with"
                " SchemaMissing.",
                f"Restore it from a backup, or remove its row: manage.py dropschema {name} --now",
            )
        elif not found.has_marker:
            yield error(
                "marker-missing",
                name,
                f"It has no table {MARKER_TABLE}, by which a schema is known to be complete."
                " Its requests end with SchemaMissing.",
                f"CREATE TABLE {quoted}.{MARKER_TABLE} (LIKE {PUBLIC}.{MARKER_TABLE} INCLUDING"
                f" ALL); and, if its other tables are complete: manage.py migrate --schema"
                f" {name} --fake",
            )
        elif not found.has_records:
            yield error(
                "marker-broken",
                name,
                f"Its table {MARKER_TABLE} has not the columns of Django's records of migrations.",
                f"DROP TABLE {quoted}.{MARKER_TABLE}; and go on as for one that is missing:"
                f" manage.py checkschemas --schema {name}",
            )
        if not look.rows[name]:
            yield warning(
                "primary-missing",
                name,
                "It has no primary public name, so that no address leads to it, or none can be"
                " written into its mails.",
                f"manage.py addname {name} PUBLIC_NAME --primary",
            )


def find_names_of_public(look: Inspection) -> Iterator[Finding]:
    if not look.rows or not (of_public := get_config().public_names):
        return
    names = PublicName.objects.using(look.using).filter(public_name__in=of_public)
    for public_name, name in names.values_list("public_name", "schema__name"):
        if name in look.names:
            yield error(
                "name-of-public",
                name,
                f"Its public name {public_name!r} stands in APPSCHEMA_PUBLIC_NAMES or"
                " APPSCHEMA_BASE_DOMAINS: requests for it are served from public.",
                "Take it out of the setting; or, with another primary one given to the schema by"
                f" manage.py addname {name} OTHER --primary: manage.py removename {public_name}",
            )


def find_registry(look: Inspection) -> Iterator[Finding]:
    if not look.has_registry:
        yield error(
            "registry-missing",
            PUBLIC,
            f"It has no table {Schema._meta.db_table}: nothing tells which schemas there are.",
            "manage.py migrate",
        )


def find_unregistered(look: Inspection) -> Iterator[Finding]:
    config = get_config()
    ours = {*look.rows, PUBLIC, *config.default_path, config.extensions_schema}
    ours.update(own_schemas(look.using))
    for each in look.namespaces.values():
        # What lacks the marker was never one of ours, and is left alone.
        if each.name in ours or is_own_name(each.name):
            continue
        if each.has_marker and each.has_records:
            yield warning(
                "unregistered",
                each.name,
                f"It has a table {MARKER_TABLE} as our schemas have, and the registry has no row"
                " for it: nothing migrates it.",
                f"manage.py createschema {each.name} PUBLIC_NAME --adopt, or, if nobody needs it:"
                f" DROP SCHEMA {quote_identifier(each.name)} CASCADE;",
            )

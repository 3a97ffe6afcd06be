"""What is wrong with the template and the spares of a live database."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from appschema.fleet.origins import has_tables, own_schemas, read_digests, read_own_digest
from appschema.models import Spare, Template
from appschema.names import is_own_name, quote_identifier

from .finding import Finding, error, warning


def find_origins(using: str, present: Collection[str]) -> Iterator[Finding]:
    """Yield what would keep new schemas from being made; *present* are the database's schemas."""
    if not has_tables(using):
        return
    known = set(own_schemas(using))
    yield from _leftovers(set(present) - known)
    if not known:
        return
    template = Template.objects.using(using).defer("script", "functions").first()
    if template is not None:
        yield from _of_template(template, using)
    yield from _of_spares(template, using)


def _leftovers(names: set[str]) -> Iterator[Finding]:
    for name in sorted(filter(is_own_name, names)):
        yield warning(
            "leftover",
            name,
            "It is called as the template or a spare is, and the registry knows nothing of it.",
            f"DROP SCHEMA {quote_identifier(name)} CASCADE;",
        )


def _of_template(template: Template, using: str) -> Iterator[Finding]:
    found = read_digests(using, template.schema_name)
    if found is None:
        yield error(
            "template-missing",
            template.schema_name,
            "The schema of the template is gone, or has no table of Django's records. New schemas are"
            " refused with TemplateLags.",
            "manage.py migrate",
        )
    elif (found.own, found.public) != (template.records, template.public_records):
        yield error(
            "template-lag",
            template.schema_name,
            "Migrations were applied or undone since the template was compiled. New schemas are refused"
            " with TemplateLags.",
            "manage.py migrate",
        )


def _of_spares(template: Template | None, using: str) -> Iterator[Finding]:
    wanted = template and template.records
    for spare in Spare.objects.using(using):
        if not wanted or read_own_digest(spare.schema_name, using=using) != wanted:
            yield warning(
                "spare-stale",
                spare.schema_name,
                "This spare is not like the template, or is gone, and nobody is given it.",
                "manage.py provisionschemas",
            )

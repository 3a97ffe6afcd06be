"""The template: a schema that is kept at head, and the SQL that makes one like it."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import connections, transaction
from django.utils import timezone

from appschema.catalog import Script, functions_naming_schema, read_rows, read_schema, write_schema
from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import TemplateLags, UnsupportedObject
from appschema.fleet.origins import read_digests, read_each_digest
from appschema.models import Spare, Template
from appschema.names import PUBLIC

from .questions import Answer, ask, columns_of

_logger = logging.getLogger(__name__)

_FIELDS = [each.attname for each in Template._meta.concrete_fields if each.name != "script"]

THE_TEMPLATE = columns_of(Template, _FIELDS)
"""The question for the template, without its script."""

_parsed: dict[str, tuple[datetime, Script]] = {}
"""The script of each database that was used last, by its alias."""


def find_template(using: str) -> Template | None:
    """Return the template, without its script; None if there is none, or none is to be kept."""
    if get_config().template is None:
        return None
    (found,) = ask(using, THE_TEMPLATE)
    return template_of(found, using)


def template_of(found: Answer, using: str) -> Template | None:
    """Return the template that the answer to ``THE_TEMPLATE`` tells of."""
    return Template.from_db(using, _FIELDS, found) if found else None


def is_at_head(template: Template, using: str) -> bool:
    """Tell whether the template is still what its script says, by the database's own records.

    Raises ``TemplateLags`` if its schema is gone.
    """
    is_at_head, _ = compare_with_records(template, None, using)
    return is_at_head


def compare_with_records(template: Template, spare: Spare | None, using: str) -> tuple[bool, bool]:
    """Tell whether the template ``is_at_head``, and whether the spare is what the template is."""
    names = [template.schema_name, PUBLIC]
    found = read_each_digest(using, *names, *([spare.schema_name] if spare else []))
    if found is None:
        also = f", or {spare.schema_name!r}, its spare," if spare else ","
        raise TemplateLags(
            f"The schema of the template, {template.schema_name!r}{also} is gone from the database, so that"
            " nothing was created. Run 'manage.py migrate', which makes it anew."
        )
    own, public, *of_spare = found
    is_at_head = (own, public) == (template.records, template.public_records)
    return is_at_head, of_spare == [template.records]


def load_script(template: Template, using: str) -> Script:
    """Return the script of the template, from memory if it is the one that was used last."""
    found = _parsed.get(using)
    if found is None or found[0] != template.compiled:
        found = _parsed[using] = template.compiled, Script.loads(template.script)
    return found[1]


def read_script(schema_name: str, using: str) -> tuple[Script, Script | None]:
    """Return what makes a schema like the one that is there, and what a copy needs to be renamed.

    The second is None if a copy holds what cannot be made anew under another name. Expects the
    caller's transaction, as the owner. Raises ``UnsupportedObject``.
    """
    with schema_context(PUBLIC), connections[using].cursor() as cursor:
        snapshot = read_schema(cursor, schema_name)
        script = write_schema(snapshot, read_rows(cursor, snapshot))
    for doubt in snapshot.doubts:
        _logger.warning(
            "In schema %r %s may name the schema, and is the same in each copy: %s",
            schema_name,
            doubt.where,
            doubt.text,
        )
    try:
        return script, functions_naming_schema(snapshot)
    except UnsupportedObject as error:
        _logger.warning("No spares are made from schema %r: %s", schema_name, error)
        return script, None


def keep_script(schema_name: str, fixtures: str, *, using: str) -> Template:
    """Read the schema and keep it as SQL, with the digests of the records that it was read with."""
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        digests = read_digests(using, schema_name)
        assert digests is not None
        script, functions = read_script(schema_name, using)
        template, _ = Template.objects.using(using).update_or_create(
            id=1,
            defaults={
                "schema_name": schema_name,
                "script": script.dumps(),
                "functions": None if functions is None else functions.dumps(),
                "records": digests.own,
                "public_records": digests.public,
                "fixtures": fixtures,
                "compiled": timezone.now(),
            },
        )
    return template

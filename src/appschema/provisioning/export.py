"""Write the template for people and repositories, and compile it anew when it was changed by hand."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from appschema.context import as_owner, schema_context
from appschema.exceptions import TemplateLags, WrongState
from appschema.fleet.origins import drop_spares
from appschema.models import Template
from appschema.names import PUBLIC

from .locks import no_new_schemas
from .template import find_template, is_at_head, keep_script, load_script
from .template_file import TemplateFile


def export_template(*, using: str = DEFAULT_DB_ALIAS) -> TemplateFile:
    """Return what a file of the template holds.

    Raises ``WrongState`` if there is no template, and ``TemplateLags`` if it is not at head.
    """
    with transaction.atomic(using=using), schema_context(PUBLIC), as_owner():
        template = _find(using)
        if not is_at_head(template, using):
            raise TemplateLags(
                f"The template {template.schema_name!r} is not what it was when it was compiled, or"
                " public is not. Run 'manage.py migrate', which brings it to head."
            )
        script = load_script(template, using)
    return TemplateFile(script, template.records, template.public_records)


def compile_template(*, using: str = DEFAULT_DB_ALIAS) -> Template:
    """Compile the template as its schema is now, and return its row.

    ``migrate`` does so when migrations were applied. This is for what it cannot know of: rows,
    functions or rights in the template's schema that were changed by hand or by a receiver of
    post_migrate. Spares are dropped, as they lack the change. Raises ``WrongState`` if there is no
    template, and ``UnsupportedObject``.
    """
    alone, whole = no_new_schemas(connections[using]), transaction.atomic(using=using)
    with alone, whole, schema_context(PUBLIC), as_owner():
        template = _find(using)
        # Raises if there is no such schema.
        is_at_head(template, using)
        template = keep_script(template.schema_name, template.fixtures, using=using)
        drop_spares(using=using)
    return template


def _find(using: str) -> Template:
    template = find_template(using)
    if template is None:
        raise WrongState(
            "There is no template. Run 'manage.py migrate', which makes it unless APPSCHEMA_TEMPLATE is"
            " None."
        )
    return template

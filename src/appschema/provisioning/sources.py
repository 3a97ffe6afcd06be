"""Where a new schema comes from: a spare, the template, a file, or the migrations."""

from __future__ import annotations

from pathlib import Path

from appschema.exceptions import TemplateLags
from appschema.fleet.ledger import copy_entry
from appschema.fleet.origins import read_digests
from appschema.models import Template

from .migrated import make_by_migrations, migrate_new
from .replay import replay
from .spares import claim_spare
from .template import find_template, is_at_head, load_script, read_script
from .template_file import read_template_file

_MEND = (
    "Run 'manage.py migrate', which brings it to head, or migrate the copy: new_schema(...,"
    " migrate=True), 'manage.py createschema --migrate'."
)


def make_schema(name: str, *, migrate: bool, template_file: str | Path | None, using: str) -> None:
    """Make the schema *name*, from what is quickest.

    Expects the caller's transaction, as the owner with public active, and ``keep_migrate_out``.
    """
    template = find_template(using)
    if template_file is not None:
        _copy_file(Path(template_file), name, template, migrate=migrate, using=using)
    elif template is None:
        make_by_migrations(name, using=using)
    elif is_at_head(template, using):
        if not claim_spare(template, name, using=using):
            replay(load_script(template, using), name, using=using)
            copy_entry(template.schema_name, name, using=using)
    elif migrate:
        # Not the script, which may name tables that are called otherwise by now.
        script, _ = read_script(template.schema_name, using)
        replay(script, name, using=using)
        migrate_new(name, using=using)
    else:
        raise TemplateLags(
            f"The template {template.schema_name!r} is not what it was when it was compiled, or public"
            f" is not, so that schema {name!r} was not created: it could have the tables of another"
            f" version. {_MEND}"
        )


def _copy_file(
    path: Path, name: str, template: Template | None, *, migrate: bool, using: str
) -> None:
    file = read_template_file(path)
    found = read_digests(using, template.schema_name if template else "public")
    fits = found is not None and found.public == file.public_records
    if template and found:
        fits = fits and found.own == file.records
    if not fits and not migrate:
        raise TemplateLags(
            f"The template in {str(path)!r} was written for other migrations than the database's"
            f" records tell of, so that schema {name!r} was not created. Write it anew with"
            " 'manage.py schematemplate', or migrate the copy: new_schema(..., migrate=True),"
            " 'manage.py createschema --migrate'."
        )
    replay(file.script, name, using=using)
    if not fits:
        migrate_new(name, using=using)

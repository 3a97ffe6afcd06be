"""Where a new schema comes from: a spare, the template, a file, or the migrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appschema.conf import get_config
from appschema.exceptions import TemplateLags
from appschema.fleet.know.entries import copy_entry
from appschema.fleet.origins import read_digests
from appschema.models import Spare, Template

from .from_script import make_from_script
from .migrated import make_by_migrations, migrate_new
from .questions import ask
from .spares import ONE_SPARE, claim_spare, spare_of
from .template import (
    THE_TEMPLATE,
    compare_with_records,
    find_template,
    load_script,
    read_script,
    template_of,
)
from .template_file import read_template_file

_MEND = (
    "Run 'manage.py migrate', which brings it to head, or migrate the copy: new_schema(...,"
    " migrate=True), 'manage.py createschema --migrate'."
)


@dataclass(frozen=True)
class _Origin:
    """What the database has that a schema can come from."""

    template: Template
    is_at_head: bool
    spare: Spare | None
    """One that is like the template, and nobody else's until the commit."""


def make_schema(name: str, *, migrate: bool, template_file: str | Path | None, using: str) -> None:
    """Make the schema *name*, from what is quickest.

    Expects the caller's transaction, as the owner with public active, and ``keeping_migrate_out``.
    """
    if template_file is not None:
        _copy_file(Path(template_file), name, migrate=migrate, using=using)
    elif (origin := _find_origin(using)) is None:
        make_by_migrations(name, using=using)
    elif origin.is_at_head and origin.spare:
        claim_spare(origin.spare, origin.template, name, using=using)
    elif origin.is_at_head:
        make_from_script(load_script(origin.template, using), name, using=using)
        copy_entry(origin.template.schema_name, name, using=using)
    elif migrate:
        # Not the script, which may name tables that are called otherwise by now.
        script, _ = read_script(origin.template.schema_name, using)
        make_from_script(script, name, using=using)
        migrate_new(name, using=using)
    else:
        raise TemplateLags(
            f"The template {origin.template.schema_name!r} is not what it was when it was compiled, or"
            f" public is not, so that schema {name!r} was not created: it could have the tables of another"
            f" version. {_MEND}"
        )


def _find_origin(using: str) -> _Origin | None:
    """Return what a schema can come from; None if it is to be migrated."""
    if get_config().template is None:
        return None
    of_template, of_spare = ask(using, THE_TEMPLATE, ONE_SPARE)
    template, spare = template_of(of_template, using), spare_of(of_spare, using)
    if template is None:
        return None
    is_at_head, is_like = compare_with_records(template, spare, using)
    # What the spare is counts, and not only what is written down of it.
    return _Origin(template, is_at_head, spare if is_like else None)


def _copy_file(path: Path, name: str, *, migrate: bool, using: str) -> None:
    file = read_template_file(path)
    template = find_template(using)
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
    make_from_script(file.script, name, using=using)
    if not fits:
        migrate_new(name, using=using)

"""Make spares, while others go on writing to the shared tables.

A foreign key to a shared table holds up its writers until the commit, and takes the longer the more
schemas refer to that table already. Nobody sees a spare before it has its row, so here each of those
keys is a transaction of its own. What is not finished when its maker is killed has no row, and is
dropped by the next one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from appschema.catalog import Script
from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaBusy, TemplateLags, WrongState
from appschema.fleet.know.entries import copy_entry
from appschema.fleet.origins import drop_own_schema, drop_spare
from appschema.models import Spare, Template
from appschema.names import PUBLIC, SPARE_PREFIX, quote_identifier, quote_literal
from appschema.patience import patiently
from appschema.roles.database import DatabaseRoles

from .from_script import add_outside_keys, make_inside
from .locks import keeping_migrate_out, refilling_alone
from .questions import ask
from .template import find_template, is_at_head, load_script

_SUFFIX_BYTES = 6
_REST = 9
"""How many times as long as a key has taken nothing is done: for nine tenths of the time writers get on."""

_LONGEST_REST = 1.0
"""Seconds; what a key has taken may have been waiting."""


@dataclass(frozen=True)
class _Unfinished:
    """A spare that has no row yet."""

    name: str
    template: Template
    script: Script


def refill_spares(*, using: str = DEFAULT_DB_ALIAS) -> int:
    """Make spares until there are APPSCHEMA_SPARES, and return how many were made.

    Each is committed by itself, and each of its foreign keys to shared tables too, with a rest behind
    it nine times as long, so that those who write to these tables wait for one key at most, and
    seldom; in a transaction of the caller's all is a part of that.
    Spares that are not like the template, or too many, are dropped. While another process does the
    same it does nothing. Raises ``TemplateLags``, ``SchemaBusy``, and ``WrongState`` if there is no
    template that spares can be made from.
    """
    made = 0
    with refilling_alone(connections[using]) as is_alone:
        if not is_alone:
            return 0
        while _drop_one(using):
            pass
        while unfinished := _begin(using):
            made += _finish(unfinished, using)
    return made


@contextmanager
def _step(using: str) -> Iterator[None]:
    """Let what is done inside be one transaction, in which no ``migrate`` changes the template."""
    with (
        transaction.atomic(using=using),
        schema_context(PUBLIC),
        as_owner(),
        keeping_migrate_out(using),
    ):
        yield


def _drop_one(using: str) -> bool:
    """Drop a spare that is not wanted, and tell whether there was one.

    By itself, for it locks the shared tables too.
    """
    wanted = get_config().spares
    with _step(using):
        keep = _find_usable(using).records if wanted else None
        if name := _find_unfinished(using):
            _drop(name, using)
            return True
        drop = partial(drop_spare, using=using, keep=keep, at_most=wanted)
        return patiently(drop, using=using, what="Dropping a spare that is not wanted")


def _begin(using: str) -> _Unfinished | None:
    """Make the next spare but for its last foreign keys; None if there are enough."""
    name = f"{SPARE_PREFIX}{secrets.token_hex(_SUFFIX_BYTES)}"
    wanted = get_config().spares
    if wanted == 0:
        return None
    with _step(using):
        template = _find_usable(using)
        if Spare.objects.using(using).filter(records=template.records).count() >= wanted:
            return None
        script = load_script(template, using)
        make_inside(script, name, using=using)
    return _Unfinished(name, template, script)


def _finish(spare: _Unfinished, using: str) -> bool:
    """Add the keys, and tell whether it is a spare: not so if the template is another by now."""
    try:
        if _add_keys(spare, using) and _enter(spare, using):
            return True
    except (SchemaBusy, TemplateLags):
        _drop(spare.name, using)
        raise
    _drop(spare.name, using)
    return False


def _add_keys(spare: _Unfinished, using: str) -> bool:
    """Add one key after the other, and rest between them."""
    for key in spare.script.outside:
        begun = time.monotonic()
        if not _add_key(spare, key, using):
            return False
        if not connections[using].in_atomic_block:
            time.sleep(min(_REST * (time.monotonic() - begun), _LONGEST_REST))
    return True


def _add_key(spare: _Unfinished, key: str, using: str) -> bool:
    """Add one foreign key, and tell whether the template is still what it was."""

    def act() -> None:
        add_outside_keys(Script(outside=(key,)), spare.name, using=using)

    with _step(using):
        if not _is_still_of(spare, using):
            return False
        patiently(act, using=using, what=f"Making the spare {spare.name!r}")
    return True


def _enter(spare: _Unfinished, using: str) -> bool:
    with _step(using):
        if not (_is_still_of(spare, using) and is_at_head(spare.template, using)):
            return False
        Spare.objects.using(using).create(schema_name=spare.name, records=spare.template.records)
        copy_entry(spare.template.schema_name, spare.name, using=using)
    return True


def _is_still_of(spare: _Unfinished, using: str) -> bool:
    template = find_template(using)
    return template is not None and template.compiled == spare.template.compiled


def _find_unfinished(using: str) -> str | None:
    """Return what somebody has begun who was killed; there is no other now who makes spares."""
    table = quote_identifier(Spare._meta.db_table)
    pattern = quote_literal(f"^{SPARE_PREFIX}[0-9a-f]{{{2 * _SUFFIX_BYTES}}}$")
    (found,) = ask(
        using,
        f"SELECT nspname FROM pg_namespace WHERE nspname ~ {pattern}"
        f" AND NOT EXISTS (SELECT FROM {table} WHERE schema_name = nspname) LIMIT 1",
    )
    return found[0] if found else None


def _drop(name: str, using: str) -> None:
    def act() -> None:
        # Its foreign keys lock the shared tables once more.
        drop_own_schema(name, using=using)
        DatabaseRoles(connections[using]).drop_that_of(name)

    with schema_context(PUBLIC), as_owner():
        patiently(act, using=using, what=f"Dropping the unfinished spare {name!r}")


def _find_usable(using: str) -> Template:
    template = find_template(using)
    if template is None:
        raise WrongState(
            "There is no template that spares could be made from. Run 'manage.py migrate', which makes"
            " it unless APPSCHEMA_TEMPLATE is None."
        )
    if template.functions is None:
        raise WrongState(
            f"No spares can be made from the template {template.schema_name!r}: it holds what cannot be"
            " renamed. Run 'manage.py schematemplate --compile', which tells what, or set"
            " APPSCHEMA_SPARES to 0."
        )
    if not is_at_head(template, using):
        raise TemplateLags(
            f"The template {template.schema_name!r} is not what it was when it was compiled, or public is"
            " not, and no spares were made. Run 'manage.py migrate', which brings it to head."
        )
    return template

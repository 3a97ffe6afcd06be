"""The names of roles, which belong to the whole cluster, and the settings of roles."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from appschema.backends.envelope import make_envelope
from appschema.conf import get_config
from appschema.context import as_owner, runs_as_owner
from appschema.names import MAX_NAME_BYTES, role_name

DATABASES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=63)
PARTS = st.from_regex(r"[a-zé_@A-Z0-9][a-zé_A-Z0-9-]{0,40}", fullmatch=True)


@given(DATABASES, PARTS, DATABASES, PARTS)
def test_two_schemas_never_share_a_role(database, part, other_database, other_part):
    name, other = role_name(database, part), role_name(other_database, other_part)
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert (name == other) == ((database, part) == (other_database, other_part))


def test_a_name_is_readable_while_it_is_short():
    assert role_name("shop", "acme") == "appschema/shop/acme"
    assert role_name("shop", "acme") != role_name("test_shop_gw0", "acme")


def test_a_long_name_ends_in_a_hash_and_is_no_short_one():
    name = role_name("shop", "ü" * 31)
    assert re.fullmatch(r"appschema/shop\.ü+~[0-9a-f]{24}", name)
    assert name != role_name("shop", "ü" * 30 + "u")


class Sender:
    database_name = 'o"dd'
    owner_role = "none"


@pytest.mark.parametrize(
    ("schema_name", "part"), [("acme", "acme"), ("public", "public"), (None, "@unset")]
)
def test_envelope_sets_the_role_behind_the_path(settings, schema_name, part):
    settings.APPSCHEMA_ROLES = True
    before = make_envelope(schema_name, sender=Sender()).statements
    assert before[1] == f'SET LOCAL ROLE "appschema/o""dd/{part}"'.encode()
    queued = make_envelope(schema_name, sender=Sender()).queued_statements
    assert f"set_config('role', 'appschema/o\"dd/{part}', true)".encode() in queued[0]


def test_without_the_setting_no_role_is_set():
    assert make_envelope("acme", sender=Sender()) == make_envelope("acme")
    assert b"ROLE" not in make_envelope("acme", sender=Sender()).sql


def test_the_owner_is_in_the_role_that_logs_in(settings):
    settings.APPSCHEMA_ROLES = True
    with as_owner():
        assert runs_as_owner()
        assert b'SET LOCAL ROLE "none"' in make_envelope("acme", sender=Sender()).sql
    assert not runs_as_owner()


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_the_setting_is_a_bool(value):
    with override_settings(APPSCHEMA_ROLES=value):
        with pytest.raises(ImproperlyConfigured, match=f"APPSCHEMA_ROLES is True or .* {value!r}"):
            get_config()


def test_rights_are_those_of_tables():
    with override_settings(APPSCHEMA_ROLES_SHARED_RIGHTS=["SELECT", "DROP"]):
        with pytest.raises(ImproperlyConfigured, match="RIGHTS holds 'DROP'"):
            get_config()

"""What is signed in one schema is worthless in another, though the users are alike."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.core.signing import BadSignature, Signer, TimestampSigner
from django.test import Client, override_settings
from django.utils import crypto

from appschema import deactivate, schema_context
from appschema.isolation.signing import salted_hmac
from tests.integration.isolation.site import HOSTS

SCHEMAS = ["stamp_a", "stamp_b", "public", None]

SIGN_AND_LOAD: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (lambda: Signer().sign("1"), lambda signed: Signer().unsign(signed)),
    (lambda: TimestampSigner().sign("1"), lambda signed: TimestampSigner().unsign(signed)),
    (lambda: signing.dumps("1"), signing.loads),
    (lambda: Signer().sign_object("1"), lambda signed: Signer().unsign_object(signed)),
    (lambda: Signer(key="own").sign("1"), lambda signed: Signer(key="own").unsign(signed)),
]


@pytest.mark.parametrize(("sign", "load"), SIGN_AND_LOAD)
@pytest.mark.parametrize("here", SCHEMAS)
def test_a_signature_is_good_in_its_schema_only(
    sign: Callable[[], Any], load: Callable[[Any], Any], here: str | None
) -> None:
    with schema_context(here):
        signed = sign()
        assert load(signed) == "1"
    for elsewhere in SCHEMAS:
        if elsewhere != here:
            with schema_context(elsewhere), pytest.raises(BadSignature):
                load(signed)


def test_a_signer_that_is_made_before_signs_for_the_schema_in_which_it_signs() -> None:
    signer = Signer()
    with schema_context("stamp_a"):
        signed = signer.sign("1")
        assert Signer().unsign(signed) == "1"
    with schema_context("stamp_b"), pytest.raises(BadSignature):
        signer.unsign(signed)


def test_a_token_is_made_for_a_schema_inside_its_context() -> None:
    with schema_context("public"):
        with schema_context("stamp_a"):
            token = signing.dumps({"plan": "gold"})
        with pytest.raises(BadSignature):
            signing.loads(token)
    with schema_context("stamp_a"):
        assert signing.loads(token) == {"plan": "gold"}


def test_with_no_schema_a_signature_is_djangos_own() -> None:
    with schema_context("stamp_a"):
        deactivate()
        expected = crypto.salted_hmac("salt", "value", algorithm="sha256").hexdigest()
        assert salted_hmac("salt", "value", algorithm="sha256").hexdigest() == expected


def test_a_fallback_key_is_the_schemas_too() -> None:
    with schema_context("stamp_a"), override_settings(SECRET_KEY="old"):
        signed = Signer().sign("1")
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[b"old"]):
        with schema_context("stamp_a"):
            assert Signer().unsign(signed) == "1"
        with schema_context("stamp_b"), pytest.raises(BadSignature):
            Signer().unsign(signed)


@pytest.fixture
def each_user(users: dict[str, User]) -> Iterator[dict[str, User]]:
    """The users as each schema has them, outside of any."""
    with schema_context(None):
        yield users


def test_a_password_reset_link_is_good_in_its_schema_only(each_user: dict[str, User]) -> None:
    for here, elsewhere in (tuple(HOSTS), tuple(reversed(HOSTS))):
        with schema_context(here):
            token = default_token_generator.make_token(each_user[here])
            assert default_token_generator.check_token(each_user[here], token)
        with schema_context(elsewhere):
            assert not default_token_generator.check_token(each_user[elsewhere], token)


def test_the_hash_that_ties_a_login_to_the_password_is_the_schemas(
    each_user: dict[str, User],
) -> None:
    hashes: set[str] = set()
    fallbacks: set[str] = set()
    with override_settings(SECRET_KEY_FALLBACKS=["older"]):
        for name, user in each_user.items():
            with schema_context(name):
                hashes.add(user.get_session_auth_hash())
                fallbacks.update(user.get_session_auth_fallback_hash())
    assert len(hashes) == len(fallbacks) == 2


def test_a_store_that_gave_away_another_schemas_session_would_log_in_nobody(
    users: dict[str, User],
) -> None:
    """The hash alone, without the stamp on the session's key."""
    client = Client()
    client.get("/login/", headers={"host": HOSTS["stamp_a"]})
    with schema_context("stamp_a"):
        stolen = dict(client.session.items())
    assert stolen[HASH_SESSION_KEY]
    thief = Client()
    with schema_context("stamp_b"):
        session = thief.session
        session.update(stolen)
        session.save()
    thief.cookies["sessionid"] = session.session_key or ""
    found = thief.get("/show/", headers={"host": HOSTS["stamp_b"]}).json()
    assert found == {"user": None, "cart": None}


@pytest.mark.parametrize("here", HOSTS)
def test_signed_cookies_and_messages_are_read_in_their_schema_only(
    users: dict[str, User], here: str
) -> None:
    client = Client()
    client.get("/set-signed/", headers={"host": HOSTS[here]})
    cookies = {name: each.value for name, each in client.cookies.items()}
    for schema, host in HOSTS.items():
        other = Client()
        other.cookies.load(cookies)
        found = other.get("/get-signed/", headers={"host": host}).json()
        if schema == here:
            assert found == {"choice": "blue", "messages": ["saved"]}
        else:
            assert found == {"choice": None, "messages": []}

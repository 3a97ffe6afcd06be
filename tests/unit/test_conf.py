"""The settings: their defaults, their types and the sentence about each wrong one."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from appschema.conf import Config, get_config
from appschema.exceptions import InvalidPublicName

LISTS = ["SHARED_APPS", "BOTH_APPS", "DEFAULT_PATH", "PUBLIC_NAMES"]
STRINGS = ["SCHEMA_REDIRECT", "PUBLIC_URLCONF", "EXTENSIONS_SCHEMA"]
NUMBERS = ["RESOLVER_MAX_AGE", "RESOLVER_SIZE"]


def test_the_defaults() -> None:
    assert Config() == Config(
        shared_apps=(),
        both_apps=(),
        default_path=("public",),
        extensions_schema="public",
        schema_redirect=None,
        public_names=frozenset(),
        public_urlconf=None,
        resolver_max_age=30.0,
        resolver_size=10_000,
        drop_grace=timedelta(days=7),
    )


def test_settings_are_read_once() -> None:
    assert get_config() is get_config()


def test_override_settings_is_noticed_and_undone() -> None:
    found = get_config()
    with override_settings(APPSCHEMA_SCHEMA_REDIRECT="https://example.com/"):
        assert get_config().schema_redirect == "https://example.com/"
    assert get_config() == found


@pytest.mark.parametrize("iterable", [["a", "b"], ("a", "b"), dict.fromkeys("ab")])
def test_any_iterable_of_strings_is_a_list(iterable: object) -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=iterable):
        assert get_config().shared_apps == ("a", "b")


@pytest.mark.parametrize("name", LISTS)
def test_a_string_in_place_of_a_list_is_refused(name: str) -> None:
    sentence = f"APPSCHEMA_{name} is a list of str, not 'plans'. Write ['plans']."
    with override_settings(**{f"APPSCHEMA_{name}": "plans"}):
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
            get_config()


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_anything_but_strings_is_refused(name: str) -> None:
    sentence = f"APPSCHEMA_{name} holds 7, which is no str."
    with override_settings(**{f"APPSCHEMA_{name}": ["plans", 7]}):
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
            get_config()


@pytest.mark.parametrize("name", STRINGS)
def test_anything_but_a_string_is_refused(name: str) -> None:
    sentence = f"APPSCHEMA_{name} is a str or None, not 7."
    with override_settings(**{f"APPSCHEMA_{name}": 7}):
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
            get_config()


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, "30", True, None])
def test_anything_but_a_number_above_zero_is_refused(name: str, value: object) -> None:
    sentence = f"APPSCHEMA_{name} is a number above zero, not {value!r}."
    with override_settings(**{f"APPSCHEMA_{name}": value}):
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
            get_config()


def test_public_names_are_kept_in_their_normal_spelling() -> None:
    with override_settings(APPSCHEMA_PUBLIC_NAMES=["WWW.Example.com.", "bücher.example:8000"]):
        assert get_config().public_names == {"www.example.com", "xn--bcher-kva.example"}


def test_a_public_name_that_no_host_could_have_is_refused() -> None:
    with override_settings(APPSCHEMA_PUBLIC_NAMES=["www example com"]):
        with pytest.raises(InvalidPublicName, match="'www example com' is not a valid host name"):
            get_config()


@pytest.mark.parametrize("value", [timedelta(0), timedelta(days=30)])
def test_a_grace_is_a_timedelta(value: timedelta) -> None:
    with override_settings(APPSCHEMA_DROP_GRACE=value):
        assert get_config().drop_grace == value


@pytest.mark.parametrize("value", [7, None, timedelta(seconds=-1)])
def test_any_other_grace_is_refused(value: object) -> None:
    sentence = f"APPSCHEMA_DROP_GRACE is a datetime.timedelta that is not negative, not {value!r}."
    with override_settings(APPSCHEMA_DROP_GRACE=value):
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
            get_config()

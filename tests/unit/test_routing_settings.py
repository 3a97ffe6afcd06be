"""The settings of the ways to recognise a request: wrong ones, and wrong combinations."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from appschema import checks
from appschema.conf import get_config
from appschema.exceptions import InvalidPublicName

OURS = "appschema.middleware."
PATH, HEADER = f"{OURS}PathPrefixMiddleware", f"{OURS}HeaderMiddleware"
FQDN, CHAIN = f"{OURS}FqdnMiddleware", f"{OURS}ChainMiddleware"


def found() -> list[CheckMessage]:
    return [*checks.check_settings(None), *checks.check_routing(None)]


def test_values_are_read_in_their_normal_form() -> None:
    with override_settings(
        APPSCHEMA_BASE_DOMAINS=["Example.com.", "bücher.example"],
        APPSCHEMA_PUBLIC_NAMES=["www"],
        APPSCHEMA_HEADER_FROM=["10.0.0.7", "fd00::/8"],
        APPSCHEMA_EXEMPT_PATHS=["/healthz"],
    ):
        config = get_config()
    assert config.base_domains == ("example.com", "xn--bcher-kva.example")
    assert config.public_names == {"www", *config.base_domains}
    assert config.header_from == (ip_network("10.0.0.7"), ip_network("fd00::/8"))
    assert config.exempt_paths == {"/healthz"}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("BASE_DOMAINS", "example.com", "is a list of str, not 'example.com'."),
        ("CHAIN", FQDN, f"is a list of str, not {FQDN!r}."),
        ("EXEMPT_PATHS", ["healthz"], "holds 'healthz'. A path begins with '/': '/healthz'."),
        ("HEADER_FROM", ["10.0.0.1/8"], "holds '10.0.0.1/8', which is no address: "),
        ("HEADER", 7, "is a str or None, not 7."),
        ("HEADER", "X Schema", "is 'X Schema', which is no name of a header."),
        ("HEADER", "", "is '', which is no name of a header."),
        ("PATH_PREFIX", 7, "is a str or None, not 7."),
        ("PATH_PREFIX", "t", "is 't'. It begins and ends with one '/', as '/t/' does."),
        ("PATH_PREFIX", "/t", "is '/t'. It begins and ends with one '/', as '/t/' does."),
        ("PATH_PREFIX", "//", "is '//'. It begins and ends with one '/', as '/t/' does."),
        ("PATH_PREFIX", "", "is ''. It begins and ends with one '/', as '/t/' does."),
        ("REDIRECT_TO_PRIMARY", "yes", "is True or False, not 'yes'."),
    ],
)
def test_a_wrong_value_is_told_in_words(setting: str, value: object, sentence: str) -> None:
    with override_settings(**{f"APPSCHEMA_{setting}": value}):
        with pytest.raises(
            ImproperlyConfigured, match=f"^{re.escape(f'APPSCHEMA_{setting} {sentence}')}"
        ):
            get_config()


def test_a_base_domain_that_no_host_could_have_is_refused() -> None:
    with override_settings(APPSCHEMA_BASE_DOMAINS=[""]):
        with pytest.raises(InvalidPublicName, match="'' is not a valid host name"):
            get_config()


@pytest.mark.parametrize(
    ("name", "setting", "example"),
    [
        ("Subdomain", "BASE_DOMAINS", ["example.com"]),
        ("PathPrefix", "PATH_PREFIX", "/t/"),
        ("Header", "HEADER", "X-Schema"),
        ("Chain", "CHAIN", [FQDN]),
    ],
)
def test_e012_a_way_without_the_setting_that_it_needs(
    name: str, setting: str, example: object
) -> None:
    path = f"{OURS}{name}Middleware"
    with override_settings(MIDDLEWARE=[path], LOGIN_URL="a", LOGIN_REDIRECT_URL="b"):
        assert found() == [
            Error(
                f"{path!r} is in MIDDLEWARE and APPSCHEMA_{setting} is not set, so that it"
                " recognises no request.",
                hint=f"Set APPSCHEMA_{setting}, for example to {example!r}.",
                id="appschema.E012",
            )
        ]
        with override_settings(
            **{f"APPSCHEMA_{setting}": example}, APPSCHEMA_HEADER_FROM=["10.0.0.1"]
        ):
            assert found() == []


def test_e012_a_way_in_a_chain() -> None:
    with override_settings(MIDDLEWARE=[CHAIN], APPSCHEMA_CHAIN=[HEADER]):
        (error,) = found()
    assert error.msg.startswith(f"{HEADER!r} is in APPSCHEMA_CHAIN and APPSCHEMA_HEADER is not")


@pytest.fixture
def path_prefix() -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=[PATH],
        APPSCHEMA_PATH_PREFIX="/t/",
        LOGIN_URL="login",
        LOGIN_REDIRECT_URL="home",
    ):
        yield


@pytest.mark.parametrize(
    "setting", ["SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH", "LANGUAGE_COOKIE_PATH"]
)
def test_e013_a_cookie_with_a_path(path_prefix: None, setting: str) -> None:
    with override_settings(**{setting: "/app/"}):
        assert found() == [
            Error(
                f"{setting} is '/app/', so that {PATH!r} leaves this cookie's path to it and"
                " all schemas have the cookie in common.",
                hint=f"Leave {setting} at '/': each schema's own path takes its place.",
                id="appschema.E013",
            )
        ]


@pytest.mark.parametrize("setting", ["SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME"])
def test_e013_a_name_that_allows_no_path(path_prefix: None, setting: str) -> None:
    with override_settings(**{setting: "__Host-id"}):
        assert found() == [
            Error(
                f"{setting} is '__Host-id'. Browsers take a cookie of such a name with the"
                " path '/' only, so that the schemas of one host overwrite each other's.",
                hint="Use the prefix '__Secure-'.",
                id="appschema.E013",
            )
        ]


@pytest.mark.parametrize("setting", ["LOGIN_URL", "LOGIN_REDIRECT_URL", "LOGOUT_REDIRECT_URL"])
def test_w010_a_path_outside_the_prefix(path_prefix: None, setting: str) -> None:
    with override_settings(**{setting: "/login/"}):
        assert found() == [
            Warning(
                f"{setting} is '/login/', a path that is not below any schema's prefix.",
                hint="Give the name of a URL pattern, or silence this check if the page is"
                " served from public.",
                id="appschema.W010",
            )
        ]


def test_none_of_this_matters_to_another_way(path_prefix: None) -> None:
    with override_settings(
        MIDDLEWARE=[FQDN],
        SESSION_COOKIE_PATH="/app/",
        CSRF_COOKIE_NAME="__Host-csrf",
        LOGIN_URL="/login/",
    ):
        assert found() == []


def test_w009_a_header_that_is_believed_from_anywhere() -> None:
    with override_settings(MIDDLEWARE=[HEADER], APPSCHEMA_HEADER="X-Schema"):
        assert found() == [
            Warning(
                "The header 'X-Schema' is believed from any address: who reaches this server"
                " without the gateway chooses the schema.",
                hint="Set APPSCHEMA_HEADER_FROM to the addresses of the gateway.",
                id="appschema.W009",
            )
        ]


@pytest.mark.parametrize(
    ("chain", "message", "hint"),
    [
        (
            [FQDN, f"{OURS}SubdomainMiddleware"],
            (
                f"{FQDN!r} answers for every request, so that what follows it in APPSCHEMA_CHAIN is"
                " never asked."
            ),
            "Put it last.",
        ),
        (
            ["django.middleware.common.CommonMiddleware"],
            (
                "APPSCHEMA_CHAIN holds 'django.middleware.common.CommonMiddleware', which is no"
                " SchemaMiddleware."
            ),
            "Derive it from 'appschema.middleware.SchemaMiddleware'.",
        ),
        (
            [CHAIN],
            f"APPSCHEMA_CHAIN holds {CHAIN!r}, which is a chain itself.",
            "Name the middlewares of which it is to be made.",
        ),
    ],
)
def test_e014_a_chain_that_cannot_be(chain: list[str], message: str, hint: str) -> None:
    with override_settings(
        MIDDLEWARE=[CHAIN], APPSCHEMA_CHAIN=chain, APPSCHEMA_BASE_DOMAINS=["example.com"]
    ):
        assert found() == [Error(message, hint=hint, id="appschema.E014")]

"""The one spelling of a public name."""

import pytest

from appschema.exceptions import AppSchemaError, InvalidPublicName
from appschema.names import normalise_public_name


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("acme.example.com", "acme.example.com"),
        ("ACME.Example.COM", "acme.example.com"),
        ("acme.example.com.", "acme.example.com"),
        ("acme.example.com:8000", "acme.example.com"),
        ("acme.example.com.:8000", "acme.example.com"),
        ("acme.example.com:", "acme.example.com"),
        (" acme.example.com\n", "acme.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example:443", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("bücher.example。", "xn--bcher-kva.example"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("[2001:DB8::7]:443", "[2001:db8::7]"),
        ("my_host", "my_host"),
        ("localhost", "localhost"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_public_name_has_one_spelling(given: str, normal: str) -> None:
    assert normalise_public_name(given) == normal
    assert normalise_public_name(normal) == normal


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        ":8000",
        "..",
        "acme..example.com",
        ".example.com",
        "-acme.example.com",
        "acme example.com",
        "acme/example.com",
        "acme.example.com/path",
        "http://acme.example.com",
        "acme@example.com",
        "acme.example.com:80:90",
        "acme.example.com:port",
        "acme.example.com:123456",
        "acme\x00.example.com",
        "acme.example.com\nx",
        "acme'; DROP SCHEMA acme; --",
        "::1",
        "[::1",
        "[]",
        "a" * 254,
        "ü" * 64 + ".example",
        "\ud800.example",
    ],
)
def test_what_no_host_could_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidPublicName, match=r"public name .* is not a valid"):
        normalise_public_name(name)


@pytest.mark.parametrize("name", ["straße.example", "STRAẞE.example", "ςας.example", "a\u200db"])
def test_what_browsers_encode_otherwise_than_python_is_refused(name: str) -> None:
    with pytest.raises(InvalidPublicName, match=r"Give its ASCII form, as a browser sends it"):
        normalise_public_name(name)


@pytest.mark.parametrize("name", [None, 7, b"acme.example.com"])
def test_a_public_name_is_a_string(name: object) -> None:
    with pytest.raises(InvalidPublicName, match=r"^A public name is a str, not "):
        normalise_public_name(name)


def test_the_error_can_be_caught_as_ours_and_as_a_value_error() -> None:
    assert issubclass(InvalidPublicName, AppSchemaError)
    assert issubclass(InvalidPublicName, ValueError)

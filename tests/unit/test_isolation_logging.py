"""Each line of a log tells its schema."""

import logging
from collections.abc import Iterator
from contextvars import copy_context
from io import StringIO
from logging.config import dictConfig
from threading import Thread

import pytest

from appschema import schema_context
from appschema.isolation.logging import SchemaFilter

LOGGER = logging.getLogger("tests.isolation")


@pytest.fixture
def log() -> Iterator[StringIO]:
    stream = StringIO()
    handler = {
        "class": "logging.StreamHandler",
        "stream": stream,
        "filters": ["schema"],
        "formatter": "plain",
    }
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"schema": {"()": "appschema.isolation.logging.SchemaFilter"}},
            "formatters": {"plain": {"format": "{schema_name}: {message}", "style": "{"}},
            "handlers": {"stream": handler},
            "loggers": {LOGGER.name: {"handlers": ["stream"], "propagate": False}},
        }
    )
    yield stream
    LOGGER.handlers.clear()
    LOGGER.propagate = True


def test_a_line_tells_the_current_schema(log: StringIO) -> None:
    with schema_context("acme"):
        LOGGER.error("one")
    with schema_context("public"):
        LOGGER.error("two")
    with schema_context(None):
        LOGGER.error("three")
    assert log.getvalue().splitlines() == ["acme: one", "public: two", "-: three"]


def test_a_thread_tells_the_schema_of_its_context(log: StringIO) -> None:
    with schema_context("acme"):
        thread = Thread(target=copy_context().run, args=(LOGGER.error, "one"))
    thread.start()
    thread.join()
    assert log.getvalue() == "acme: one\n"


def test_a_record_that_has_a_schema_keeps_it(log: StringIO) -> None:
    with schema_context("acme"):
        LOGGER.error("one", extra={"schema_name": "zoe"})
    assert log.getvalue() == "zoe: one\n"
    record = LOGGER.makeRecord(LOGGER.name, logging.ERROR, "", 0, "two", (), None)
    with schema_context("acme"):
        assert SchemaFilter().filter(record)
    with schema_context("zoe"):
        assert SchemaFilter().filter(record)
    assert vars(record)["schema_name"] == "acme"

"""A connection that has touched many schemas is renewed between two units of work."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connection, transaction
from django.test import override_settings

from appschema import schema_context
from appschema.conf import get_config
from appschema.fleet.result import Result
from appschema.fleet.run import run_each
from tests.sample.notes.models import Note


def backend(db: Any = connection) -> int:
    with db.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def touch(*names: str) -> None:
    for name in names:
        with schema_context(name):
            Note.objects.count()


@pytest.fixture
def persistent() -> Iterator[None]:
    """A connection that is kept between requests, with room for one schema."""
    found = connection.settings_dict["CONN_MAX_AGE"]
    connection.settings_dict["CONN_MAX_AGE"] = None
    connection.close()
    with override_settings(APPSCHEMA_CONNECTION_SCHEMAS=1):
        yield
    connection.close()
    connection.settings_dict["CONN_MAX_AGE"] = found


@pytest.mark.usefixtures("persistent")
class TestWithABudget:
    def test_a_connection_is_kept_within_it(self) -> None:
        with schema_context("alpha"):
            first = backend()
            close_old_connections()
            assert backend() == first

    def test_a_connection_is_renewed_after_it(self) -> None:
        with schema_context("alpha"):
            first = backend()
        touch("beta")
        close_old_connections()
        assert backend() != first

    def test_a_connection_is_kept_while_a_transaction_is_open(self) -> None:
        with transaction.atomic():
            first = backend()
            touch("alpha", "beta")
            connection.renew_if_spent()  # type: ignore[attr-defined]
            assert backend() == first
        connection.renew_if_spent()  # type: ignore[attr-defined]
        assert backend() != first

    def test_a_fleet_is_worked_through_on_connections_that_are_renewed(self) -> None:
        backends: list[int] = []

        def act(name: str) -> Result:
            touch("alpha", "beta")
            backends.append(backend())
            return Result(name)

        assert [result.error for result in run_each(["alpha", "beta"], act)] == [None, None]
        assert len(set(backends)) == 2

    def test_a_pool_does_not_get_it_back(self, make_alias: Callable[..., Any]) -> None:
        db = make_alias("small_pool", pool={"min_size": 1, "max_size": 1})
        with schema_context("alpha"):
            first = backend(db)
            db.close()
            assert backend(db) == first
        with schema_context("beta"):
            backend(db)
        db.close()
        assert backend(db) != first


def test_connections_that_were_opened_together_are_not_renewed_together(
    make_alias: Callable[..., Any],
) -> None:
    budgets = set()
    for number in range(8):
        db = make_alias(f"opened_{number}")
        db.ensure_connection()
        budgets.add(db.connection.budget)
    assert len(budgets) > 1
    assert all(75 <= budget <= 125 for budget in budgets)


def test_without_a_budget_a_connection_is_kept(persistent: None) -> None:
    with override_settings(APPSCHEMA_CONNECTION_SCHEMAS=None):
        connection.close()
        first = backend()
        touch("alpha", "beta")
        close_old_connections()
        assert backend() == first


@pytest.mark.parametrize("value", [0, -1, True, "100", 1.5])
def test_a_budget_that_is_none_is_refused(value: object) -> None:
    with override_settings(APPSCHEMA_CONNECTION_SCHEMAS=value):
        with pytest.raises(ImproperlyConfigured, match="a number above zero or None, not"):
            get_config()

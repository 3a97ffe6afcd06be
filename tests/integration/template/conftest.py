"""A shop whose new schemas come from a template."""

from collections.abc import Callable
from typing import Any

import pytest

from appschema.models import Spare, Template
from tests.integration.fleet.conftest import (  # noqa: F401 - site is a fixture
    Site,
    create,
    migration,
    site,
)
from tests.integration.lifecycle.conftest import ITEM, KEY, OPEN, PLAN

TEMPLATE = "appschema_template"


@pytest.fixture
def shop(site: Site) -> Site:  # noqa: F811 - the fixture
    return open_shop(site)


def open_shop(site: Site, **settings: Any) -> Site:  # noqa: F811
    site.app("plans", migration(create("Plan")), models=PLAN)
    site.app("shop", migration(create("Item", KEY), depends=OPEN), models=ITEM)
    site.place(shared=["plans"], APPSCHEMA_TEMPLATE=TEMPLATE, **settings)
    site.migrate()
    return site


def template() -> Template:
    return Template.objects.get()


def spares() -> list[str]:
    return list(Spare.objects.values_list("schema_name", flat=True))


def migrations_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that each schema is put in whose tables are made by its migrations."""
    from appschema.provisioning import migrated

    ran: list[str] = []
    found: Callable[..., Any] = migrated.migrate_new

    def note(name: str, *, using: str) -> Any:
        ran.append(name)
        return found(name, using=using)

    for module in ("migrated", "sources"):
        monkeypatch.setattr(f"appschema.provisioning.{module}.migrate_new", note)
    return ran

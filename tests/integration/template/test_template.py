"""New schemas are copies of a template, which ``migrate`` keeps at head."""

from tests.integration.fleet.conftest import Site
from tests.integration.lifecycle.conftest import items
from tests.integration.template.conftest import TEMPLATE, template


def test_migrate_makes_the_template_and_a_new_schema_is_its_copy(shop: Site):
    assert template().schema_name == TEMPLATE
    shop.new("acme")
    assert shop.tables("acme") == shop.tables(TEMPLATE) == {"shop_item"}
    assert shop.records("acme") == shop.records(TEMPLATE)
    assert items("acme") == []

"""Published apps add values to an enum of theirs and use them in a later migration, as procrastinate does."""

import pytest

from appschema.exceptions import MigrationError
from tests.integration.fleet.conftest import Site, migration

CREATE = "migrations.RunSQL(\"CREATE TYPE mood AS ENUM ('good')\", migrations.RunSQL.noop)"
ADD = "migrations.RunSQL(\"ALTER TYPE mood ADD VALUE 'bad'\", migrations.RunSQL.noop)"
USE = "migrations.RunSQL(\"CREATE TABLE moods AS SELECT 'bad'::mood AS mood\", migrations.RunSQL.noop)"


def test_a_new_schema_uses_values_that_its_migrations_have_added_to_an_enum(site: Site):
    site.app(
        "shop",
        migration(CREATE),
        second=migration(ADD, depends=[("shop", "0001_first")]),
        third=migration(USE, depends=[("shop", "second")]),
    )
    site.place()
    site.migrate()
    # PostgreSQL before 17 wants a value that is added to be committed before its use.
    if site.rows("SELECT current_setting('server_version_num')::int < 170000") == [(True,)]:
        with pytest.raises(MigrationError, match="uses a value that an earlier one has added"):
            site.new("acme")
        assert site.rows("SELECT FROM pg_namespace WHERE nspname = 'acme'") == []
        return
    site.new("acme")
    assert site.rows("SELECT mood::text FROM acme.moods") == [("bad",)]


def test_a_schema_that_is_migrated_uses_values_that_were_added_before(site: Site):
    site.app("shop", migration(CREATE))
    site.place()
    site.migrate()
    site.new("acme")
    site.add("shop", "second", migration(ADD, depends=[("shop", "0001_first")]))
    site.add("shop", "third", migration(USE, depends=[("shop", "second")]))
    site.migrate()
    assert site.rows("SELECT mood::text FROM acme.moods") == [("bad",)]

"""The test database, serialized and restored with all its schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.db.backends.postgresql.creation import DatabaseCreation

from appschema.conf import get_config
from appschema.context import schema_context
from appschema.names import MARKER_TABLE, PUBLIC, is_own_name
from appschema.placement import get_placement
from appschema.roles.database import DatabaseRoles, drop_roles_of_gone_database

if TYPE_CHECKING:
    _Base = DatabaseCreation
else:
    _Base = object


class DatabaseCreationMixin(_Base):
    """Serialized rollback of TransactionTestCase, schema by schema."""

    def serialize_db_to_string(self) -> str:
        if not _has_schemas():
            return super().serialize_db_to_string()
        contents = {}
        for name in self._schema_names():
            with schema_context(name):
                contents[name] = super().serialize_db_to_string()
        return json.dumps(contents)

    def deserialize_db_from_string(self, data: str) -> None:
        contents = json.loads(data)
        # Django's own form is a list, of one schema's rows.
        if not isinstance(contents, dict):
            super().deserialize_db_from_string(data)
            return
        present = self._schema_names()
        for name, content in contents.items():
            if name in present:
                with schema_context(name):
                    super().deserialize_db_from_string(content)

    def serialize_also(self, schema_name: str) -> None:
        """Let serialized_rollback restore a schema that is made after the test database."""
        contents = getattr(self.connection, "_test_serialized_contents", None)
        if contents is not None:
            with schema_context(schema_name):
                own = super().serialize_db_to_string()
            contents = json.dumps({**json.loads(contents), schema_name: own})
            self.connection._test_serialized_contents = contents  # type: ignore[attr-defined]

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> None:
        super()._clone_test_db(suffix, verbosity, keepdb)  # type: ignore[misc]
        if not get_config().roles:
            return
        # The clone's name is another, and with it the names of its roles.
        clone = self.connection.copy()
        clone.settings_dict = self.get_test_db_clone_settings(suffix)
        try:
            roles = DatabaseRoles(clone)
            roles.make_those_of_database()
            for name in self._schema_names():
                if name != PUBLIC:
                    roles.make_that_of(name)
        finally:
            clone.close()

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        super()._destroy_test_db(test_database_name, verbosity)  # type: ignore[misc]
        if get_config().roles:
            with self._nodb_cursor() as cursor:  # type: ignore[attr-defined]
                drop_roles_of_gone_database(cursor, test_database_name)

    def _schema_names(self) -> list[str]:
        """Return public and the schemas that were provisioned, by the table that marks them."""
        with schema_context(PUBLIC), self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT nspname FROM pg_namespace AS n WHERE nspname <> %s AND EXISTS ("
                " SELECT FROM pg_class WHERE relname = %s AND relnamespace = n.oid)"
                " ORDER BY nspname",
                [PUBLIC, MARKER_TABLE],
            )
            found = [name for (name,) in cursor.fetchall()]
        # The template and spares are no customers: flush keeps what is in them.
        return [PUBLIC, *(name for name in found if not is_own_name(name))]


def _has_schemas() -> bool:
    placement = get_placement()
    return bool(placement.isolated or placement.both)

"""``ENGINE = "appschema.backends.postgresql"``."""

from __future__ import annotations

from django.db.backends.postgresql import base, client, creation, introspection, operations, schema

from appschema.backends.client import DatabaseClientMixin
from appschema.backends.creation import DatabaseCreationMixin
from appschema.backends.introspection import DatabaseIntrospectionMixin
from appschema.backends.operations import DatabaseOperationsMixin
from appschema.backends.schema import DatabaseSchemaEditorMixin
from appschema.backends.wrapper import DatabaseWrapperMixin


class DatabaseClient(DatabaseClientMixin, client.DatabaseClient):
    pass


class DatabaseCreation(DatabaseCreationMixin, creation.DatabaseCreation):
    pass


class DatabaseIntrospection(DatabaseIntrospectionMixin, introspection.DatabaseIntrospection):
    pass


class DatabaseOperations(DatabaseOperationsMixin, operations.DatabaseOperations):
    pass


class DatabaseSchemaEditor(DatabaseSchemaEditorMixin, schema.DatabaseSchemaEditor):
    pass


class DatabaseWrapper(DatabaseWrapperMixin, base.DatabaseWrapper):
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

"""``ENGINE = "appschema.backends.postgis"``."""

from __future__ import annotations

from django.contrib.gis.db.backends.postgis import base, introspection, operations, schema
from django.db.backends.postgresql import client, creation

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


class DatabaseIntrospection(DatabaseIntrospectionMixin, introspection.PostGISIntrospection):
    pass


class DatabaseOperations(DatabaseOperationsMixin, operations.PostGISOperations):
    pass


class DatabaseSchemaEditor(DatabaseSchemaEditorMixin, schema.PostGISSchemaEditor):
    pass


class DatabaseWrapper(DatabaseWrapperMixin, base.DatabaseWrapper):
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

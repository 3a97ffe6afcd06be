"""The errors that appschema raises.

    AppSchemaError
    ├── InvalidSchemaName        a name that PostgreSQL could misread (also a ValueError)
    ├── InvalidPublicName        a public name that no host could have (also a ValueError)
    ├── NoActiveSchema           a query on an isolated model while no schema is active
    ├── WrongSchema              an instance or a queryset of one schema is used under another
    ├── NoSchemaError            a public name that leads to no schema (also Django's Http404)
    │   └── SchemaUnavailable    it leads to an inactive schema that has a notice for visitors
    ├── SchemaMissing            PostgreSQL has no such schema (also Django's ProgrammingError)
    │   └── RoleMissing          PostgreSQL has no role for it that the login may take
    ├── RoleError                roles that cannot be made, or that are not ours
    ├── SchemaExists             a schema, row or public name that is to be created is there already
    │   └── NameRetired          another schema has borne the name
    ├── UnknownSchema            the registry has no such row (also a LookupError)
    ├── UnknownPublicName        no schema has this public name (also a LookupError)
    ├── WrongState               the schema's state forbids it (it is dropped, say); nothing was changed
    ├── SchemaBusy               others hold locks on it; nothing of this step was changed
    ├── TemplateLags             the template is not what the database's records say it should be
    ├── UnsupportedObject        a schema holds what cannot be written as SQL for another name
    ├── UnsafeStatement          SQL that cannot carry its schema (also Django's NotSupportedError)
    ├── MigrationError           a fleet's migration that must not begin, or that failed
    │   ├── SchemaDrifts         a schema differs from what the same migrations made of others
    │   └── RecordsDiffer        its records are not those by which its migration was planned
    └── StillReferenced          schemas refer to rows to be deleted (also Django's IntegrityError)

Those that a person meets at the command line are also Django's CommandError, so that
every command, ours or not, prints their sentence and no traceback.
"""

from __future__ import annotations

from typing import Any, Self

from django.core.management.base import CommandError
from django.db.utils import IntegrityError, NotSupportedError, ProgrammingError
from django.http import Http404


class AppSchemaError(Exception):
    """The root of all errors of appschema."""

    returncode = 1
    """What CommandError sets in its __init__, which another base may stand in front of."""


class _Named(AppSchemaError):
    """An error about one name, which is all that its message is made from."""

    def __init__(self, name: str, message: str) -> None:
        self._name = name
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._name,)


class InvalidSchemaName(AppSchemaError, ValueError, CommandError):
    """A schema name that is refused before anything is sent."""


class InvalidPublicName(AppSchemaError, ValueError, CommandError):
    """A public name that is refused before anything is looked up or written."""


class NoActiveSchema(AppSchemaError, CommandError):
    """A query touches a model whose tables live in schemas, and none is active."""


class WrongSchema(AppSchemaError, CommandError):
    """An instance or a queryset of one schema is used under another; nothing was sent."""


class NoSchemaError(_Named, Http404):
    """A public name is unknown, its schema is inactive, or it has none.

    ``public_name`` holds the name as it was looked up. Django answers 404.
    """

    def __init__(self, public_name: str) -> None:
        self.public_name = public_name
        super().__init__(
            public_name,
            f"No active schema has the public name {public_name!r}. Create one with"
            f" 'manage.py createschema NAME {public_name}', or add the name to"
            " APPSCHEMA_PUBLIC_NAMES if it is to be served from public.",
        )


class SchemaUnavailable(NoSchemaError):
    """The schema of a public name is inactive, and its visitors are to be told why.

    ``notice`` holds what they are told. Middlewares answer 503; where nothing does, it is 404.
    """

    def __init__(self, public_name: str, notice: str = "") -> None:
        self.notice = notice
        super().__init__(public_name)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.public_name, self.notice)


class SchemaMissing(_Named, ProgrammingError, CommandError):
    """PostgreSQL has no schema of the active name, or it was made by something else.

    Raised instead of reading ``public``. ``schema_name`` holds the name.
    """

    def __init__(self, schema_name: str) -> None:
        self.schema_name = schema_name
        super().__init__(
            schema_name,
            f"Schema {schema_name!r} does not exist in the database, or has no table"
            " django_migrations, so nothing was read or written. Run 'manage.py"
            f" createschema {schema_name} PUBLIC_NAME', or 'manage.py listschemas' to"
            " see which schemas there are.",
        )


class RoleMissing(SchemaMissing):
    """With ``APPSCHEMA_ROLES``: PostgreSQL has no role for the schema that the login may take.

    Nothing was read or written. ``schema_name`` holds the name; ``"public"`` stands for the
    roles of ``public`` and of no schema.
    """

    def __init__(self, schema_name: str) -> None:
        self.schema_name = schema_name
        _Named.__init__(
            self,
            schema_name,
            f"PostgreSQL has no role for schema {schema_name!r} that this login may take, so nothing"
            " was read or written. If 'manage.py listschemas' shows the schema, run 'manage.py"
            " schemaroles --enable', which makes what is missing.",
        )


class RoleError(AppSchemaError, CommandError):
    """Roles that cannot be made or dropped; nothing was changed."""


class SchemaExists(AppSchemaError, CommandError):
    """What is to be created is there already; nothing was changed."""


class NameRetired(SchemaExists):
    """Another schema has borne the name, by which files, caches and cookies are still keyed."""


class UnknownSchema(_Named, LookupError, CommandError):
    """The registry has no row of this name."""

    def __init__(self, schema_name: str) -> None:
        self.schema_name = schema_name
        super().__init__(
            schema_name,
            f"There is no schema {schema_name!r}."
            " Run 'manage.py listschemas' to see which there are.",
        )


class UnknownPublicName(_Named, LookupError, CommandError):
    """No schema, active or not, has this public name; ``public_name`` holds it."""

    def __init__(self, public_name: str) -> None:
        self.public_name = public_name
        super().__init__(
            public_name,
            f"No schema has the public name {public_name!r}."
            " Run 'manage.py listschemas --json' to see which there are.",
        )


class WrongState(AppSchemaError, CommandError):
    """A schema is not in the state that this needs, such as dropped; nothing was changed."""


class SchemaBusy(AppSchemaError, CommandError):
    """Others hold locks that are needed, and have not let them go; run the same again later."""


class TemplateLags(AppSchemaError, CommandError):
    """The template is behind the database's own records of migrations; nothing was created."""


class UnsupportedObject(AppSchemaError, CommandError):
    """A schema holds objects that cannot be written as SQL for another name; nothing was changed.

    ``objects`` names them, as PostgreSQL describes them.
    """

    def __init__(self, message: str, objects: tuple[str, ...] = ()) -> None:
        self.objects = objects
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.objects)


class UnsafeStatement(AppSchemaError, NotSupportedError):
    """SQL that cannot be sent so that all of it runs in the active schema."""


class StillReferenced(AppSchemaError, IntegrityError, CommandError):
    """Rows of a shared table were to be deleted to which other schemas refer; nothing was.

    ``schemas`` holds the names of all those schemas, of which the message tells the first.
    """

    def __init__(self, message: str, schemas: tuple[str, ...] = ()) -> None:
        self.schemas = schemas
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.schemas)


class MigrationError(AppSchemaError, CommandError):
    """A migration of the fleet that must not begin, or that failed in some schemas."""

    def with_returncode(self, returncode: int) -> Self:
        """Return this error, for a command that is to end with another code than 1."""
        self.returncode = returncode
        return self


class SchemaDrifts(MigrationError):
    """After the same migrations a schema is not what others are; it was rolled back.

    ``differences`` tells object by object how it differs, in words.
    """

    def __init__(self, schema_name: str, differences: list[str]) -> None:
        self.schema_name = schema_name
        self.differences = differences
        told = "; ".join(differences[:5]) + ("; ..." if len(differences) > 5 else "")
        super().__init__(
            f"Schema {schema_name!r} differs from the others after these migrations, and was rolled"
            f" back: {told or 'in the order of its objects'}. Mend it ('manage.py diffschemas"
            f" --schema {schema_name}' tells all), or run 'manage.py migrate --schema {schema_name}"
            " --accept-drift'."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.schema_name, self.differences)


class RecordsDiffer(MigrationError):
    """A schema's records of migrations are not those by which its migration was planned.

    Nothing was changed in it. ``migrate`` plans it anew by itself; only inside a transaction of the
    caller's, where others' changes do not show, is it raised.
    """

    def __init__(self, schema_name: str) -> None:
        self.schema_name = schema_name
        super().__init__(
            f"The records of migrations in schema {schema_name!r} are not those that the ledger told of,"
            " and nothing was changed in it. Run 'manage.py migrate --verify'."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.schema_name,)

"""The registry: which schemas there are, and by which public names they are reached.

Saving or deleting a row runs no DDL; ``appschema.provisioning`` does, row and schema in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import LessThanOrEqual

from .conf import get_config
from .exceptions import InvalidPublicName, InvalidSchemaName
from .names import MAX_NAME_BYTES, normalise_public_name, validate_schema_name
from .signals import registry_changed


def check_schema_name(value: str) -> None:
    """Validate a schema name in a form."""
    try:
        validate_schema_name(value)
    except InvalidSchemaName as error:
        raise ValidationError(str(error), code="invalid_schema_name") from error


if TYPE_CHECKING:
    _CharField = models.CharField[Any, Any]
else:
    _CharField = models.CharField


class SchemaNameField(_CharField):
    """The name of a schema; what PostgreSQL could misread is not saved."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return validate_schema_name(super().pre_save(model_instance, add))


class PublicNameField(_CharField):
    """A host name, stored and looked up in its one normal spelling."""

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        if value in self.empty_values:
            return value
        try:
            return normalise_public_name(value)
        except InvalidPublicName as error:
            raise ValidationError(str(error), code="invalid_public_name") from error

    def get_prep_value(self, value: Any) -> Any:
        value = super(models.CharField, self).get_prep_value(value)
        return value if value is None else normalise_public_name(str(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.get_prep_value(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


_Row = TypeVar("_Row", bound=models.Model)
_INTEGER: models.IntegerField[int, int] = models.IntegerField()


class RegistryQuerySet(models.QuerySet[_Row]):
    """Tells of the writes for which Django sends no signal per row."""

    def update(self, **kwargs: Any) -> int:
        count = super().update(**kwargs)
        registry_changed.send(sender=self.model, using=self.db)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[_Row]:
        created = super().bulk_create(*args, **kwargs)
        registry_changed.send(sender=self.model, using=self.db)
        return created


class SchemaQuerySet(RegistryQuerySet["Schema"]):
    """What ``Schema.objects`` offers beside Django's own methods."""

    def active(self) -> SchemaQuerySet:
        """Return the schemas whose public names are served."""
        return self.filter(is_active=True)


class Schema(models.Model):
    """One PostgreSQL schema, which holds one customer's tables.

    A project that needs more columns gives a model of its own a OneToOneField to this one.
    """

    name = SchemaNameField(max_length=MAX_NAME_BYTES, unique=True, validators=[check_schema_name])
    is_active = models.BooleanField(
        default=True, help_text="Public names of an inactive schema are answered as unknown ones."
    )
    created = models.DateTimeField(auto_now_add=True)
    # Defaults of the database too: while a deploy is under way, older code writes rows as well.
    notice = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="Visitors of an inactive schema get this text with status 503.",
    )
    dropped = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when it waits to be purged; until then it can be had back.",
    )
    was_active = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Whether it was active when it was dropped.",
    )
    purging = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Tables of it are being dropped, or some have been: it cannot be had back.",
    )

    objects = SchemaQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="appschema_schema_name",
                condition=Q(
                    ~Q(name=""),
                    ~Q(name__istartswith="pg_"),
                    ~Q(name__in=["public", "information_schema"]),
                    LessThanOrEqual(
                        Func(F("name"), function="octet_length", output_field=_INTEGER),
                        MAX_NAME_BYTES,
                    ),
                ),
            ),
            models.CheckConstraint(
                name="appschema_schema_dropped_is_inactive",
                condition=Q(dropped__isnull=True) | Q(is_active=False),
                violation_error_message="This schema is dropped. Have it back first.",
            ),
            models.CheckConstraint(
                name="appschema_schema_purging_is_dropped",
                condition=Q(purging=False) | Q(dropped__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def public_name(self) -> str | None:
        """The primary public name; reads ``public_names``, which a queryset may prefetch."""
        return next((each.public_name for each in self.public_names.all() if each.is_primary), None)


def refuse_name_of_public(public_name: str) -> None:
    """Raise ``InvalidPublicName`` for a name that is served from public: it would lead to no schema."""
    if public_name in get_config().public_names:
        raise InvalidPublicName(
            f"The public name {public_name!r} is served from public: APPSCHEMA_PUBLIC_NAMES or"
            " APPSCHEMA_BASE_DOMAINS holds it. Choose another, or take it out of the setting."
        )


class PublicName(models.Model):
    """A name by which requests for a schema are recognised: a host name by default."""

    public_name = PublicNameField(max_length=253, unique=True)
    schema = models.ForeignKey(Schema, on_delete=models.CASCADE, related_name="public_names")
    is_primary = models.BooleanField(default=False)

    objects = RegistryQuerySet.as_manager()

    class Meta:
        ordering = ["public_name"]
        constraints = [
            models.UniqueConstraint(
                name="appschema_publicname_one_primary",
                fields=["schema"],
                condition=Q(is_primary=True),
                violation_error_message="This schema has a primary public name already.",
            ),
        ]

    def __str__(self) -> str:
        return str(self.public_name)

    def clean(self) -> None:
        """Refuse what would lead to no schema."""
        try:
            refuse_name_of_public(self.public_name)
        except InvalidPublicName as error:
            raise ValidationError({"public_name": str(error)}) from error


class RetiredName(models.Model):
    """The name of a schema that was purged or renamed: no other schema is given it by mistake.

    Files, entries in caches and signed cookies are keyed by the name, and outlive the schema.
    """

    name = SchemaNameField(max_length=MAX_NAME_BYTES, unique=True, validators=[check_schema_name])
    retired = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return str(self.name)


class Template(models.Model):
    """The schema that new ones are copied from, as the SQL that makes one like it.

    One row for a database. Neither this schema nor a spare has a row of ``Schema``: nobody is
    served from it.
    """

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    schema_name = SchemaNameField(max_length=MAX_NAME_BYTES, validators=[check_schema_name])
    script = models.TextField(
        help_text="What makes a schema, as appschema.catalog.Script keeps it."
    )
    functions = models.TextField(
        null=True, help_text="What a copy needs when it is renamed; null if it cannot be renamed."
    )
    records = models.CharField(max_length=64, help_text="Digest of its own records of migrations.")
    public_records = models.CharField(max_length=64, help_text="Digest of those of public.")
    fixtures = models.CharField(max_length=64, help_text="Digest of the fixtures in it.")
    compiled = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="appschema_template_one", condition=Q(id=1)),
        ]

    def __str__(self) -> str:
        return str(self.schema_name)


class Spare(models.Model):
    """A schema that is ready to be given to a new customer, by renaming it."""

    schema_name = SchemaNameField(
        max_length=MAX_NAME_BYTES, unique=True, validators=[check_schema_name]
    )
    records = models.CharField(max_length=64, help_text="Digest of its records of migrations.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.schema_name)


class AppliedSet(models.Model):
    """Migrations that are applied together in at least one schema; a fleet has few such sets."""

    digest = models.CharField(max_length=64, primary_key=True)
    migrations = models.JSONField(help_text="``app.name`` of each, in the order of the alphabet.")

    def __str__(self) -> str:
        return str(self.digest)


class LedgerEntry(models.Model):
    """What is applied in one schema, so that ``public`` knows it of all without asking each.

    Written in the transaction that writes the schema's own records. A row counts only for the schema
    that has both its name and its oid: of one that was dropped, restored or renamed by hand it
    tells nothing.
    """

    schema_name = SchemaNameField(
        max_length=MAX_NAME_BYTES, primary_key=True, validators=[check_schema_name]
    )
    schema_oid = models.BigIntegerField(help_text="The namespace's oid.")
    # All schemas that are migrated change to one and the same set: workers would wait for each other to
    # lock its row. An entry whose set is not there tells nothing either.
    applied = models.ForeignKey(
        AppliedSet,
        on_delete=models.PROTECT,
        related_name="entries",
        db_constraint=False,
        db_index=False,
    )
    rows = models.CharField(
        max_length=64,
        default="",
        db_default="",
        help_text="Digest of the content types, permissions and sites that were made in it last.",
    )
    drift = models.CharField(
        max_length=64,
        default="",
        db_default="",
        help_text="Fingerprint of what differs in it from other schemas, and was accepted.",
    )
    under_way = models.JSONField(
        null=True, help_text="The migration that runs outside a transaction, and how far it got."
    )

    def __str__(self) -> str:
        return str(self.schema_name)


class FleetRun(models.Model):
    """One run of ``migrate`` over the fleet."""

    who = models.TextField(help_text="The user and the host.")
    what = models.TextField(help_text="The command as it was typed.")
    began = models.DateTimeField()
    ended = models.DateTimeField(null=True, help_text="Null while it runs, and if it was killed.")
    counts = models.JSONField(default=dict, help_text="How many schemas have each outcome.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.what} ({self.began:%Y-%m-%d %H:%M})"


class FleetResult(models.Model):
    """What became of one schema in a run; those with nothing to do are only counted."""

    run = models.ForeignKey(FleetRun, on_delete=models.CASCADE, related_name="results")
    schema_name = models.CharField(max_length=MAX_NAME_BYTES)
    status = models.CharField(max_length=20)
    applied = models.JSONField(default=list, help_text="``app.name`` of each migration.")
    seconds = models.FloatField()
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.schema_name}: {self.status}"

"""Insert a row through the ORM in every model, whatever its fields ask for."""

import datetime as dt
import uuid
from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import Error, models, transaction

from appschema import schema_context

NUMBERS = count(1000)
_NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
_VALUES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("BooleanField", "NullBooleanField"), lambda n: False),
    (("DateTimeField",), lambda n: _NOW + dt.timedelta(minutes=n)),
    (("DateField",), lambda n: _NOW.date() + dt.timedelta(days=n)),
    (("TimeField",), lambda n: _NOW.time()),
    (("DurationField",), lambda n: dt.timedelta(seconds=n)),
    (("DecimalField",), lambda n: Decimal(1)),
    (("FloatField",), lambda n: 1.0),
    (("UUIDField",), lambda n: uuid.uuid4()),
    (("JSONField", "HStoreField"), lambda n: {}),
    (("ArrayField",), lambda n: []),
    (("BinaryField",), lambda n: b"x"),
    (("GenericIPAddressField", "IPAddressField"), lambda n: "127.0.0.1"),
    (("IntegerRangeField", "BigIntegerRangeField"), lambda n: (n, n + 1)),
    (("DateTimeRangeField",), lambda n: (_NOW, _NOW + dt.timedelta(minutes=n))),
    (("SmallIntegerField", "PositiveSmallIntegerField"), lambda n: n % 30_000),
    (("IntegerField", "BigIntegerField", "AutoField"), lambda n: n),
)


def insert_everywhere(schema_name: str, model_classes: Iterable[type[models.Model]]) -> list[str]:
    """Return a sentence for each model in which no row could be inserted."""
    faults = []
    with schema_context(schema_name):
        maker = _Maker()
        for model in model_classes:
            try:
                with transaction.atomic():
                    maker.insert(model)
                    transaction.get_connection().check_constraints()
            except Error as error:
                faults.append(f"No row could be inserted in {model._meta.label}: {error}")
    return faults


class _Maker:
    """Inserts rows, and those that they refer to."""

    def insert(self, model: type[models.Model], **given: Any) -> Any:
        meta = model._meta
        values: dict[str, Any] = {}
        for parent, link in meta.parents.items():
            if link is not None:
                values[link.attname] = self.insert(parent).pk
        for field in meta.local_concrete_fields:
            if field.attname not in values and not field.generated and field.name not in given:
                values |= self._value(field)
        instance = model(**values, **given)
        # As a fixture is loaded: what is tried is the table, not what the application does when it saves.
        instance.save_base(raw=True, force_insert=True)
        return instance

    def _value(self, field: Any) -> dict[str, Any]:
        number = next(NUMBERS)
        if field.null or isinstance(field, models.AutoField):
            return {}
        if field.is_relation:
            return {field.attname: self._target(field)}
        if not field.unique and (field.has_default() or field.has_db_default()):
            return {}
        for kinds, make in _VALUES:
            if any(kind in kinds for kind in _kinds(field)):
                return {field.attname: make(number)}
        return {field.attname: _text(field, number)}

    def _target(self, field: Any) -> Any:
        target = field.related_model
        if target is ContentType:
            return ContentType.objects.get_for_model(field.model).pk
        attribute = field.target_field.attname
        return getattr(self.insert(target), attribute)


def _kinds(field: Any) -> list[str]:
    return [kind.__name__ for kind in type(field).__mro__]


def _text(field: Any, number: int) -> str:
    if field.choices and not field.unique:
        values = [value for value, _ in field.flatchoices]
        return str(values[0])
    text = f"x{number}"
    return text if field.max_length is None else text[-field.max_length :]

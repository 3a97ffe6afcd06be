"""Instances and querysets that do not cross from one schema into another.

An instance remembers the schema under which it was read or saved, in the alias of its database
(``instance._state.db``): an alias is what Django hands to each instance anyway, so reading costs
nothing more. A query remembers the schema under which it was built, or that none was active,
and keeps it through every clone; the compilers look at it when it is run.

Django has no setting, signal or hook at the places below. ``pre_delete`` would be one, at the
price of its fast delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, wraps
from typing import Any

from django.db import router
from django.db.models import Model, QuerySet, query
from django.db.models.query import RawQuerySet
from django.db.models.query_utils import DeferredAttribute
from django.db.models.sql.query import Query, RawQuery

from appschema.conf import get_config
from appschema.context import current_schema, get_current
from appschema.exceptions import WrongSchema
from appschema.placement import get_tables

from .extending import extend


class BoundAlias(str):
    """The alias of a database, and the schema in which it was used."""

    __slots__ = ("schema_name",)
    schema_name: str

    def __reduce__(self) -> tuple[Any, ...]:
        return bind_alias, (str(self), self.schema_name)


@cache
def bind_alias(alias: str, schema_name: str) -> BoundAlias:
    """Return *alias* with the schema."""
    bound = BoundAlias(alias)
    bound.schema_name = schema_name
    return bound


def bind_here(alias: str) -> str:
    """Return *alias* with the current schema, or alone when it is unset."""
    schema_name = get_current()
    return str(alias) if schema_name is None else bind_alias(alias, schema_name)


def schema_of(instance: Model) -> str | None:
    """Return the schema in which *instance* was read or saved; None for none, or in none."""
    return getattr(instance._state.db, "schema_name", None)


def find_placed(tables: Iterable[str]) -> type[Model] | None:
    """Return the model of the first of *tables* that is an isolated or both app's."""
    placed = get_tables().in_schemas
    return next((placed[table] for table in tables if table in placed), None)


def refuse_crossing(instance: Model) -> None:
    """Raise ``WrongSchema`` for an isolated instance that another schema than the current has.

    One that is still to be added belongs to none; ``_state.adding = True`` says so of a copy.
    """
    schema_name = schema_of(instance)
    if schema_name is None or instance._state.adding:
        return
    active = current_schema()
    # With no schema active the query itself is refused, in words that fit better.
    if active is None or active == schema_name or not get_config().refuse_crossing:
        return
    if instance._meta.db_table in get_tables().in_schemas:
        raise WrongSchema(
            f"This {instance._meta.label!r} with the primary key {instance.pk!r} belongs to the schema"
            f" {schema_name!r}, and the current schema is {active!r}. Use it inside 'with"
            f" appschema.schema_context({schema_name!r})'. For a copy in {active!r} set 'pk' to None"
            " and '_state.adding' to True before you save it."
        )


def refuse_each(values: Iterable[object]) -> None:
    """Do as ``refuse_crossing`` for the instances among *values*."""
    for each in values:
        if isinstance(each, Model):
            refuse_crossing(each)


def refuse_relation(one: Model, other: Model) -> None:
    """Raise ``WrongSchema`` if the instances belong to different schemas."""
    if len({schema_of(one), schema_of(other)} - {None}) == 2:
        refuse_crossing(one)
        refuse_crossing(other)


def refuse_query_crossing(built: Any, tables: Iterable[str]) -> None:
    """Raise ``WrongSchema`` for a query on isolated tables built under another schema."""
    if model := find_placed(tables):
        raise WrongSchema(
            f"This query on {model._meta.label!r} was built in the schema {built.schema_name!r}"
            f" and is run in {current_schema()!r}. Build it where it is run or, if all schemas share it"
            " (a class attribute, say), inside 'with appschema.schema_context(None)'."
        )


def crosses(built: Any) -> bool:
    """Tell whether the query *built* was built under another schema than the current one."""
    built_in = getattr(built, "schema_name", None)
    return built_in is not None and built_in != current_schema() and get_config().refuse_crossing


def guard_crossing() -> None:
    """Let instances and queries remember their schema, and refuse them in another."""
    for kind in (Query, RawQuery):
        kind.schema_name = None  # type: ignore[union-attr]
    extend(Query, "__init__", _remembering)
    extend(RawQuery, "__init__", _remembering_raw)
    extend(RawQuery, "clone", _carrying)
    extend(Query, "check_query_object_type", _checking_value)
    extend(Query, "combine", _checking_other)
    for owner in (QuerySet, RawQuerySet):
        found: Any = vars(owner)["db"]
        setattr(owner, "db", property(_binding(found.fget), doc=found.__doc__))  # noqa: B010 - mypy takes it for a method
    extend(Model, "save_base", _binding_saved)
    # Save, bulk_create and bulk_update call it for each instance, before anything is sent.
    extend(Model, "_prepare_related_fields_for_save", _checking_all)
    # prepare_database_save() is asked for the key of an instance that is a value of update().
    for name in ("delete", "refresh_from_db", "prepare_database_save"):
        extend(Model, name, _checking)
    extend(QuerySet, "contains", _checking_sought)
    extend(query, "prefetch_one_level", _copying_lookup)
    if hasattr(DeferredAttribute, "fetch_many"):  # Django 6.1
        extend(DeferredAttribute, "fetch_many", _checking_peers)


def _remembering(original: Any) -> Any:
    # With Django's own arguments, and the name first: this is done with every query. Added to a full
    # instance, it would cost it the keys that it shares with all others.
    def initialise(self: Any, model: Any, alias_cols: bool = True) -> None:
        self.schema_name = get_current()
        original(self, model, alias_cols)

    return initialise


def _remembering_raw(original: Any) -> Any:
    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        self.schema_name = get_current()
        original(self, *args, **kwargs)

    return initialise


def _carrying(original: Any) -> Any:
    def clone(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        found.schema_name = self.schema_name
        return found

    return clone


def _binding(original: Any) -> Any:
    @wraps(original)
    def db(self: Any) -> str:
        return bind_here(original(self))

    return db


def _binding_saved(original: Any) -> Any:
    def save_base(
        self: Model,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Any = None,
    ) -> Any:
        # Bound ahead, for post_save's receivers are handed the instance before this returns.
        using = bind_here(using or router.db_for_write(type(self), instance=self))
        return original(self, raw, force_insert, force_update, using, update_fields)

    return save_base


def _checking(original: Any) -> Any:
    def method(self: Model, *args: Any, **kwargs: Any) -> Any:
        refuse_crossing(self)
        return original(self, *args, **kwargs)

    return method


def _checking_peers(original: Any) -> Any:
    # By FETCH_PEERS it asks for the values of all, and not by refresh_from_db().
    def fetch_many(self: Any, instances: Any) -> Any:
        refuse_each(instances)
        return original(self, instances)

    return fetch_many


def _checking_sought(original: Any) -> Any:
    def contains(self: Any, obj: Any) -> Any:
        if isinstance(obj, Model):
            refuse_crossing(obj)
        return original(self, obj)

    return contains


def _checking_all(original: Any) -> Any:
    def method(self: Model, *args: Any, **kwargs: Any) -> Any:
        refuse_crossing(self)
        refuse_each(self._state.fields_cache.values())
        return original(self, *args, **kwargs)

    return method


def _checking_value(original: Any) -> Any:
    def check_query_object_type(self: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Model):
            refuse_crossing(value)
        return original(self, value, *args, **kwargs)

    return check_query_object_type


def _checking_other(original: Any) -> Any:
    # Of two that are joined by | or &, one may be of a schema and the other of all.
    def combine(self: Any, rhs: Any, connector: Any) -> Any:
        names = {self.schema_name, rhs.schema_name} - {None}
        if (
            len(names) == 2
            and get_config().refuse_crossing
            and find_placed([self.model._meta.db_table])
        ):
            raise WrongSchema(
                f"These queries on {self.model._meta.label!r} were built in the schemas"
                f" {self.schema_name!r} and {rhs.schema_name!r}, and cannot be combined. Build"
                " both where they are run."
            )
        self.schema_name = self.schema_name or rhs.schema_name
        return original(self, rhs, connector)

    return combine


def _copying_lookup(original: Any) -> Any:
    # Django notes an instance in the queryset of a Prefetch, which a class attribute may hold for
    # all requests: there the instance of another thread's schema would be found.
    def prefetch_one_level(instances: Any, prefetcher: Any, lookup: Any, level: int) -> Any:
        refuse_each(instances)
        if lookup.queryset is not None:
            queryset = lookup.queryset._chain()
            queryset._hints = dict(queryset._hints)
            # Not by copy.copy(), with which the queryset would come out as one that found nothing.
            of_one_call = object.__new__(type(lookup))
            vars(of_one_call).update(vars(lookup), queryset=queryset)
            lookup = of_one_call
        return original(instances, prefetcher, lookup, level)

    return prefetch_one_level

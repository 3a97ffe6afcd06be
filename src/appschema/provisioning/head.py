"""``migrate`` brings to head what new schemas come from, before it lists the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from appschema.conf import get_config
from appschema.context import as_owner, schema_context
from appschema.exceptions import SchemaExists
from appschema.fleet.origins import drop_spares, drop_template, has_tables, read_digests
from appschema.fleet.plan import Request
from appschema.fleet.result import Result
from appschema.fleet.run import Migrate, run_each
from appschema.fleet.syncdb import create_unmigrated
from appschema.models import Spare, Template
from appschema.names import PUBLIC, marker_table, quote_identifier
from appschema.placement import get_placement

from .fixtures import digest_fixtures
from .locks import no_new_schemas
from .migrated import make_by_migrations
from .template import keep_script


class Head:
    """What ``migrate`` brings to head before it lists the fleet: the template and the spares.

    ``migrate`` runs it in the order that its plan for public needs, and reports the results.
    """

    def __init__(
        self, connection: BaseDatabaseWrapper, request: Request, tell: Callable[[str], None]
    ) -> None:
        self._connection = connection
        self._using = connection.alias
        self._request = request
        self._tell = tell
        self._has_failed = False
        self._is_changed = False

    def alone(self) -> AbstractContextManager[None]:
        """Let nobody make a schema meanwhile."""
        return no_new_schemas(self._connection)

    def migrate(self, migrate: Migrate) -> Iterator[Result]:
        """Migrate the template, if there is one, and the spares, as schemas of the fleet."""
        template = self._find()
        if template is None or self._is_due_to_go(template):
            return
        with schema_context(PUBLIC):
            spares = list(Spare.objects.using(self._using).values_list("schema_name", flat=True))
        for result in migrate([template.schema_name, *spares]):
            if result.schema_name == template.schema_name:
                self._has_failed = result.error is not None
                # Also where only rows were made, of which the records say nothing.
                self._is_changed = bool(result.how)
            yield result

    def compile(self, *, whole: bool) -> Iterator[Result]:
        """Write the template anew if it has changed; with ``whole`` make it if there is none."""
        if self._has_failed:
            return
        wanted = get_config().template
        name = wanted or "the template"
        placement = get_placement()
        is_wanted = wanted is not None and bool(placement.isolated or placement.both)
        for result in run_each([PUBLIC], lambda _: self._settle(whole=whole, wanted=is_wanted)):
            if result.error is not None or result.applied:
                yield Result(name, result.applied, result.error)

    def _find(self) -> Template | None:
        with schema_context(PUBLIC), as_owner():
            if not has_tables(self._using):
                return None
            template = Template.objects.using(self._using).defer("script").first()
            if template is not None and not _is_there(template.schema_name, self._using):
                template.delete()
                return None
        return template

    def _is_due_to_go(self, template: Template) -> bool:
        if template.schema_name != get_config().template:
            return True
        is_full = self._request.app_label is None
        return is_full and template.fixtures != digest_fixtures(using=self._using)

    def _settle(self, *, whole: bool, wanted: bool) -> Result:
        with schema_context(PUBLIC), as_owner():
            if not has_tables(self._using):
                return Result(PUBLIC)
            template = self._find()
            if template is not None and whole and (not wanted or self._is_due_to_go(template)):
                drop_template(template, using=self._using)
                template = None
            if template is not None:
                self._compile_changed(template, whole=whole)
            elif wanted and whole and self._request.app_label is None:
                return self._make(str(get_config().template))
        return Result(PUBLIC)

    def _make(self, name: str) -> Result:
        self._tell(f"Making {name}, which new schemas are copied from:")
        _refuse_leftover(name, self._using)
        with transaction.atomic(using=self._using):
            make_by_migrations(name, with_role=False, using=self._using)
            keep_script(name, digest_fixtures(using=self._using), using=self._using)
        return Result(PUBLIC)

    def _compile_changed(self, template: Template, *, whole: bool) -> None:
        found = read_digests(self._using, template.schema_name)
        assert found is not None
        has_unmigrated = whole and self._sync(template.schema_name)
        if found.own != template.records and not whole:
            return  # It lags behind the fleet, as the whole migrate would tell.
        digests = (template.records, template.public_records)
        if self._is_changed or (found.own, found.public) != digests:
            template = keep_script(template.schema_name, template.fixtures, using=self._using)
        elif has_unmigrated:
            before = template.script
            template = keep_script(template.schema_name, template.fixtures, using=self._using)
            if template.script != before:
                drop_spares(using=self._using)
        if whole:
            _note_spares(template, self._using)

    def _sync(self, schema_name: str) -> bool:
        """Make new tables of apps without migrations, and tell whether there are such apps."""
        placement = get_placement()
        loader = MigrationLoader(None, ignore_no_migrations=True)
        labels = {label for label in loader.unmigrated_apps if placement.in_schemas(label)}
        if not labels or self._request.app_label is not None:
            return False
        with schema_context(schema_name):
            create_unmigrated(self._connection, labels)
        return True


def _note_spares(template: Template, using: str) -> None:
    """Let the spares that were migrated be claimed, and drop those that were not."""
    lagging = Spare.objects.using(using).exclude(records=template.records)
    for spare in lagging:
        found = read_digests(using, spare.schema_name)
        if found is not None and found.own == template.records:
            Spare.objects.using(using).filter(id=spare.id).update(records=found.own)
    drop_spares(using=using, keep=template.records)


def _is_there(schema_name: str, using: str) -> bool:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [marker_table(schema_name)])
        return bool(cursor.fetchone()[0])


def _refuse_leftover(schema_name: str, using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", [schema_name])
        (is_there,) = cursor.fetchone()
    if is_there:
        raise SchemaExists(
            f"The database has a schema {schema_name!r} already, and no record that it is the template."
            f" Nothing of it was touched. Run 'DROP SCHEMA {quote_identifier(schema_name)} CASCADE', or"
            " give APPSCHEMA_TEMPLATE another name, and run 'manage.py migrate' again."
        )

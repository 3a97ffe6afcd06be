"""`make mutations`: take each guard out of a copy of the source, and see that a test fails.

A guard whose absence no test notices protects nobody for long. What is taken out, and which tests
must notice, is the list below; `tests/unit/test_mutations.py` keeps it true to the source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "appschema"

BACKEND = "tests/integration/backend"
ISOLATION = "tests/integration/isolation"
LIFECYCLE = "tests/integration/lifecycle"
FLEET = "tests/integration/fleet"

LONG = 300
"""Seconds after which the tests of one guard are taken to hang, which is noticed too."""


@dataclass(frozen=True)
class Mutation:
    """One guard: where it stands, what stands there without it, and who must notice."""

    guard: str
    path: str
    old: str
    new: str
    tests: str

    def mutate(self, text: str) -> str:
        """Return *text* without the guard, which must stand there once."""
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.path!r} holds {self.old!r} {text.count(self.old)} times; the guard"
                f" {self.guard!r} needs a text that it holds once. Mend tools/mutations.py."
            )
        return text.replace(self.old, self.new)


MUTATIONS = (
    # The statement carries its schema, and PostgreSQL refuses one that is missing.
    Mutation(
        "a statement carries the path of its schema",
        "backends/envelope.py",
        'path = [f"SET LOCAL search_path TO {self.path}"] if self.sets_path else []',
        "path: list[str] = []",
        f"{BACKEND}/test_carriers.py",
    ),
    Mutation(
        "the message fails when the schema is gone",
        "backends/envelope.py",
        'IN ACCESS SHARE MODE"] if self.locked else []',
        'IN ACCESS SHARE MODE"] if False else []',
        f"{BACKEND}/test_fail_closed.py",
    ),
    Mutation(
        "the message fails when a table that it names is missing",
        "backends/envelope.py",
        "for table in (MARKER_TABLE, *tables)",
        "for table in (MARKER_TABLE,)",
        f"{BACKEND}/test_fail_closed.py",
    ),
    Mutation(
        "the message fails when a view that it names is missing, of whatever kind it is",
        "backends/envelope.py",
        "reads = [_reading(self.read)] if self.read else []",
        "reads: list[str] = []",
        "tests/integration/fleet/test_difficult_migrations.py",
    ),
    Mutation(
        "temporary tables stand behind those of the schema",
        "backends/envelope.py",
        '", ".join([*map(quote_identifier, names), "pg_temp"])',
        '", ".join(map(quote_identifier, names))',
        BACKEND,
    ),
    Mutation(
        "what is pending is fired before the path changes",
        "backends/cursors.py",
        "return envelope.firing() if firing else envelope",
        "return envelope",
        f"{BACKEND}/test_transactions.py",
    ),
    Mutation(
        "text that goes on after COMMIT is refused",
        "backends/cursors.py",
        "        if statement.continues:\n            _refuse_continued",
        "        if False:\n            _refuse_continued",
        f"{BACKEND}/test_beside_the_envelope.py {BACKEND}/test_splitting.py {BACKEND}/test_transactions.py",
    ),
    Mutation(
        "a text that ends a transaction leaves no path of the user's",
        "backends/cursors.py",
        "        if statement.ends_transaction:\n            # Once more",
        "        if False:\n            # Once more",
        f"{BACKEND}/test_transactions.py",
    ),
    Mutation(
        "a text that takes the path back does nothing else",
        "backends/cursors.py",
        "                _refuse_reset(schema_name)",
        "                pass",
        f"{BACKEND}/test_transactions.py",
    ),
    Mutation(
        "set_config() with NULL takes the path back",
        "backends/cursors.py",
        "(configures_path and _gives_null(query))",
        "False",
        f"{BACKEND}/test_transactions.py",
    ),
    Mutation(
        "with no schema active a query on isolated models is refused",
        "backends/compiler.py",
        "        _refuse(self._named, self.query)\n        return found",
        "        return found",
        f"{BACKEND}/test_guard.py",
    ),
    Mutation(
        "a connection that loses its startup options runs nothing alone",
        "backends/wrapper.py",
        'if found != (envelope.path, "client"):',
        "if False:",
        "tests/integration/poolers",
    ),
    # The context.
    Mutation(
        "leaving a scope takes that scope away, and no other",
        "context.py",
        "left = scope[2] if scope is not None and scope[0] is self else self._leave(scope)",
        "left = scope[2] if scope is not None else None",
        "tests/unit/test_context.py",
    ),
    Mutation(
        "what a decorated function gives to be iterated runs in the schema",
        "context.py",
        "return _later_in(name, result)",
        "return result",
        "tests/unit/test_context.py",
    ),
    Mutation(
        "a callback after the commit runs in the schema that registered it",
        "backends/wrapper.py",
        "bound = in_current_schema(func)",
        "bound = func",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "a body that is streamed is made in the schema of its request",
        "middleware/base.py",
        "response.streaming_content = scope(each)(response.streaming_content)",
        "pass",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "a response is closed in the schema of its request",
        "middleware/base.py",
        "response.close = _CloseIn(scope, response)  # type: ignore[method-assign]",
        "pass",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "a closed response is let go of",
        "middleware/base.py",
        "del self._response.close",
        "pass",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "the URLconf is imported with no schema active",
        "middleware/base.py",
        "_ = get_resolver(urlconf).url_patterns",
        "pass",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "the work of an executor runs in the schema in which it was submitted",
        "concurrency.py",
        "_renewing(in_current_schema(fn))",
        "_renewing(fn)",
        "tests/integration/test_later.py",
    ),
    # Instances and querysets.
    Mutation(
        "an instance is refused in another schema",
        "isolation/crossing.py",
        "    if instance._meta.db_table in get_tables().in_schemas:\n        raise",
        "    if False:\n        raise",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "a query is refused in another schema",
        "backends/compiler.py",
        "    if crosses(query):\n        refuse_query_crossing",
        "    if False:\n        refuse_query_crossing",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "a saved instance belongs to the schema that saved it",
        "isolation/crossing.py",
        "using = bind_here(using or router.db_for_write(type(self), instance=self))",
        "pass",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "each instance that something is prefetched for is of this schema",
        "isolation/crossing.py",
        "level: int) -> Any:\n        refuse_each(instances)\n",
        "level: int) -> Any:\n",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "a manager of another schema's instance is refused whatever alias it is given",
        "isolation/members.py",
        "                extend(manager, name, _of_this_schema)",
        "                pass",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "no scope outlives the request that opened it",
        "context.py",
        "class request_context(schema_context):  # noqa: N801 - as schema_context\n",
        "request_context = schema_context\n\n\nclass _Unused(schema_context):\n",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "what is only like a file is read in its schema",
        "middleware/base.py",
        'hasattr(response.file_to_stream, "fileno")',
        "True",
        "tests/integration/test_later.py",
    ),
    Mutation(
        "a generic key is followed in the schema of its instance",
        "isolation/generic_keys.py",
        "                refuse_crossing(instance)",
        "                pass",
        "tests/integration/test_relations_across_placement.py",
    ),
    Mutation(
        "what a kept queryset has read by a subquery is not shown in another schema",
        "isolation/read_rows.py",
        " or find_placed(_tables_in_text(queryset))",
        "",
        f"{BACKEND}/test_read_rows.py",
    ),
    Mutation(
        "an instance as a value in a filter is refused in another schema",
        "isolation/crossing.py",
        'extend(Query, "check_query_object_type", _checking_value)',
        "pass",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "what a queryset has read in one schema is shown in no other",
        "isolation/read_rows.py",
        "            _refuse(self)\n        original(self)",
        "            pass\n        original(self)",
        f"{BACKEND}/test_read_rows.py",
    ),
    Mutation(
        "what is one to one with a shared row is looked for in each schema",
        "isolation/read_rows.py",
        "relation.delete_cached_value(instance)",
        "pass",
        "tests/integration/test_relations_across_placement.py",
    ),
    Mutation(
        "an instance of another schema is not taken out of a relation",
        "isolation/members.py",
        "        refuse_each(objs)\n",
        "",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "queries of two schemas are not combined",
        "isolation/crossing.py",
        "            len(names) == 2\n",
        "            False\n",
        f"{BACKEND}/test_crossing.py",
    ),
    Mutation(
        "a Prefetch that requests share keeps no instance of one",
        "isolation/crossing.py",
        'extend(query, "prefetch_one_level", _copying_lookup)',
        "pass",
        f"{BACKEND}/test_crossing.py",
    ),
    # What Django keys by process.
    Mutation(
        "the caches of content types and sites are keyed by schema",
        "isolation/keyed.py",
        "return super().__getitem__((current_schema(), key))",
        "return next(value for (_, each), value in self.items() if each == key)",
        "tests/integration/test_memory.py",
    ),
    Mutation(
        "keys of caches hold the schema",
        "isolation/cache.py",
        "{current_schema() or ''}:",
        "",
        f"{ISOLATION}/test_caches.py",
    ),
    Mutation(
        "the key of another schema's session is no key",
        "isolation/sessions.py",
        "constant_time_compare(found, stamp(head, secret))",
        "True",
        f"{ISOLATION}/test_sessions.py",
    ),
    Mutation(
        "a signature is good in its schema only",
        "isolation/signing.py",
        "if schema_name is not None:",
        "if False:",
        ISOLATION,
    ),
    Mutation(
        "files are kept in the schema's directory",
        "isolation/storage.py",
        'if "\\\\" in name or "\\0" in name or name.startswith("/") or ".." in parts:',
        "if False:",
        "tests/unit/test_isolation_storage.py",
    ),
    Mutation(
        "the name of another schema's file is refused",
        "isolation/storage.py",
        "if isinstance(name, SchemaFileName) and name.schema_name != schema_name:",
        "if False:",
        f"{ISOLATION}/test_files.py tests/unit/test_isolation_storage.py",
    ),
    Mutation(
        "a file's name that is read from a row belongs to its schema",
        "isolation/storage.py",
        "return [partial(_bind, schema_name), *converters]",
        "return converters",
        f"{ISOLATION}/test_files.py",
    ),
    # Roles.
    Mutation(
        "a statement runs under the role of its schema",
        "backends/envelope.py",
        'role = [] if self.role is None else [f"SET LOCAL ROLE {quote_identifier(self.role)}"]',
        "role: list[str] = []",
        "tests/integration/roles",
    ),
    # The registry and the requests.
    Mutation(
        "a row that was read before a change is not remembered after it",
        "resolver.py",
        "            if generation != self.generation:\n                return",
        "            if False:\n                return",
        "tests/integration/test_resolver.py",
    ),
    Mutation(
        "an inactive schema is not served",
        "resolver.py",
        "if row is None or not row[_IS_ACTIVE]:",
        "if row is None:",
        "tests/integration/test_middleware.py",
    ),
    Mutation(
        "the header is passed over from an address that is not the gateway's",
        "middleware/header.py",
        "(config.header_from and not _is_from(request, config.header_from))",
        "False",
        "tests/integration/routing",
    ),
    # Names.
    Mutation(
        "a name that PostgreSQL would cut is refused",
        "names.py",
        'if (size := len(name.encode("utf-8", "surrogatepass"))) > MAX_NAME_BYTES:',
        "if (size := len(name)) > MAX_NAME_BYTES:",
        "tests/unit/test_names.py",
    ),
    Mutation(
        "identifiers are quoted",
        "names.py",
        "return '\"' + name.replace('\"', '\"\"') + '\"'",
        "return name",
        f"{BACKEND}/test_odd_names.py",
    ),
    # Provisioning and migrations.
    Mutation(
        "an existing schema is never taken over",
        "provisioning/migrated.py",
        'f"CREATE SCHEMA {quote_identifier(name)} {table}"',
        'f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(name)}"',
        "tests/integration/fleet/test_provisioning.py",
    ),
    Mutation(
        "a name that was another schema's is retired",
        "provisioning/register.py",
        "if found:\n        raise NameRetired(",
        "if found and not found:\n        raise NameRetired(",
        "tests/integration/fleet/test_provisioning.py",
    ),
    Mutation(
        "a dropped schema shows no notice",
        "resolver.py",
        ", dropped__isnull=True)",
        ")",
        f"{LIFECYCLE}/test_activity.py",
    ),
    Mutation(
        "a schema is shut before its tables go",
        "provisioning/purge.py",
        'cursor.execute(f"DROP TABLE IF EXISTS {marker} CASCADE")',
        "pass",
        f"{LIFECYCLE}/test_dropping.py",
    ),
    Mutation(
        "the time in which a schema can be had back is kept",
        "provisioning/purge.py",
        "if not (row.purging or now) and _time_left(row):",
        "if False:",
        f"{LIFECYCLE}/test_dropping.py",
    ),
    Mutation(
        "a schema that others protect is not purged in part",
        "provisioning/purge.py",
        "refuse_protected(row, using=using, except_in=name)",
        "pass",
        f"{LIFECYCLE}/test_dropping.py",
    ),
    Mutation(
        "a table to which many refer is dropped after them",
        "provisioning/parts.py",
        "sorted(some, key=lambda part: part.locks)",
        "some",
        f"{LIFECYCLE}/test_large_schemas.py",
    ),
    Mutation(
        "who waits for a lock gives way soon",
        "patience.py",
        "LOCK_TIMEOUT = 0.1",
        "LOCK_TIMEOUT = 0.0",
        f"{LIFECYCLE}/test_dropping.py",
    ),
    Mutation(
        "a rename waits until nobody uses the schema",
        "provisioning/rename.py",
        "IN ACCESS EXCLUSIVE MODE",
        "IN ACCESS SHARE MODE",
        f"{LIFECYCLE}/test_renaming.py",
    ),
    Mutation(
        "a name is not given while it is given up",
        "provisioning/register.py",
        "    # Behind the row: whoever gives the name up commits that together with the end of theirs.\n"
        "    take_name(name, reuse_name=reuse_name, using=using)\n",
        "",
        f"{LIFECYCLE}/test_renaming.py",
    ),
    Mutation(
        "a template that lags is not copied",
        "provisioning/template.py",
        "is_at_head = (own, public) == (template.records, template.public_records)",
        "is_at_head = True",
        "tests/integration/template/test_template.py",
    ),
    Mutation(
        "a stale spare is given to nobody",
        "provisioning/template.py",
        "return is_at_head, of_spare == [template.records]",
        "return is_at_head, True",
        "tests/integration/template/test_spares.py",
    ),
    Mutation(
        "a spare's foreign keys to shared tables are committed one by one",
        "provisioning/refill.py",
        "for key in spare.script.outside:",
        'for key in ["; ".join(spare.script.outside)]:',
        "tests/integration/template/test_beside_others.py",
    ),
    Mutation(
        "no schema is made while migrate changes what it would be made of",
        "provisioning/locks.py",
        "SELECT pg_advisory_xact_lock_shared({_MIGRATE})",
        "SELECT {_MIGRATE}",
        "tests/integration/template/test_beside_others.py",
    ),
    Mutation(
        "a migration that is under way is no part of a clone",
        "provisioning/clone.py",
        'cursor.execute(f"LOCK TABLE {listed} IN SHARE MODE")',
        'cursor.execute(f"LOCK TABLE {listed} IN ACCESS SHARE MODE")',
        "tests/integration/template/test_cloning.py",
    ),
    Mutation(
        "a customer has no name of our own",
        "provisioning/register.py",
        "if is_own_name(name) or name == config.template:",
        "if name is None:",
        "tests/integration/template/test_template.py",
    ),
    Mutation(
        "migrate refuses while isolated tables stand in public",
        "fleet/misplaced.py",
        "    if found:\n",
        "    if False:\n",
        "tests/integration/fleet",
    ),
    Mutation(
        "a connection that has touched many schemas is renewed",
        "backends/connection.py",
        "len(self.touched_schemas) + self.touched_in_part > self.budget",
        "False",
        f"{BACKEND}/test_memory_of_connections.py",
    ),
    # The fleet: what is done in one schema is done in all, or told.
    Mutation(
        "a schema that comes out otherwise is rolled back",
        "fleet/follow/replay.py",
        "if self.verifies and not self.accepts_drift and touched:",
        "if False:",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "records that the ledger has wrong are noticed",
        "fleet/know/entries.py",
        "CASE {found} WHEN {quote_literal(wanted)} THEN",
        "CASE WHEN true THEN",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "a table that a schema lacks is not changed in public",
        "fleet/follow/direct.py",
        "recording.needs = named_tables(recording.texts(), tables)",
        "recording.needs = ()",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "a callable default is evaluated for each schema",
        "fleet/follow/recording.py",
        "or (field.has_default() and callable(field.default) and field.default not in _CONSTANT)",
        "or False",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "a router is asked in each schema",
        "fleet/follow/group.py",
        "if not self._is_routed_alike(schema_name):",
        "if False:",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "what is resumed is not done twice",
        "fleet/follow/unfinished.py",
        "if self._number <= self._done:",
        "if False:",
        f"{FLEET}/test_surviving.py",
    ),
    Mutation(
        "half an index is made anew",
        "fleet/follow/unfinished.py",
        "if is_valid is False:",
        "if False:",
        f"{FLEET}/test_surviving.py",
    ),
    Mutation(
        "an entry whose set is gone tells nothing",
        "fleet/know/ledger.py",
        "'a.digest IS NULL'",
        "'e.schema_name IS NULL'",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "indexes that differ in the order of their rows are told apart",
        "catalog/fingerprint.py",
        "indcollation, indoption,",
        "indcollation,",
        "tests/integration/catalog/test_fingerprint.py",
    ),
    Mutation(
        "an entry is of the schema that has the name now",
        "fleet/know/ledger.py",
        "ON e.schema_name = w.name AND e.schema_oid = n.oid",
        "ON e.schema_name = w.name",
        f"{FLEET}/test_surviving.py",
    ),
    Mutation(
        "what content types in migrations remember is keyed by schema",
        "isolation/memory.py",
        "        self._cache = SchemaKeyedDict()\n",
        "",
        f"{FLEET}/test_replay.py",
    ),
    Mutation(
        "a path that a migration leaves behind ends with it",
        "fleet/records.py",
        "        end_users_path(self.connection)\n",
        "",
        f"{FLEET}/test_difficult_migrations.py",
    ),
)


def survivors(mutations: Iterable[Mutation]) -> list[Mutation]:
    """Run the tests of each mutation on a mutated copy; return those that no test noticed."""
    found = []
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "src" / "appschema"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for mutation in mutations:
            path = copy / mutation.path
            original = path.read_text()
            path.write_text(mutation.mutate(original))
            noticed = _fails(copy.parent, mutation.tests)
            path.write_text(original)
            print(f"{'noticed' if noticed else 'SURVIVED':8} {mutation.guard}", flush=True)
            if not noticed:
                found.append(mutation)
    return found


def _fails(source: Path, tests: str, seconds: float | None = LONG) -> bool:
    """Tell whether a test fails on *source*, or hangs. Anything but that and passing is an error."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1):
        raise SystemExit(f"The tests {tests!r} could not be run:\n{done.stdout[-3000:]}")
    return done.returncode == 1


def main(words: list[str]) -> int:
    """Run all mutations, or those whose guard holds one of the words; 1 if one survives."""
    chosen = [each for each in MUTATIONS if not words or any(word in each.guard for word in words)]
    tests = " ".join(sorted({path for each in chosen for path in each.tests.split()}))
    at_once = f"--numprocesses={min(os.cpu_count() or 1, 4)}"
    if _fails(PROJECT / "src", f"{tests} {at_once}", seconds=None):
        print(f"The tests fail without a mutation: {tests}. Mend them first.", flush=True)
        return 1
    left = survivors(chosen)
    print(f"{len(chosen) - len(left)} of {len(chosen)} guards are held by a test.", flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a new schema costs: from a spare, from the template, by migrations; and bare psycopg beside it.

    python -m benchmarks.provisioning [--tables 20,100,300] [--repeat 15] [--report FILE]

A PostgreSQL server of its own is started with PostgreSQL's default settings (fsync, 64 locks per
transaction) and deleted at the end. Each table has an identity, a title with an index, and two foreign
keys: to the table before, and to a shared one. Beside them there are Django's content types and
permissions, with their rows. With more than 100 tables these are of an app without migrations.

*Bare psycopg* sends the same SQL with the same rows as one message, between BEGIN and COMMIT, over a
connection that knows nothing of Django. Both ways take turns, so that the machine is as busy for both.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from tools.database_url import django_database
from tools.postgres import PostgresServer

REPORT = Path(__file__).parent / "results" / "provisioning.md"
SERVER = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "max_locks_per_transaction": "64",
}
ROWS = {
    "migrated": "by migrations (`APPSCHEMA_TEMPLATE = None`), ms",
    "plain": "bare psycopg, the template's SQL, ms",
    "replayed": "`new_schema` from the template, ms",
    "ratio": "that is, of bare psycopg",
    "claimed": "`new_schema` from a spare, ms",
    "statements": "statements of that",
    "refill": "a spare is made, with rests for those who write to the shared table, ms",
    "cloned": "`clone_schema` without rows, ms",
    "noop": "`migrate` with nothing to do, template and one spare, ms",
    "size": "the template's SQL, kB",
}
MIGRATED_UP_TO = 100
"""Tables; Django's migrations of more, which all refer to one another, would take minutes each time."""

MODELS = """
from django.db import models

class Plan(models.Model):
    title = models.TextField()
"""
MODEL = """
class Table{n}(models.Model):
    title = models.CharField(max_length=100, db_index=True)
    plan = models.ForeignKey("plans.Plan", models.CASCADE, null=True)
    before = models.ForeignKey("{before}", models.CASCADE, null=True)
"""


def write_project(root: Path, tables: int) -> str:
    """Write an app of so many tables and return its label; the shared app is written once."""
    label = f"big{tables}"
    for name, text in (("plans", MODELS), (label, _models(tables))):
        package = root / name
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        if name == "plans" or tables <= MIGRATED_UP_TO:
            (package / "migrations").mkdir(exist_ok=True)
            (package / "migrations/__init__.py").touch()
        (package / "models.py").write_text(text)
    return label


def _models(tables: int) -> str:
    each = [MODEL.format(n=n, before="self" if n == 0 else f"Table{n - 1}") for n in range(tables)]
    return "from django.db import models\n" + "".join(each)


@contextmanager
def database(server: PostgresServer, name: str) -> Iterator[str]:
    """Make a database, let Django work in it, and give its URL."""
    with psycopg.connect(server.socket_url, autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name}")
    url = server.socket_url.replace("/postgres?", f"/{name}?")
    connection.close()
    connection.settings_dict["NAME"] = name
    yield url
    connection.close()


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(url: str, tables: int, repeat: int) -> dict[str, str]:
    """Return the figures of one size, by the keys of ROWS."""
    # Models can be imported once the settings are there.
    from appschema.models import Schema, Template  # noqa: PLC0415
    from appschema.provisioning import clone_schema, new_schema, refill_spares  # noqa: PLC0415
    from appschema.provisioning.template import load_script  # noqa: PLC0415

    def new(name: str) -> object:
        return new_schema(name, f"{name}.example.com")

    call_command("migrate", verbosity=0)
    found: dict[str, list[float]] = {}
    if tables <= MIGRATED_UP_TO:
        with override_settings(APPSCHEMA_TEMPLATE=None):
            found["migrated"] = [timed(lambda: new("migrated"))]
    template = Template.objects.get()
    script = load_script(template, "default")
    plain, replayed = [], []
    new("warm")
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
        other.execute(f"BEGIN;{script.render('warm_too')};COMMIT")
        for n in range(repeat):
            text = f"BEGIN;{script.render(f'plain{n}')};COMMIT"
            plain.append(timed(lambda text=text: other.execute(text)))
            replayed.append(timed(lambda n=n: new(f"replayed{n}")))
    found |= {"plain": plain, "replayed": replayed}
    for n in range(repeat - 1):
        with override_settings(APPSCHEMA_SPARES=n + 1), transaction.atomic():
            refill_spares()
    with override_settings(APPSCHEMA_SPARES=repeat):
        found["refill"] = [timed(refill_spares)]
        found["claimed"] = [timed(lambda n=n: new(f"claimed{n}")) for n in range(repeat - 1)]
        with CaptureQueriesContext(connection) as queries:
            new("counted")
    with override_settings(APPSCHEMA_SPARES=1):
        refill_spares()
    found["cloned"] = [
        timed(lambda n=n: clone_schema("replayed0", f"clone{n}", f"clone{n}.example.com"))
        for n in range(3)
    ]
    # Nothing of the fleet, but what new schemas come from.
    Schema.objects.all().delete()
    found["noop"] = [timed(lambda: call_command("migrate", verbosity=0)) for _ in range(3)]
    figures = {key: spread(times) for key, times in found.items()}
    figures["ratio"] = f"{statistics.median(replayed) / statistics.median(plain):.2f}"
    figures["statements"] = str(len(queries))
    figures["size"] = f"{len(template.script) / 1e3:.0f}"
    return figures


def spread(seconds: list[float]) -> str:
    """Return the median and, in brackets, the least and the most, in milliseconds."""
    values = [1e3 * each for each in seconds]
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default="20,100,300")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    sizes = [int(each) for each in options.tables.split(",")]
    columns = []
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        labels = [write_project(root, size) for size in sizes]
        sys.path.insert(0, str(root))
        server = stack.enter_context(PostgresServer(settings=SERVER))
        set_up(server)
        for label, size in zip(labels, sizes, strict=True):
            also = ["django.contrib.contenttypes", "django.contrib.auth"]
            installed = override_settings(INSTALLED_APPS=["appschema", "plans", *also, label])
            with installed, database(server, f"provisioning{size}") as url:
                migrated = ["plans", *([label] if size <= MIGRATED_UP_TO else [])]
                call_command("makemigrations", *migrated, verbosity=0)
                columns.append(measure(url, size, options.repeat))
        # Before the server is stopped, which may take long on a slow disk.
        write(options.report, sizes, columns, describe())


def set_up(server: PostgresServer) -> None:
    settings.configure(
        DATABASES={"default": django_database(server.socket_url)},
        INSTALLED_APPS=["appschema"],
        APPSCHEMA_SHARED_APPS=["plans"],
        APPSCHEMA_LOCK_TIMEOUT=60,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY=os.urandom(8).hex(),
        USE_TZ=True,
    )
    django.setup()


def describe() -> str:
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (server,) = cursor.fetchone()
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, PostgreSQL {server.split()[0]}, Django {django.__version__}, psycopg"
        f" {psycopg.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, load"
        f" {load:.1f}. Median (least-most)."
    )


def write(path: Path, sizes: list[int], columns: list[dict[str, str]], about: str) -> None:
    lines = [
        "# What a new schema costs",
        "",
        "Made by `python -m benchmarks.provisioning`, which says at its top what it does.",
        about,
        "",
        f"| a schema of | {' | '.join(f'{size} tables' for size in sizes)} |",
        f"| --- | {' | '.join('--:' for _ in sizes)} |",
    ]
    for key, title in ROWS.items():
        lines.append(f"| {title} | {' | '.join(each.get(key, '-') for each in columns)} |")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

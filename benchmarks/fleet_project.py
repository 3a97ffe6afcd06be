"""A copy of the sample project for one of the packages, into which migrations are written.

Each release adds a migration to its app ``releases``, as a deployment of a new version does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.workers import PROJECT, Worker, inherited

OURS, TENANTS, PGSCHEMAS = "appschema", "django-tenants", "django-pgschemas"
APP = "releases"
ROWS = 10
"""Articles in each schema, which the migrations with Python change one by one."""

FIELD, PYTHON = "field", "python"
"""What a release can add: a field with an index, or a function that changes rows."""

_MODELS = """
from django.db import models


class Article(models.Model):
    title = models.CharField(max_length=100)
    score = models.IntegerField(default=0)
{fields}
    class Meta:
        indexes = [{indexes}]
"""
_INITIAL = f"""
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Article",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=100)),
                ("score", models.IntegerField(default=0)),
            ],
        ),
        migrations.RunSQL(
            "INSERT INTO releases_article (title, score)"
            " SELECT 'article ' || n, 0 FROM generate_series(1, {ROWS}) AS n",
            migrations.RunSQL.noop,
        ),
    ]
"""
_MIGRATION = """
from django.db import migrations, models


def raise_scores(apps, editor):
    article = apps.get_model("releases", "Article")
    articles = list(article.objects.using(editor.connection.alias).order_by("id"))
    for each in articles:
        each.score += 1
    article.objects.using(editor.connection.alias).bulk_update(articles, ["score"])


class Migration(migrations.Migration):
    dependencies = [("releases", {before!r})]
    operations = [{operations}]
"""
_OPERATIONS = {
    FIELD: 'migrations.AddField("Article", {name!r}, models.IntegerField(default=0)),'
    ' migrations.AddIndex("Article", models.Index(fields=[{name!r}], name="{name}_index"))',
    PYTHON: "migrations.RunPython(raise_scores, migrations.RunPython.noop)",
}


@dataclass(frozen=True)
class Run:
    """How long a command took, in seconds, and the most memory that it had, in bytes."""

    seconds: float
    peak: int


@dataclass
class Project:
    """The project of one variant, in a directory and a database of its own."""

    variant: str
    root: Path
    url: str
    connections: int
    releases: list[str] = field(default_factory=lambda: ["0001_initial"])
    fields: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Make the directory, with the first release in it."""
        here = PROJECT / "benchmarks/fleet_site"
        shutil.copytree(
            here, self.root / "fleet_site", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.move(self.root / "fleet_site/manage.py", self.root)
        (self._app / "migrations").mkdir(parents=True)
        for package in (self._app, self._app / "migrations"):
            (package / "__init__.py").touch()
        (self._app / "migrations/0001_initial.py").write_text(_INITIAL)
        self._write_models()

    def release(self, kind: str) -> str:
        """Write a migration, with its models, and return its name."""
        number = len(self.releases) + 1
        added, name = f"added_{number}", f"{number:04}_{kind}"
        operations = _OPERATIONS[kind].format(name=added)
        text = _MIGRATION.format(before=self.releases[-1], operations=operations)
        (self._app / f"migrations/{name}.py").write_text(text)
        self.releases.append(name)
        if kind == FIELD:
            self.fields.append(added)
            self._write_models()
        return name

    def manage(self, *words: str) -> Run:
        """Run ``manage.py``; end this program with what was said if it fails."""
        command = [sys.executable, "manage.py", *words]
        with tempfile.TemporaryFile("w+") as said:
            begun = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**inherited(), **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            # What the process itself says of its memory would need code of ours inside it.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{self.variant}, {' '.join(words)}:\n{said.read()[-5000:]}")
        # Linux counts in kilobytes, macOS in bytes.
        return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))

    def takes(self, command: str, option: str) -> bool:
        """Tell whether the help of a command lists an option."""
        done = subprocess.run(
            [sys.executable, "manage.py", command, "--help"],
            cwd=self.root,
            env={**inherited(), **self._environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        return option in done.stdout.replace(",", " ").split()

    def worker(self) -> Worker:
        """Start the process that sets up the database, makes schemas and looks at them."""
        return Worker("benchmarks.fleet_worker", self._environment(), self.root)

    @property
    def _app(self) -> Path:
        return self.root / "fleet_site" / APP

    def _write_models(self) -> None:
        fields = (f"    {name} = models.IntegerField(default=0)\n" for name in self.fields)
        indexes = (f'models.Index(fields=["{name}"], name="{name}_index")' for name in self.fields)
        text = _MODELS.format(fields="".join(fields), indexes=", ".join(indexes))
        (self._app / "models.py").write_text(text)

    def _environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "fleet_site.settings",
            "PYTHONPATH": os.pathsep.join(map(str, (PROJECT / "src", PROJECT, self.root))),
            "BENCHMARK_VARIANT": self.variant,
            "BENCHMARK_URL": self.url,
            "BENCHMARK_CONNECTIONS": str(self.connections),
        }

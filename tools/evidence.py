"""Copy the schemas of published applications, and write `docs/evidence/copies.md` about it.

`make evidence` runs each application in an environment of its lock file, as a process of its own.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.environments import PROJECT

PAGE = PROJECT / "docs" / "evidence" / "copies.md"
SITES = {
    "wagtail": "evidence",
    "oscar": "evidence",
    "pghistory": "evidence",
    "procrastinate": "evidence",
    "postgres": "evidence",
    "pretix": "evidence-pretix",
}
"""Which lock file each application's environment is made from."""

POSTGRES = ("", "15")
NOT_THERE = {("procrastinate", "15")}
"""Its migrations use a value in the transaction that added it to an enum, which wants PostgreSQL 17."""

COLUMNS = {
    "application": "application",
    "postgresql": "PostgreSQL",
    "tables": "tables",
    "sequences": "sequences",
    "indexes": "indexes",
    "constraints": "constraints",
    "routines": "functions",
    "triggers": "triggers",
    "types": "types",
    "views": "views",
    "models": "models",
    "kilobytes": "SQL, kB",
    "read_ms": "read, ms",
    "make_ms": "make, ms",
    "doubts": "doubts",
    "faults": "faults",
}
HEAD = """\
# Copies of schemas that published applications made

`make evidence` migrates each application, unchanged, in a schema of its own, reads that schema with
`appschema.catalog`, writes it as SQL for another name, and sends that in one message. It counts as a fault

- if `pg_dump --schema-only` of the copy differs from the source's in anything but the name (both are compared after
  `ARRAY` casts have been given the form in which PostgreSQL shows them the second time);
- if the copy, read again, is no equal value, or its rows or the values of its sequences are others;
- if through the ORM no row can be inserted in some model of the copy, which is tried for every one of them;
- if that has moved a sequence of the source, or changed its rows;
- if `pg_dump` says something else of the copy once the source is dropped.

`postgres` is an app of the tests with the fields, indexes, constraints and extensions of `django.contrib.postgres`, a renamed
table, a collation and generated columns; `pghistory` one whose models are tracked and guarded by triggers. `procrastinate` is not
there on PostgreSQL 15: `new_schema` cannot make it, for its migrations use a value in the transaction that added it to an enum. While
oscar's source is made, the word CONCURRENTLY is taken from one index that its Python code makes. Times are of a machine that was
doing other work. A *doubt* is a text that may name the schema and was left as it is.

"""


def run(pythons: Mapping[str, Path], chosen: Sequence[str] = ()) -> int:
    """Run the sites in the environments of these lock files; all of them make the page."""
    results: list[dict[str, Any]] = []
    for server in POSTGRES:
        if server and not Path(f"/usr/lib/postgresql/{server}/bin").is_dir():
            continue
        for site in chosen or SITES:
            if (site, server) in NOT_THERE:
                continue
            print(f"{site} on PostgreSQL {server or 'of the wheel'} ...", flush=True)
            results.append(_copy(pythons[SITES[site]], site, server))
            print(_table(results[-1:]), flush=True)
    if not chosen:
        PAGE.write_text(HEAD + _table(results))
    return int(any(each["faults"] for each in results))


def _copy(python: Path, site: str, server: str) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", "-m", "tests.evidence.run", site]
    environment = {**os.environ, "APPSCHEMA_POSTGRES_BIN": server}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout.lstrip().startswith("{"):
        return {"application": site, "postgresql": server, "faults": ["It could not be run."]}
    seen: dict[str, Any] = json.loads(done.stdout)
    for fault in seen["faults"]:
        print(fault, flush=True)
    return seen


def _table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| " + " | ".join(COLUMNS.values()) + " |",
        "| --- | --- " + "| --: " * (len(COLUMNS) - 2) + "|",
    ]
    for each in results:
        cells = (each.get(name, "") for name in COLUMNS)
        shown = (str(len(cell) if isinstance(cell, list) else cell) for cell in cells)
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"

"""Copy a schema of one site, and print what was seen as JSON: ``python -m tests.evidence.run oscar``."""

import json
import os
import sys
from importlib import metadata
from time import perf_counter
from typing import Any

from tools.postgres import PostgresServer

DISTRIBUTIONS = {"oscar": "django-oscar", "pghistory": "django-pghistory", "postgres": "django"}


def main(site: str) -> dict[str, Any]:
    with PostgresServer() as server:
        os.environ["DATABASE_URL"] = server.url
        os.environ["DJANGO_SETTINGS_MODULE"] = f"tests.evidence.sites.{site}"
        import django

        django.setup()
        from tests.evidence.copying import look

        distribution = DISTRIBUTIONS.get(site, site)
        seen = look(server.url)
    return {
        "site": site,
        "application": f"{distribution} {metadata.version(distribution)}",
        "django": django.__version__,
        **seen,
    }


if __name__ == "__main__":
    started = perf_counter()
    result = main(sys.argv[1])
    json.dump({**result, "seconds": round(perf_counter() - started)}, sys.stdout, indent=1)
    sys.exit(bool(result["faults"]))

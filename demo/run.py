"""`make demo`: a server if there is none, the tables, three customers with some rows, and the site.

PORT            where the site listens on 127.0.0.1, 8000 if absent; 0 takes a free one
DATABASE_URL    a database on a server of yours, in place of the embedded one
DEMO_FILES      the directory of uploaded files; beside the embedded server's data if absent
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import django
import psycopg
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from psycopg.conninfo import make_conninfo

from demo import CUSTOMERS, LOGIN, MEMBER, PASSWORD
from tools.postgres import PostgresError, PostgresServer


class DemoError(Exception):
    """The demo cannot start; the message is one sentence for the person at the terminal."""


class QuietHandler(WSGIRequestHandler):
    """A request handler that does not write a line for each request."""

    def log_message(self, *args: object) -> None:
        """Say nothing; errors of the site are logged by Django."""


def main() -> int:
    """Serve until Ctrl-C; return the exit code."""
    # `finally` has to run, to stop the database, when the demo is ended by a supervisor or a closed terminal as well.
    # Ctrl-C is set as well: a process started in the background by a shell script begins with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(0))
    try:
        # The port first, and held from here on: a mistake in it must not cost the start of a database.
        with bind(os.environ.get("PORT") or "8000") as site, database() as url:
            serve(site, url)
    except (DemoError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The data are kept; 'make demo' goes on with them.")
    return 0


def bind(port: str) -> ThreadedWSGIServer:
    """Return a server that holds the port and does not answer yet."""
    if not port.isdecimal() or not 0 <= int(port) < 65536:
        raise DemoError(f"PORT is {port!r}; use a number up to 65535, as in 'make demo PORT=8001'.")
    try:
        site = ThreadedWSGIServer(("127.0.0.1", int(port)), QuietHandler)
    except OSError as error:
        another = "8001" if port == "8000" else "8000"
        raise DemoError(
            f"Port {port} of this machine cannot be used ({error.strerror}). Use another, as in 'make demo PORT={another}'."
        ) from error
    site.daemon_threads = True  # A browser's open connection must not hold up Ctrl-C.
    return site


@contextmanager
def database() -> Iterator[str]:
    """Give the URL of the demo's database, on the server of DATABASE_URL or on one of our own."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    print("Starting PostgreSQL ...", flush=True)
    # Without TCP: the data are reached by a socket in a private directory, not by every user of this machine.
    with PostgresServer("demo", tcp=False) as server:
        # PostgreSQL has no CREATE DATABASE IF NOT EXISTS; the second error is of two demos started at once.
        exists = (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
        with suppress(*exists), psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE demo")
        yield make_conninfo(server.url, dbname="demo")


def serve(site: ThreadedWSGIServer, url: str) -> None:
    """Prepare the database of `url` and answer requests until the process is told to stop."""
    os.environ["DATABASE_URL"] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"
    try:
        guard = psycopg.connect(url, connect_timeout=10, autocommit=True)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        said = " ".join(str(error).split())
        raise DemoError(f"The database of DATABASE_URL cannot be used: {said}") from error
    started = time.monotonic()
    django.setup()
    from demo.content import prepare  # noqa: PLC0415 - models can be imported now, and no earlier

    with closing(guard):
        # Two demos on one database prepare it one after the other.
        guard.execute("SELECT pg_advisory_lock(hashtextextended('django-appschema demo', 0))")
        prepare()
    announce(site.server_port, url, time.monotonic() - started)
    site.set_app(StaticFilesHandler(get_wsgi_application()))
    site.serve_forever()


def announce(port: int, url: str, seconds: float) -> None:
    """Tell where everything is."""
    hosts = "\n".join(f"  http://{name}.localhost:{port}/" for name in CUSTOMERS)
    print(
        f"\nReady in {seconds:.0f} s.\n\n"
        f"The central site, with a sign-up for more:\n  http://localhost:{port}/\n"
        f"The customers, each with its own users, tasks, files and /admin/:\n{hosts}\n"
        f"The logins in each of them: {LOGIN} / {PASSWORD} (the owner) and {MEMBER} / {PASSWORD}\n"
        f"The database, for psql: '{url}'\n\n"
        "Press Ctrl-C to stop; the data are kept.",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

"""One variant of the benchmark of sign-ups in a process of its own, asked by lines on stdin.

``benchmarks.sign_ups`` starts it; what it answers is one line of JSON for each line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import django
from django.apps import apps
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.test.utils import override_settings

from benchmarks.provisioning import timed
from benchmarks.request_worker import environ
from benchmarks.sign_up_site import settings as site

T = TypeVar("T")
HOSTS = [f"s{number}.example.com" for number in range(8)]
THREADS = 8
WARM_UP = 5
"""Requests of each thread that are not counted: its connection is made by them."""


class Ours:
    """django-appschema."""

    def set_up(self) -> None:
        call_command("migrate", verbosity=0)
        _plans()
        for host in HOSTS:
            self.create(host.split(".")[0])

    def create(self, name: str) -> float:
        new_schema = import_module("appschema.provisioning").new_schema
        return timed(lambda: new_schema(name, f"{name}.example.com"))

    def refill(self, count: int) -> None:
        """Have so many spares; each is made in one transaction, in which there are no rests."""
        for number in range(self.spares(), count):
            with transaction.atomic():
                self._refill(number + 1)
        self._refill(count)

    def refill_steadily(self, seconds: float) -> dict[str, Any]:
        """Make spares one after the other, with the rests between their keys, until the time is over."""
        begun, times = time.perf_counter(), list[float]()
        while (lasted := time.perf_counter() - begun) < seconds:
            wanted = self.spares() + 1
            times.append(timed(partial(self._refill, wanted)))
        return {"times": times, "failures": [], "lasted": lasted}

    def _refill(self, count: int) -> None:
        with override_settings(APPSCHEMA_SPARES=count):
            import_module("appschema.provisioning").refill_spares()

    def spares(self) -> int:
        return int(apps.get_model("appschema", "Spare").objects.count())

    def script(self, name: str) -> str:
        template = apps.get_model("appschema", "Template").objects.get()
        load_script = import_module("appschema.provisioning.template").load_script
        return str(load_script(template, "default").render(name))


class Peer:
    """A package with a model of tenants whose ``save()`` makes the schema."""

    def __init__(self) -> None:
        registry = f"{site.PACKAGE.removeprefix('django-')}_registry"
        self._tenant, self._domain = (
            apps.get_model(registry, name) for name in ("Tenant", "Domain")
        )

    def set_up(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path TO public")
        with connection.schema_editor() as editor:
            for model in (self._tenant, self._domain):
                editor.create_model(model)
        self._migrate_public()
        _plans()
        if site.VARIANT != site.PACKAGE:
            self._make_reference()

    def _migrate_public(self) -> None:
        if site.PACKAGE == "django-tenants":
            call_command("migrate_schemas", shared=True, verbosity=0)
        else:
            call_command("migrateschema", schemas=["public"], verbosity=0)

    def _make_reference(self) -> None:
        if site.PACKAGE == "django-tenants":
            self.create(site.CLONED)
        else:
            create_schema = import_module("django_pgschemas.utils").create_schema
            create_schema(site.CLONED, sync_schema=True, verbosity=0)

    def create(self, name: str) -> float:
        return timed(lambda: self._save(name))

    def _save(self, name: str) -> None:
        tenant = self._tenant(schema_name=name)
        tenant.auto_create_schema = True
        tenant.save(verbosity=0)
        self._domain(domain=f"{name}.example.com", tenant=tenant, is_primary=True).save()


def _plans() -> None:
    plan = apps.get_model("plans", "Plan")
    plan.objects.bulk_create(plan(title=f"plan {n}") for n in range(1, 101))


def create_at_once(ours: Ours, prefix: str, each: int) -> dict[str, Any]:
    """Let all threads create *each* schemas, one after the other; time starts when all are there."""
    ready = threading.Barrier(THREADS)

    def run(thread: int) -> tuple[list[float], list[str]]:
        connection.ensure_connection()
        ready.wait()
        try:
            return attempt([f"{prefix}{thread}x{n}" for n in range(each)], ours.create)
        finally:
            connection.close()

    begun = time.process_time()
    found = in_threads(run)
    return found | {"cpu": (time.process_time() - begun) / (THREADS * each)}


def create_steadily(ours: Ours, prefix: str, count: int, rate: float) -> dict[str, Any]:
    """Create *count* schemas, *rate* a second or as soon after that as can be."""
    begun = time.perf_counter()

    def one(number: int) -> float:
        wait_until(begun + number / rate)
        return ours.create(f"{prefix}{number}")

    times, failures = attempt(list(range(count)), one)
    return {"times": times, "failures": failures, "lasted": time.perf_counter() - begun}


def serve(application: Any, seconds: float, rate: float) -> dict[str, Any]:
    """Let all threads serve *rate* requests a second each, and time each from when it was due."""
    ready = threading.Barrier(THREADS)

    def run(thread: int) -> tuple[list[float], list[str]]:
        host = HOSTS[thread % len(HOSTS)]
        for _ in range(WARM_UP):
            respond(application, host)
        ready.wait()
        begun = time.perf_counter() + thread / THREADS / rate

        def one(number: int) -> float:
            wait_until(due := begun + number / rate)
            respond(application, host)
            # From when it was due: one that had to wait for the one before has waited too.
            return time.perf_counter() - due

        try:
            return attempt(list(range(int(seconds * rate))), one)
        finally:
            connection.close()

    return in_threads(run)


def respond(application: Any, host: str) -> None:
    statuses: list[str] = []
    response = application(environ(host, "/"), lambda status, headers: statuses.append(status))
    for _ in response:
        pass
    response.close()
    if statuses != ["200 OK"]:
        raise RuntimeError(f"The answer to a request of {host!r} is {statuses!r}, not 200.")


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))


def attempt(arguments: list[T], act: Callable[[T], float]) -> tuple[list[float], list[str]]:
    """Return the times of what went well, and what was said of what did not."""
    times, failures = [], []
    for argument in arguments:
        try:
            times.append(act(argument))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and told
            failures.append(f"{type(error).__name__}: {error}")
    return times, failures


def in_threads(run: Callable[[int], tuple[list[float], list[str]]]) -> dict[str, Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(run, range(THREADS)))
    return {
        "times": [each for times, _ in found for each in times],
        "failures": [each for _, failures in found for each in failures],
    }


def main() -> None:
    # What packages print is not an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    django.setup()
    ours, application = Ours(), get_wsgi_application()
    variant = ours if site.PACKAGE == "appschema" else Peer()
    orders: dict[str, Callable[..., Any]] = {
        "write migrations": lambda labels: call_command("makemigrations", *labels, verbosity=0),
        "set up": variant.set_up,
        "create": variant.create,
        "script": ours.script,
        "refill": ours.refill,
        "refill steadily": ours.refill_steadily,
        "spares": ours.spares,
        "create at once": lambda **details: create_at_once(ours, **details),
        "create steadily": lambda **details: create_steadily(ours, **details),
        "serve": lambda **details: serve(application, **details),
    }
    for line in sys.stdin:
        details = json.loads(line)
        answer = orders[details.pop("do")](**details)
        print(json.dumps(answer), flush=True, file=answers)


if __name__ == "__main__":
    main()

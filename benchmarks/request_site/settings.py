"""The settings of one variant; its name and its database come by the environment."""

import os
from typing import Any

from tools.database_url import django_database

VARIANT = os.environ["BENCHMARK_VARIANT"]
SECRET_KEY = "for-measuring-only"  # noqa: S105 - nothing is signed
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.request_site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING_CONFIG = None
MIDDLEWARE: list[str] = []
# One of the packages imports content types from its backend, so all have them.
INSTALLED_APPS = ["django.contrib.contenttypes", "benchmarks.request_site.items"]
ENGINES = {
    "plain": "django.db.backends.postgresql",
    "appschema": "appschema.backends.postgresql",
    "django-tenants": "django_tenants.postgresql_backend",
    "django-pgschemas": "django_pgschemas.postgresql",
}
DATABASE: dict[str, Any] = django_database(os.environ["BENCHMARK_URL"], engine=ENGINES[VARIANT])
DATABASE["CONN_MAX_AGE"] = None
if os.environ["BENCHMARK_MODE"] == "asgi":
    # Under ASGI each request has a thread of its own: only a pool keeps connections warm there.
    DATABASE |= {"CONN_MAX_AGE": 0}
    DATABASE["OPTIONS"] = {**DATABASE.get("OPTIONS", {}), "pool": {"min_size": 1, "max_size": 1}}

if VARIANT == "appschema":
    INSTALLED_APPS[:0] = ["appschema"]
    MIDDLEWARE += ["appschema.middleware.FqdnMiddleware"]
elif VARIANT == "django-tenants":
    INSTALLED_APPS[:0] = ["django_tenants", "benchmarks.request_site.tenants_registry"]
    MIDDLEWARE += ["django_tenants.middleware.main.TenantMainMiddleware"]
    SHARED_APPS = [
        "django_tenants",
        "benchmarks.request_site.tenants_registry",
        "django.contrib.contenttypes",
    ]
    TENANT_APPS = ["benchmarks.request_site.items"]
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
    TENANT_MODEL = "tenants_registry.Tenant"
    TENANT_DOMAIN_MODEL = "tenants_registry.Domain"
elif VARIANT == "django-pgschemas":
    INSTALLED_APPS[:0] = ["django_pgschemas", "benchmarks.request_site.pgschemas_registry"]
    MIDDLEWARE += ["django_pgschemas.routing.middleware.DomainRoutingMiddleware"]
    DATABASE_ROUTERS = ["django_pgschemas.routers.TenantAppsRouter"]
    TENANTS = {
        "public": {
            "APPS": [
                "django_pgschemas",
                "benchmarks.request_site.pgschemas_registry",
                "django.contrib.contenttypes",
            ]
        },
        "default": {
            "TENANT_MODEL": "pgschemas_registry.Tenant",
            "DOMAIN_MODEL": "pgschemas_registry.Domain",
            "APPS": ["benchmarks.request_site.items"],
            "URLCONF": ROOT_URLCONF,
        },
    }
# The views that are measured without it say so.
DATABASE["ATOMIC_REQUESTS"] = True
DATABASES = {"default": DATABASE}
if os.environ["BENCHMARK_MODE"] == "kinds":
    bound = {**DATABASE.get("OPTIONS", {}), "server_side_binding": True}
    DATABASES["bound"] = {**DATABASE, "OPTIONS": bound, "ATOMIC_REQUESTS": False}

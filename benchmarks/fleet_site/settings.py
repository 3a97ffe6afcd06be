"""The settings of one variant; its name and its database come by the environment."""

import os
from typing import Any

from tools.database_url import django_database

VARIANT = os.environ["BENCHMARK_VARIANT"]
CONNECTIONS = int(os.environ["BENCHMARK_CONNECTIONS"])
"""How many those executors have that run in parallel."""

SECRET_KEY = "for-measuring-only"  # noqa: S105 - nothing is signed
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "fleet_site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
MIDDLEWARE: list[str] = []
# The default is a model of an app that is not installed, which the check of one package loads.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
EACH = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "fleet_site.people",
    "fleet_site.catalogue",
    "fleet_site.sales",
    "fleet_site.support",
    "fleet_site.releases",
]
ENGINES = {
    "appschema": "appschema.backends.postgresql",
    "django-tenants": "django_tenants.postgresql_backend",
    "django-pgschemas": "django_pgschemas.postgresql",
}
DATABASE: dict[str, Any] = django_database(os.environ["BENCHMARK_URL"], engine=ENGINES[VARIANT])
DATABASES = {"default": DATABASE}

if VARIANT == "appschema":
    INSTALLED_APPS = ["appschema", "fleet_site.plans", *EACH]
    MIDDLEWARE += ["appschema.middleware.FqdnMiddleware"]
    APPSCHEMA_SHARED_APPS = ["fleet_site.plans"]
elif VARIANT == "django-tenants":
    SHARED_APPS = [
        "django_tenants",
        "benchmarks.request_site.tenants_registry",
        "fleet_site.plans",
    ]
    TENANT_APPS = EACH
    INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
    MIDDLEWARE += ["django_tenants.middleware.main.TenantMainMiddleware"]
    TENANT_MODEL = "tenants_registry.Tenant"
    TENANT_DOMAIN_MODEL = "tenants_registry.Domain"
    TENANT_MULTIPROCESSING_MAX_PROCESSES = CONNECTIONS
else:
    _shared = [
        "django_pgschemas",
        "benchmarks.request_site.pgschemas_registry",
        "fleet_site.plans",
    ]
    INSTALLED_APPS = [*_shared, *EACH]
    DATABASE_ROUTERS = ["django_pgschemas.routers.TenantAppsRouter"]
    MIDDLEWARE += ["django_pgschemas.routing.middleware.DomainRoutingMiddleware"]
    TENANTS: dict[str, dict[str, Any]] = {
        "public": {"APPS": _shared},
        "default": {
            "TENANT_MODEL": "pgschemas_registry.Tenant",
            "DOMAIN_MODEL": "pgschemas_registry.Domain",
            "APPS": EACH,
            "URLCONF": ROOT_URLCONF,
        },
    }
    PGSCHEMAS_PARALLEL_MAX_THREADS = CONNECTIONS

"""The settings of one variant; its name, its database and its app come by the environment.

The app of many tables and the shared app ``plans`` are written by ``benchmarks.provisioning``.
"""

import os
from typing import Any

from tools.database_url import django_database

VARIANT = os.environ["BENCHMARK_VARIANT"]
APP = os.environ["BENCHMARK_APP"]
PACKAGE = VARIANT.removesuffix(", clone")
CLONED = "reference"
"""The schema which those variants copy that copy one."""

SECRET_KEY = "for-measuring-only"  # noqa: S105 - nothing is signed
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.sign_up_site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING_CONFIG = None
MIDDLEWARE: list[str] = []
EACH = ["django.contrib.contenttypes", "django.contrib.auth", APP]
ENGINES = {
    "appschema": "appschema.backends.postgresql",
    "django-tenants": "django_tenants.postgresql_backend",
    "django-pgschemas": "django_pgschemas.postgresql",
}
DATABASE: dict[str, Any] = django_database(os.environ["BENCHMARK_URL"], engine=ENGINES[PACKAGE])
DATABASE |= {"CONN_MAX_AGE": None, "ATOMIC_REQUESTS": True}
DATABASES = {"default": DATABASE}

if PACKAGE == "appschema":
    INSTALLED_APPS = ["appschema", "plans", *EACH]
    MIDDLEWARE += ["appschema.middleware.FqdnMiddleware"]
    APPSCHEMA_SHARED_APPS = ["plans"]
elif PACKAGE == "django-tenants":
    SHARED_APPS = ["django_tenants", "benchmarks.request_site.tenants_registry", "plans"]
    TENANT_APPS = EACH
    INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
    TENANT_MODEL = "tenants_registry.Tenant"
    TENANT_DOMAIN_MODEL = "tenants_registry.Domain"
    if VARIANT != PACKAGE:
        TENANT_BASE_SCHEMA = CLONED
        TENANT_CREATION_FAKES_MIGRATIONS = True
else:
    _shared = ["django_pgschemas", "benchmarks.request_site.pgschemas_registry", "plans"]
    INSTALLED_APPS = [*_shared, *EACH]
    DATABASE_ROUTERS = ["django_pgschemas.routers.TenantAppsRouter"]
    TENANTS: dict[str, dict[str, Any]] = {
        "public": {"APPS": _shared},
        "default": {
            "TENANT_MODEL": "pgschemas_registry.Tenant",
            "DOMAIN_MODEL": "pgschemas_registry.Domain",
            "APPS": EACH,
            "URLCONF": ROOT_URLCONF,
        },
    }
    if VARIANT != PACKAGE:
        TENANTS["default"]["CLONE_REFERENCE"] = CLONED

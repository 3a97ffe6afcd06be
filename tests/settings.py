"""Settings of the sample site, on the server that `tests/server.py` has put in the environment."""

import os

from tools.database_url import django_database

DATABASES = {
    # The default only lets Django be set up where no query is made: by mypy's plugin, and by tools that read settings.
    "default": django_database(
        os.environ.get("APPSCHEMA_TEST_DATABASE_URL", "postgresql://127.0.0.1:5432/postgres")
    ),
}
INSTALLED_APPS = [
    "appschema",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "tests.sample.plans",
    "tests.sample.tags",
    "tests.sample.notes",
]
APPSCHEMA_SHARED_APPS = ["tests.sample.plans"]
APPSCHEMA_BOTH_APPS = ["tests.sample.tags"]

SECRET_KEY = "only for tests"
ROOT_URLCONF = "tests.sample.urls"
ALLOWED_HOSTS = ["*"]
MIDDLEWARE = [
    "appschema.middleware.FqdnMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "KEY_FUNCTION": "appschema.isolation.cache.make_key",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Hashing costs more than everything else that a test of a login does.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True

"""Settings of the demo. What makes it multi-tenant are the ENGINE, the first middleware and the APPSCHEMA_ lines."""

import os
from pathlib import Path

from tools.database_url import django_database
from tools.postgres import default_home

DATABASES = {"default": django_database(os.environ.get("DATABASE_URL", "postgresql:///demo"))}
INSTALLED_APPS = [
    "appschema",
    "demo.central",
    "demo.tracker",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "appschema.middleware.FqdnMiddleware",
    "demo.middleware.refuse_large_bodies",
    "demo.middleware.content_security_policy",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

APPSCHEMA_SHARED_APPS = ["demo.central"]  # Every other app is isolated: users, sessions and tasks.
APPSCHEMA_PUBLIC_NAMES = ["localhost", "127.0.0.1"]  # The central site.
APPSCHEMA_PUBLIC_URLCONF = "demo.central.urls"
APPSCHEMA_SPARES = 2  # Schemas that are ready: a sign-up renames one.
ROOT_URLCONF = "demo.tracker.urls"  # What each customer's host serves.

ALLOWED_HOSTS = [".localhost", "127.0.0.1"]
DEBUG = False  # The demo shows what a visitor would see.
# Enough for a site on this machine only; a real one keeps its key out of its code.
SECRET_KEY = "demo-only-" + "0" * 40
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_RESET_TIMEOUT = 60  # How long the link from the sign-up into the new workspace is good.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATICFILES_DIRS = [Path(__file__).parent / "static"]
USE_TZ = True
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "KEY_FUNCTION": "appschema.isolation.cache.make_key",
    },
}
# Each schema's files are in a directory of its own, and there is no MEDIA_URL: only a view, which asks who is there, gives them out.
STORAGES = {
    "default": {
        "BACKEND": "appschema.isolation.storage.SchemaStorage",
        "OPTIONS": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {
                # Beside the data of the demo's own server: `make clean` removes both.
                "location": os.environ.get("DEMO_FILES") or default_home() / "demo-files",
                "directory_permissions_mode": 0o700,
                "file_permissions_mode": 0o600,
            },
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"terminal": {"class": "logging.StreamHandler"}},
    # Errors are shown with DEBUG off too; an unknown workspace is no error of the site.
    "loggers": {"django": {"handlers": ["terminal"], "level": "ERROR", "propagate": False}},
}

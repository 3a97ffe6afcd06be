"""The settings that mypy's Django plugin reads: the apps of the sample site and of the demo."""

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [
    "appschema",
    "demo.central",
    "demo.tracker",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "tests.sample.notes",
    "tests.sample.plans",
    "tests.sample.tags",
]

from tests.evidence.sites.base import *  # noqa: F403
from tests.evidence.sites.base import DJANGO

INSTALLED_APPS = ["appschema", *DJANGO, "procrastinate.contrib.django"]
# By default it imports a module `tasks` of each app, and appschema's needs Django 6.0.
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

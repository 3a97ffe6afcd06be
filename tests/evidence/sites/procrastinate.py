from tests.evidence.sites.base import *  # noqa: F403
from tests.evidence.sites.base import DJANGO

INSTALLED_APPS = ["appschema", *DJANGO, "procrastinate.contrib.django"]

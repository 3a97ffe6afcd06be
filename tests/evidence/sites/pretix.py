import os
import tempfile

os.environ.setdefault("DATA_DIR", tempfile.mkdtemp())
os.environ.setdefault("PRETIX_DJANGO_SECRET", "only for tests")

from pretix.settings import *  # noqa: F403
from pretix.settings import INSTALLED_APPS as APPS

from tests.evidence.sites.base import DATABASES  # noqa: F401

INSTALLED_APPS = ["appschema", *APPS]
DATABASE_REPLICA = "default"

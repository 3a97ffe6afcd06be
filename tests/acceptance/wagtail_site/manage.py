"""Django's commands on the Wagtail project; DATABASE_URL names its database."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.acceptance.wagtail_site.settings")
    execute_from_command_line(sys.argv)

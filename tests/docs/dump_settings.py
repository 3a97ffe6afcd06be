"""Print the settings that the project has written, as Django has loaded them; see project.py."""

import importlib
import os
import pickle
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"

from django.conf import settings

written = filter(str.isupper, dir(importlib.import_module("shop.settings")))
sys.stdout.write(pickle.dumps({name: getattr(settings, name) for name in written}).hex())

from tests.acceptance.wagtail_site.settings import *  # noqa: F403

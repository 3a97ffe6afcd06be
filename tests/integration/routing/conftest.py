"""Two schemas, reached by ``acme`` and ``globex`` and by whole hosts, and one that is closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import django
import pytest
from django.test import override_settings
from django.urls import clear_script_prefix

from appschema import schema_context
from appschema.models import PublicName, Schema
from appschema.resolver import forget_names
from appschema.testing import ensure_schema
from tests.integration.routing.handlers import Ask, asgi, wsgi
from tests.integration.routing.site import SITE

SCHEMAS = {"acme": "routing_one", "globex": "routing_two"}
MORE = {"acme-old": "routing_one", "www.acme.test": "routing_one", "old.acme.test": "routing_one"}


@pytest.fixture
def schemas(committing: None) -> Iterator[None]:
    for public_name, name in SCHEMAS.items():
        ensure_schema(name, public_name)
    with schema_context("public"):
        for public_name, name in MORE.items():
            PublicName.objects.get_or_create(
                public_name=public_name, schema=Schema.objects.get(name=name)
            )
    forget_names()
    clear_script_prefix()
    templates = Path(django.__path__[0]) / "contrib/admin/templates"
    with override_settings(
        ROOT_URLCONF=SITE,
        STATIC_URL="static/",
        MEDIA_URL="media/",
        LOGIN_URL="login",
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [templates],
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                    ]
                },
            }
        ],
    ):
        yield
    Schema.objects.filter(name__in=SCHEMAS.values()).update(is_active=True)
    for public_name in SCHEMAS:
        make_primary(public_name)
    PublicName.objects.filter(schema__name__in=SCHEMAS.values()).exclude(
        public_name__in=SCHEMAS
    ).delete()
    forget_names()
    clear_script_prefix()


@pytest.fixture(params=[wsgi, asgi], ids=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return cast(Ask, request.param)


def make_primary(public_name: str) -> None:
    row = PublicName.objects.get(public_name=public_name)
    PublicName.objects.filter(schema=row.schema).update(is_primary=False)
    PublicName.objects.filter(pk=row.pk).update(is_primary=True)

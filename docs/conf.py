# ruff: noqa: INP001 - Sphinx executes this file; it is no module of a package
"""How Sphinx builds the documentation: `make docs`. Nothing is fetched, now or by a reader's browser."""

import re
import sys
from pathlib import Path

import django
from django.conf import settings
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

# The API is documented from its docstrings, and models can be imported only in a project.
settings.configure(
    INSTALLED_APPS=["appschema"],
    DATABASES={"default": {"ENGINE": "appschema.backends.postgresql", "NAME": "unused"}},
    MIDDLEWARE=["appschema.middleware.FqdnMiddleware"],
)
django.setup()

project = "django-appschema"
author = "The django-appschema maintainers"
project_copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["evidence/*.tsv"]

html_theme = "furo"
html_title = project
html_show_copyright = False
html_copy_source = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [
    # Names of type variables and aliases in signatures.
    ("py:.*", r"(.*\.)?~?[FPT]|GetResponse"),
    # A value whose two attributes the function tells of.
    ("py:class", r"appschema\.fleet\.result\.Result"),
    # What schematemplate writes: a text, and what it was made from.
    ("py:class", r"appschema\.provisioning\.template_file\.TemplateFile"),
    # What a snapshot is made of is not described one by one.
    ("py:.*", r"appschema\.catalog\.snapshot\..*"),
    # Other projects' names: their inventories would have to be fetched.
    ("py:.*", r"(django|psycopg|asgiref|pathlib|collections\.abc|concurrent|hmac|typing)\b.*"),
]

ROOT = Path(__file__).parents[1]
_RESULTS = re.compile(r"\]\((?:\.\./)+benchmarks/results/\w+\.md")


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Show the results of benchmarks, which are kept beside what makes them, on a page."""
    source[0] = _RESULTS.sub("](/benchmarks.md", source[0])
    if docname == "benchmarks":
        for path in sorted((ROOT / "benchmarks/results").glob("*.md")):
            source[0] += (
                f"\n```{{include}} ../benchmarks/results/{path.name}\n:heading-offset: 1\n```\n"
            )


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)

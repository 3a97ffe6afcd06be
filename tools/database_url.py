"""A libpq URL as an entry of Django's `DATABASES`."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict


def django_database(url: str, *, engine: str = "appschema.backends.postgresql") -> dict[str, Any]:
    """Return the settings for `url`, whatever libpq understands: TCP, a socket directory, options in the query."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    names = {
        "NAME": "dbname",
        "USER": "user",
        "PASSWORD": "password",
        "HOST": "host",
        "PORT": "port",
    }
    database = {setting: parts.pop(name, "") for setting, name in names.items()}
    return {"ENGINE": engine, **database, "OPTIONS": parts}

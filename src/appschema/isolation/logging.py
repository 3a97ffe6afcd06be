"""The current schema in each line of a log.

Put the filter on handlers, so that it sees the records of all loggers:

``LOGGING = {"filters": {"schema": {"()": "appschema.isolation.logging.SchemaFilter"}}, ...}``
"""

from __future__ import annotations

import logging

from appschema.context import current_schema


class SchemaFilter(logging.Filter):
    """Give each record ``schema_name``, for ``{schema_name}`` in a format; '-' while it is unset.

    It is read in the thread that logs. A record that has one already, from ``extra`` or from a
    filter before a queue, keeps it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "schema_name"):
            record.schema_name = current_schema() or "-"
        return True

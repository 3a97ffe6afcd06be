"""The life of a customer's schema, in which row and schema always change together.

Safe in a web request: neither INSTALLED_APPS nor the app registry is touched, and nothing of
a schema is seen by anybody before all of it is committed.
"""

from .create import new_schema
from .drop import drop_schema

__all__ = ["drop_schema", "new_schema"]

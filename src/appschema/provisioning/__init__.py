"""The life of a customer's schema, in which row and schema always change together.

Safe in a web request: neither INSTALLED_APPS nor the app registry is touched, and nothing of
a schema is seen by anybody before all of it is committed.
"""

from .activity import activate_schema, deactivate_schema
from .adopt import adopt_schema
from .asynchronous import (
    aactivate_schema,
    aadd_public_name,
    aadopt_schema,
    aclone_schema,
    adeactivate_schema,
    adrop_schema,
    adue_schemas,
    anew_schema,
    apurge_schema,
    arefill_spares,
    aremove_public_name,
    arename_schema,
    aundrop_schema,
)
from .clone import clone_schema
from .create import new_schema
from .drop import drop_schema, undrop_schema
from .export import compile_template, export_template
from .public_names import add_public_name, remove_public_name
from .purge import due_schemas, purge_due_schemas, purge_schema
from .refill import refill_spares
from .rename import rename_schema

__all__ = [
    "aactivate_schema",
    "aadd_public_name",
    "aadopt_schema",
    "aclone_schema",
    "activate_schema",
    "add_public_name",
    "adeactivate_schema",
    "adopt_schema",
    "adrop_schema",
    "adue_schemas",
    "anew_schema",
    "apurge_schema",
    "arefill_spares",
    "aremove_public_name",
    "arename_schema",
    "aundrop_schema",
    "clone_schema",
    "compile_template",
    "deactivate_schema",
    "drop_schema",
    "due_schemas",
    "export_template",
    "new_schema",
    "purge_due_schemas",
    "purge_schema",
    "refill_spares",
    "remove_public_name",
    "rename_schema",
    "undrop_schema",
]

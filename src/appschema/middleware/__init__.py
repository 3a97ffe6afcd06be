"""The middlewares that pick the schema of each request, each by another way to recognise it.

Derive from ``SchemaMiddleware`` and override ``get_public_name`` to recognise requests by
anything else.
"""

from .base import SchemaMiddleware
from .chain import ChainMiddleware
from .header import HeaderMiddleware
from .hosts import FqdnMiddleware, SubdomainMiddleware
from .path_prefix import PathPrefixMiddleware

__all__ = [
    "ChainMiddleware",
    "FqdnMiddleware",
    "HeaderMiddleware",
    "PathPrefixMiddleware",
    "SchemaMiddleware",
    "SubdomainMiddleware",
]

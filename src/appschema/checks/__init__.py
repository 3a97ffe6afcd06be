"""The system checks: what is wrong with a project's settings, and the mend.

Each module registers its own.
"""

from .database import check_roles, check_server
from .isolation import check_isolation
from .placement import check_settings
from .routing import check_routing

__all__ = ["check_isolation", "check_roles", "check_routing", "check_server", "check_settings"]

"""What is known of the path inside the open transaction of one connection.

Every statement carries its own path, so nothing here is needed for a statement to run in the
right schema. It answers two narrower questions: did the user's SQL set a path of its own that
is to be left in place, and may triggers be pending under another path than the next one?
Whenever the answer is not sure it is the safe one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary


class TransactionPath:
    """The path of one connection's open transaction, as far as it is known."""

    __slots__ = ("_depth", "_path", "_schema_name", "_touched", "_users")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """No transaction is open: nothing is pending, nothing is set."""
        self._touched = False
        self.forget()

    def forget(self) -> None:
        """Something may have undone what was set: a rollback to a savepoint does."""
        self._path: str | None = None
        self._schema_name: str | None = None
        self._users = False
        self._depth = -1

    def carry(self, schema_name: str | None, path: str, depth: int) -> None:
        """An envelope with this path is sent. ``depth`` counts psycopg's own transaction blocks."""
        self._path, self._schema_name, self._depth = path, schema_name, depth
        self._touched = True
        self._users = False

    def yield_to_user(self) -> None:
        """The statement that was sent last may have set a path of its own."""
        self._users = True

    def is_users(self, path: str, depth: int) -> bool:
        """Tell whether the user's own path stands since an envelope with *path*."""
        return self._users and self._path == path and self._depth == depth

    def may_hold_triggers_of_another(self, schema_name: str | None, depth: int) -> bool:
        """Tell whether triggers may be pending that belong to another schema."""
        if not self._touched:
            return False
        return self._path is None or self._schema_name != schema_name or self._depth != depth


_paths: WeakKeyDictionary[Any, TransactionPath] = WeakKeyDictionary()


def path_of(connection: Any) -> TransactionPath:
    """Return what is known of the psycopg *connection*; call it with its lock held."""
    try:
        return _paths[connection]
    except KeyError:
        return _paths.setdefault(connection, TransactionPath())

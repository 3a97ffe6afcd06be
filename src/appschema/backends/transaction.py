"""What is known of the path inside the open transaction of one connection.

Every statement carries its own path, so nothing here is needed for a statement to run in the
right schema. It answers two narrower questions: did the user's SQL set a path of its own that
is to be left in place, and may triggers be pending that belong to another schema than the next
statement's? Whenever the answer is not sure it is the safe one.
"""

from __future__ import annotations

Holder = tuple[str | None, str | None]
"""A schema and a role: what the triggers that are pending belong to."""


class TransactionPath:
    """The path of one connection's open transaction, as far as it is known."""

    __slots__ = ("_carried", "_holder", "_path", "_pending", "_users")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A transaction begins, or none is open: nothing is pending, nothing is set."""
        self._carried: set[Holder] = set()
        self._pending: set[Holder] = set()
        self._path: str | None = None
        self._holder: Holder | None = None
        self._users = False

    def forget(self) -> None:
        """Something may have undone what was set: a rollback to a savepoint does.

        It also makes pending again the triggers that were fired since that savepoint.
        """
        self._pending = set(self._carried)
        self._path = None
        self._users = False

    def carry(self, holder: Holder, path: str) -> None:
        """An envelope with this path is sent, after the triggers of others were fired."""
        self._carried.add(holder)
        self._pending = {holder}
        self._path = path
        self._holder = holder
        self._users = False

    def stands(self, holder: Holder, path: str) -> bool:
        """Tell whether the last envelope was the same, and nothing has happened since.

        Then ``carry`` would change nothing, and no triggers of others are pending.
        """
        return self._path == path and self._holder == holder and not self._users

    def yield_to_user(self) -> None:
        """The statement that is sent now may set a path of its own."""
        self._users = True

    def is_users(self, path: str) -> bool:
        """Tell whether the user's own path stands since an envelope with *path*."""
        return self._users and self._path == path

    def may_hold_triggers_of_another(self, holder: Holder) -> bool:
        """Tell whether triggers may be pending that belong to another schema, or another role."""
        return not self._pending <= {holder}

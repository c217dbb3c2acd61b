"""What can be in the way of keeping a room; each error names what, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from delivery.ledger import LedgerError


class StoreError(Exception):
    """Rooms cannot be read or written now; the message names what is in the way and the fix."""


class StaleRoomError(StoreError):
    """Somebody else saved `room` since it was loaded, so nothing was saved."""

    def __init__(self, room: str, version: int) -> None:
        """`version`: the one that was loaded."""
        super().__init__(
            f"room {room!r}: it is not at version {version} any more, somebody else saved it; "
            "load it again and make the change to that"
        )
        self.room = room


@contextmanager
def explained() -> Iterator[None]:
    """A database's LedgerErrors come out as StoreErrors, with the same words."""
    try:
        yield
    except LedgerError as error:
        raise StoreError(str(error)) from error

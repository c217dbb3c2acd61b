"""What can be in the way of using a room; each error says what, and what to do."""

from __future__ import annotations


class RoomError(Exception):
    """A room cannot be used; the message says why and what to do."""


class TooManyRoomsError(RoomError):
    """There are as many rooms as one process may have."""


class TooManyMessagesError(RoomError):
    """As many messages wait in the room as may; this one was not taken."""


class RoomElsewhereError(RoomError):
    """Another process has the room, and its callers: send them to `address` (None: they cannot be sent there)."""

    def __init__(self, room: str, address: str | None) -> None:
        super().__init__(f"room {room!r} is open in another process" + (f": go to {address}" if address else ""))
        self.room = room
        self.address = address


class RoomClosingError(Exception):
    """The talk ended before something was done."""

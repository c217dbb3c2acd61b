"""What is kept of rooms: their metadata and what was said in them, there again after a restart."""

from orchestration.store.journal import Journal
from orchestration.store.memory import MemoryRoomStore
from orchestration.store.store import MAX_TIMELINE, RoomStore
from orchestration.store.stored_room import StoredRoom
from orchestration.store.trouble import StaleRoomError, StoreError

__all__ = [
    "MAX_TIMELINE",
    "Journal",
    "MemoryRoomStore",
    "RoomStore",
    "StaleRoomError",
    "StoreError",
    "StoredRoom",
]

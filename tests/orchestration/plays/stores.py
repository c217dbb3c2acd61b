"""A store and a ledger that refuse now and then, and are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from orchestration.event import RoomEvent
from orchestration.store.memory import MemoryRoomStore
from orchestration.store.trouble import StoreError
from tests.delivery.house import Door


class Store(MemoryRoomStore):
    """It is away now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.takes = 0.0

    async def save(self, room: str, metadata: Any, version: int) -> int:
        await self._pass()
        return await super().save(room, metadata, version)

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        await self._pass()
        await super().add(room, events)

    async def _pass(self) -> None:
        if self.takes:
            await asyncio.sleep(self.takes)
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the store is away")


class Ledger(Door):
    """It stays what it is when it is opened again."""

"""Delivering: what a Runtime does with what is to be spoken: takes it, finds it again, lists it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from uuid import uuid4

from delivery.ledger import Delivery, Entry, OnInterrupt, SpeakAs, Status
from delivery.receipt import Receipt
from delivery.strategies import Strategy, resolve, seconds
from orchestration.content import speakable
from orchestration.event import known
from orchestration.identity import valid_name
from orchestration.parts import Parts


class Delivering(Parts):
    """A part of Runtime."""

    async def deliver(
        self,
        room_id: str,
        content: str,
        *,
        strategy: Strategy | str | None = None,
        id: str | None = None,
        to: str | None = None,
        priority: int = 0,
        ttl: float | None = None,
        supersedes: str | None = None,
        max_wait: float | Literal["default"] | None = "default",
        on_interrupt: OnInterrupt | str = OnInterrupt.RESUME,
        speak_as: SpeakAs | str = SpeakAs.VERBATIM,
        fold: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Have `content` spoken in the room when `strategy` says so; returns when that is durable.

        `id` makes it idempotent: the same id with the same content is one delivery, also when it is asked for again
        after an error. Raises ValueError naming the field that is wrong, RoomError when no caller can ever come to that
        room here, and LedgerError when it cannot be stored (also: the id has other content, the queue is full). A room
        that is closed, or that nobody has opened yet, keeps what is delivered until callers come.
        """
        name = self.reachable(room_id)
        chosen = self.delivery_of(name) if strategy is None else resolve(strategy)
        seconds("ttl", ttl)
        wait = chosen.max_wait if max_wait == "default" else max_wait
        seconds("max_wait", wait)
        if not isinstance(metadata, Mapping | None):
            raise ValueError(f"metadata: {type(metadata).__name__} is no mapping; give a dict")
        delivery = Delivery(
            id=uuid4().hex if id is None else id,
            room=name,
            content=speakable(content),
            strategy=chosen.written(),
            to=to,
            priority=priority,
            ttl=ttl,
            supersedes=supersedes,
            max_wait=wait,
            on_interrupt=known(OnInterrupt, "on_interrupt", on_interrupt),
            speak_as=known(SpeakAs, "speak_as", speak_as),
            fold=self.fold if fold is None else fold,
            metadata=dict(metadata or {}),
        )
        await self.ledger.put(delivery)
        return Receipt(delivery.id, self.ledger)

    def receipt(self, id: str) -> Receipt:
        """The receipt of any delivery, also of another process or of before a restart. Awaiting it raises LedgerError
        when there is no such delivery."""
        self.check_open()
        return Receipt(id, self.ledger)

    async def deliveries(
        self, room_id: str, statuses: Iterable[Status | str] | None = None, *, limit: int = 100, newest: bool = True
    ) -> list[Entry]:
        """The room's deliveries in order of arrival, of all processes: the `newest` of these statuses, or the first.

        Without `statuses` those that are not over; `[Status.DEAD]` lists what was set aside. `receipt(id)` replays or
        cancels one. Raises ValueError naming the field that is wrong, and LedgerError.
        """
        name = valid_name(room_id, "room_id")
        self.check_open()
        wanted = None if statuses is None else [known(Status, "statuses", each) for each in statuses]
        return await self.ledger.entries(name, wanted, limit, newest=newest)

"""Callers on live legs: who comes, hears, speaks and goes; shared by all channels that real callers are put on.

What breaks at one caller's end is said in the log and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from voice.channel import Caller
from voice.ear import Ear
from voice.events import DIGITS, Deafness, DigitPressed
from voice.exchange import Exchange
from voice.leg import FRAME_BYTES, Frame, Hearing, Leg, LegEvent, Played, Pressed
from voice.listening import Listening
from voice.playout import Clear, Finish, Send
from voice.utterance import SpokenUtterance

log = logging.getLogger("sottovoce.channel")


class _LegOutlet:
    """The agent's voice on its way into a leg."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    @property
    def receipts(self) -> bool:
        return self._leg.receipts

    @property
    def jitter(self) -> float:
        return self._leg.jitter

    def send(self, utterance: SpokenUtterance, sending: Send) -> None:
        begin = 2 * sending.source
        pcm = bytes(utterance.pcm[begin : begin + 2 * sending.samples])
        self._leg.send(pcm.ljust(FRAME_BYTES, b"\0"), stream=sending.stream, position=sending.position)

    def finish(self, finishing: Finish) -> None:
        self._leg.finish(finishing.stream, finishing.samples)

    def clear(self, clearing: Clear) -> None:
        self._leg.clear(clearing.stream)


class _Visit:
    """One caller's leg while it lasts."""

    def __init__(self, leg: Leg, listening: Listening) -> None:
        self.leg = leg
        self.listening = listening
        self.outlet = _LegOutlet(leg)
        self.deaf = False
        self.reader: asyncio.Task[None] | None = None

    @property
    def caller(self) -> Caller:
        return self.leg.caller


class LegExchange(Exchange):
    """An exchange over live legs: `async with channel:`, and within it `await channel.serve(leg)` for each caller."""

    def __init__(self, **options: Any) -> None:
        """`options`: see `Exchange`."""
        super().__init__(**options)
        self._visits: dict[str, _Visit] = {}

    def _hearing(self, caller: str) -> tuple[Ear, Listening]:
        """What finds the turns in this caller's voice."""
        raise NotImplementedError

    def _overhear(self, caller: str, pcm: bytes) -> None:
        """A frame of a caller's voice came; their ear has had it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for visit in list(self._visits.values()):
            self._dismiss(visit)
        await super().__aexit__(kind, error, trace)

    async def serve(self, leg: Leg) -> None:
        """Have the caller of this leg in the room until the leg ends, is replaced by another one of the same caller, or
        the channel closes. A caller whose connection broke is waited for; one whose `serve` is cancelled has left."""
        self._check_open()
        id = leg.caller.id
        ear, listening = self._hearing(id)
        visit = _Visit(leg, listening)
        if old := self._visits.get(id):
            self._dismiss(old)
            self.deafen(id, Deafness.RECONNECTING)
        self._visits[id] = visit
        gone = True
        try:
            async with asyncio.TaskGroup() as group:
                listener = group.create_task(visit.listening.run(), name=f"listening to {id}")
                visit.reader = group.create_task(self._read(visit), name=f"reading the leg of {id}")
                self.enter(leg.caller, ear, visit.outlet)
                await asyncio.wait([visit.reader])
                listener.cancel()
            gone = leg.hung_up
        finally:
            if self._visits.get(id) is visit:
                self._dismiss(visit)
                if gone:
                    self.leave(id)
                else:
                    self.deafen(id, Deafness.RECONNECTING)

    def send_panel(self, kind: str, payload: Mapping[str, Any], to: str | None = None) -> None:
        """Show something to those who can see (`to`: to this caller only)."""
        for id, visit in self._visits.items():
            if to in (None, id):
                visit.leg.send_panel(kind, payload)

    # -- legs

    def _dismiss(self, visit: _Visit) -> None:
        """Nothing more is taken from this leg."""
        if self._visits.get(visit.caller.id) is visit:
            del self._visits[visit.caller.id]
        visit.listening.close()
        if visit.reader is not None:
            visit.reader.cancel()

    async def _read(self, visit: _Visit) -> None:
        """Take what a leg brings until it ends; one that fails counts as broken."""
        try:
            async for event in visit.leg.incoming():
                self._take(visit, event)
        except Exception:
            log.exception("the leg of caller %s failed", visit.caller.id)

    def _take(self, visit: _Visit, event: LegEvent) -> None:
        id = visit.caller.id
        match event:
            case Frame(pcm) if not visit.deaf:
                visit.listening.hear(pcm)
                self._overhear(id, pcm)
                for other, peer in self._visits.items():
                    if other != id and not peer.deaf:
                        peer.leg.send_peer(pcm, id)
            case Played(stream, samples, flushed):
                self.receive(id, stream, samples, flushed)
            case Pressed(digit) if digit in DIGITS:
                self.tell(DigitPressed(id, digit))
            case Hearing(deaf):
                self._turn_ear(visit, deaf)
            case _:
                pass

    def _turn_ear(self, visit: _Visit, deaf: Deafness | None) -> None:
        """A caller ceases to hear (on hold), or hears again."""
        if deaf is not None:
            visit.deaf = True
            visit.listening.hush()
            self.deafen(visit.caller.id, deaf)
        elif visit.deaf:
            visit.deaf = False
            self.hear_again(visit.caller.id, visit.outlet)

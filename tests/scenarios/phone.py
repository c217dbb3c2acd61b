"""A phone: a caller with real sound in the frames, on the real cascade, under a real runtime, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from delivery import Status
from orchestration import Runtime
from orchestration.room import Room
from tests.scenarios.scenes import house
from tests.voice.doubles import (
    WORD_FRAMES,
    FakeLeg,
    Recognizer,
    Synthesizer,
    Vad,
    number,
    quiet,
    sleep_until,
    sound,
    spoken,
)
from voice.cascade import CascadeChannel
from voice.clock import run
from voice.events import Event
from voice.floor import FloorChanged, FloorState
from voice.stt.recognizer import Hints

ROOM = "phone"
WORD = 0.3
"""Seconds that a word of the doubles takes."""
BREATH = 0.06
"""Seconds between two words: without them a voice would sound like a steady noise."""


GRAMMAR = "#JSGF V1.0; grammar g; public <s> = what time is it;"


class Phone:
    """One caller's. `leg` is their end of the line; `how` goes to each `FakeLeg`."""

    def __init__(self, runtime: Runtime, **how: Any) -> None:
        self.runtime = runtime
        self.channel: CascadeChannel
        self.leg: FakeLeg
        self.told: list[tuple[float, Event | FloorChanged]] = []
        """What the room's channel told, with the times."""
        self._how = how
        self._joined: asyncio.Task[None] | None = None

    async def call(self) -> None:
        """Join the room, also once more after the line broke."""
        self.leg = FakeLeg("anna", **self._how)
        self._joined = asyncio.create_task(self.runtime.join(ROOM, self.leg))
        session = await self.runtime.enter(ROOM)
        if not self.told:
            assert isinstance(session.channel, CascadeChannel)
            self.channel = session.channel
            self.channel.listen(lambda event, at: self.told.append((at, event)))
        await self.listen(0.02)

    async def end(self, *, hung_up: bool) -> None:
        """The line is gone: the caller hung up, or it broke."""
        assert self._joined is not None
        self.leg.end(hung_up=hung_up)
        await self._joined

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def say(self, text: str, *, flat: bool = False) -> tuple[float, float]:
        """Speak, with a breath between the words as people have; returns when it began and ended.

        `flat`: without any change of loudness.
        """
        begun = self.now
        for word in text.split():
            frames = [sound(number(word), last) for last in (False,) * (WORD_FRAMES - 1) + (True,)]
            await self.leg.play([*(frames if flat else spoken(word)), *quiet(BREATH)])
        return begun, self.now - BREATH

    async def listen(self, seconds: float) -> None:
        """Be silent; the microphone stays open."""
        await self.leg.play(quiet(seconds))

    async def hears(self, text: str, timeout: float = 60.0) -> float:
        """Be silent until the ear has heard `text`; returns when the first of its words began."""
        until = self.now + timeout
        while (at := self.heard_at(text)) is None:
            assert self.now < until, f"not heard: {text!r}, only {self.leg.text!r}"
            await self.listen(0.1)
        return at

    def heard_at(self, text: str) -> float | None:
        """When the ear first heard `text`, by the beginning of its first word."""
        wanted, heard = text.split(), self.leg.heard()
        for first in range(len(heard) - len(wanted) + 1):
            if [word for _, word in heard[first : first + len(wanted)]] == wanted:
                return heard[first][0] - WORD
        return None

    async def statuses(self) -> list[Status]:
        """Where the room's deliveries stand, in order of arrival."""
        await self.listen(1)
        return [entry.status for entry in await self.runtime.ledger.entries(ROOM, list(Status))]

    def state(self, at: float) -> FloorState:
        """The floor at that time."""
        changes = [what.view.state for when, what in self.told if isinstance(what, FloorChanged) and when <= at]
        return changes[-1] if changes else FloorState.OPEN


def dial(
    script: Callable[[Phone], Awaitable[None]], *, stt: Recognizer | None = None, grammar: bool = False, **leg: Any
) -> None:
    """Play a call over the phone; `leg` goes to `FakeLeg`. `grammar`: only some sentences are expected."""

    async def main() -> None:
        hints = Hints(grammar=GRAMMAR) if grammar else Hints()

        def channel(_: Room) -> CascadeChannel:
            return CascadeChannel(stt=stt or Recognizer(), tts=Synthesizer(), vad=Vad(), hints=hints)

        orchestration = house().orchestration
        async with Runtime(orchestration=orchestration, state=None, channels=channel) as runtime:
            phone = Phone(runtime, **leg)
            await phone.call()
            await script(phone)
            await phone.end(hung_up=True)

    run(main())


__all__ = ["ROOM", "WORD", "Phone", "dial", "sleep_until"]

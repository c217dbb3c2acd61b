"""An ear that outlives the process which speaks to it: every frame that is sent to it is in a file before it is played.

What was heard is reckoned from that file alone, frame by frame as an ear plays them, never from what a process says.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from voice.channel import Caller
from voice.leg import FRAME_SAMPLES, RATE, Leg
from voice.playout import LEAD, Clear, Finish, Send
from voice.simulated import SimulatedCaller, SimulatedChannel
from voice.simulated_ear import SimulatedEar
from voice.utterance import SpokenUtterance


class Notes:
    """A file of notes that several processes write: [what, pid, loop seconds, facts...], a line each, whole or not at
    all. The loop's clock is the machine's, hurried alike in all of them."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._loop = asyncio.get_running_loop()

    def add(self, what: str, *facts: Any) -> None:
        os.write(self._file, json.dumps([what, os.getpid(), self._loop.time(), *facts]).encode() + b"\n")


def read(path: Path) -> Iterator[list[Any]]:
    """The notes in a file."""
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


class WrittenEar(SimulatedEar):
    """Writes down what it is sent, and gives receipts for what it has played, as a browser does."""

    def __init__(self, channel: SimulatedChannel, name: str, notes: Notes) -> None:
        super().__init__(name, receipts=True)
        self._channel = channel
        self._caller = name
        self._notes = notes
        self._played: list[tuple[float, int]] = []
        """Of the present stream: when so many samples will have been played."""
        self._stream = 0

    def send(self, utterance: SpokenUtterance, sending: Send) -> None:
        marks, start = utterance.playout.marks, sending.source
        words = utterance.text[marks.heard(start) : marks.heard(start + sending.samples)].split()
        self._notes.add("send", sending.stream, sending.samples, words)
        now = self._loop.time()
        free = self._played[-1][0] if self._played else now
        if self._stream != sending.stream:
            self._stream, self._played = sending.stream, []
        self._played.append((max(now, free) + sending.samples / RATE, sending.position + sending.samples))
        if words:
            self._give_receipt(*self._played[-1])
        super().send(utterance, sending)

    def finish(self, finishing: Finish) -> None:
        if finishing.stream == self._stream:
            self._give_receipt(*self._played[-1])
        super().finish(finishing)

    def clear(self, clearing: Clear) -> None:
        now = self._loop.time()
        reached = max((samples for end, samples in self._played if end <= now), default=0)
        if clearing.stream == self._stream:
            self._loop.call_soon(self._channel.receive, self._caller, clearing.stream, reached, True)
        super().clear(clearing)

    def silence(self) -> None:
        self._notes.add("clear", self._stream)
        self._played = []
        super().silence()

    def _give_receipt(self, at: float, samples: int) -> None:
        self._loop.call_at(at, self._receipt, self._stream, samples)

    def _receipt(self, stream: int, samples: int) -> None:
        if (stream, samples) in ((self._stream, each) for _, each in self._played):
            self._notes.add("played", stream)
            self._channel.receive(self._caller, stream, samples, False)


class TownChannel(SimulatedChannel):
    """A simulated room that takes callers as a real one does; audio leaves it as from a real one, frame by frame."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._pace = (LEAD, FRAME_SAMPLES)
        self._notes = notes

    async def serve(self, leg: Leg) -> None:
        mine = cast("TownLeg", leg)
        caller = SimulatedCaller(self, mine.caller, WrittenEar(self, mine.caller.id, self._notes))
        mine.connected.set_result(caller)
        try:
            await mine.gone.wait()
        finally:
            if self._open:
                caller.hang_up()


class TownLeg:
    """A caller's way into a `TownChannel`. `connected` gives their end of the line; set `gone` to hang up."""

    def __init__(self, name: str) -> None:
        self.caller = Caller(name, name, {})
        self.connected: asyncio.Future[SimulatedCaller] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()


# -- what was heard


@dataclass
class Heard:
    """What came out of one process: words in order, and when each had been played (loop seconds).

    `surely` were played while the process lived; `perhaps` also had been sent when it died, and may have been played.
    """

    pid: int
    surely: list[tuple[float, str]] = field(default_factory=list)
    perhaps: list[tuple[float, str]] = field(default_factory=list)
    until: float = 0.0
    """When all that was sent has been played."""


def heard(path: Path) -> list[Heard]:
    """What the ears heard, process by process."""
    lives: dict[int, Heard] = {}
    for what, pid, at, *facts in read(path):
        life = lives.setdefault(pid, Heard(pid))
        if what == "clear":
            life.perhaps = [(end, word) for end, word in life.perhaps if end <= at]
            life.until = at
        elif what == "send":
            _, samples, words = facts
            life.until = max(at, life.until) + samples / RATE
            life.perhaps += [(life.until, word) for word in words]
        life.surely = [(end, word) for end, word in life.perhaps if end <= at]
    return list(lives.values())

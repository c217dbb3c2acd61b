"""The microphone: whose sound a model hears. One caller at a time, whoever began to speak first; nobody is garbled.

A caller who begins while another has it is kept, and heard by the model as soon as that turn is over. The model hears
silence too, as it ends turns by it: when frames stop coming (a muted microphone), some is made for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from voice.alarm import Alarm
from voice.leg import FRAME_SECONDS, RATE

LEAD_IN = 0.5
"""Seconds of sound kept of who is silent: a voice is noticed late, and its beginning is wanted."""
KEPT = 20.0
"""Seconds of sound kept of a turn that the model has not heard, or may have to hear again."""
GAP = 0.1
"""Seconds without a frame after which silence is made, in pieces of this length."""
FADE = 5.0
"""Seconds of silence that are made; by then every model has ended the turn."""
_SILENCE = bytes(2 * round(GAP * RATE))


class Microphone:
    """`push` is given what the model hears: 16 kHz, 16-bit mono."""

    def __init__(self, push: Callable[[bytes], None]) -> None:
        self._push = push
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._fill)
        self._made = 0.0
        self._kept: dict[str, deque[bytes]] = {}
        self._turns: dict[str, None] = {}
        """Callers in the middle of a turn, who began first first."""
        self.holder: str | None = None
        """Whose sound the model hears."""

    def hear(self, caller: str, pcm: bytes) -> None:
        """A frame of a caller's voice."""
        kept = self._kept.setdefault(caller, deque(maxlen=round(KEPT / FRAME_SECONDS)))
        kept.append(pcm)
        if caller not in self._turns:
            while len(kept) > LEAD_IN / FRAME_SECONDS:
                kept.popleft()
        self.holder = self.holder or caller
        if caller == self.holder:
            self._made = 0.0
            self._alarm.set(self._loop.time() + GAP)
            self._push(pcm)

    def begin(self, caller: str) -> None:
        """A caller's turn begins, or goes on."""
        self._turns[caller] = None
        if self.holder not in self._turns:
            self._pass_to(caller)

    def end(self, caller: str) -> None:
        """A caller's turn is over."""
        self._turns.pop(caller, None)
        if caller == self.holder and self._turns:
            self._pass_to(next(iter(self._turns)))

    def leave(self, caller: str) -> None:
        """A caller is gone, or does not hear."""
        self.end(caller)
        self._kept.pop(caller, None)
        if caller == self.holder:
            self.holder = None
            self._alarm.set(None)

    def replay(self) -> None:
        """The model is another one now, and has heard nothing: it is given the turn that is under way."""
        if self.holder in self._turns:
            for pcm in self._kept.get(self.holder or "", ()):
                self._push(pcm)

    def close(self) -> None:
        """Nothing more is heard."""
        self._alarm.set(None)

    def _pass_to(self, caller: str) -> None:
        if caller == self.holder:
            return
        self.holder = caller
        for pcm in self._kept.get(caller, ()):
            self._push(pcm)

    def _fill(self) -> None:
        if self._made < FADE:
            self._made += GAP
            self._push(_SILENCE)
            self._alarm.set(self._loop.time() + GAP)

"""A simulated channel: scripted callers talk with the agent in loop time, without audio; made for `voice.clock.run`.

Turn-taking, barge-in, pacing of words and what was heard are decided by the very machines that serve real callers
(`Ear`, `Playout`, `Floor`); only the microphone, the recogniser, the synthesizer and the network are played.

    async with SimulatedChannel() as channel:
        anna = channel.join("anna")
        await anna.say("Compare Postgres and SQLite for me.")   # 2.5 words a second; returns when she has stopped
        turn = await anext(channel.turns())                     # 0.6 s of silence later
        channel.say("On it. Anything else?", reply_to=turn)
        line = await anna.hears("on it")                        # a `Line`: started, ended, heard, interrupted
        talk = anna.start_saying("Stop it.")                    # over the agent
        await talk

See `voice.simulated_caller.SimulatedCaller` for all that a caller can do.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar

from voice.channel import APOLOGY, Caller
from voice.ear import Ear
from voice.ear_signals import EarTimes
from voice.endpointing import Endpointer, FixedSilence
from voice.exchange import Exchange
from voice.floor import FloorTimes
from voice.leg import RATE, Leg
from voice.making import Made, Synthesize
from voice.simulated_caller import SimulatedCaller
from voice.simulated_ear import Line, NotHeardError, SimulatedEar
from voice.tts.synthesizer import WordMark

PACE = 2.5
"""Words a second: unhurried talk (150 a minute)."""
_WORD = re.compile(r"\S*[^\W_]\S*")

T = TypeVar("T")

__all__ = ["PACE", "Line", "NotHeardError", "SimulatedCaller", "SimulatedChannel", "SimulatedEar"]


class SimulatedChannel(Exchange):
    """A room with scripted callers. `pace`: words a second of agent and callers; delays in seconds."""

    def __init__(
        self,
        *,
        pace: float = PACE,
        stt_delay: float = 0.0,
        tts_delay: float = 0.0,
        endpointer: Endpointer | None = None,
        ear_times: EarTimes | None = None,
        times: FloorTimes | None = None,
        apology: str = APOLOGY,
        preemptive: bool = True,
    ) -> None:
        """`stt_delay`: until the recogniser gives a word, or its final; `tts_delay`: until a sentence's audio comes.
        `preemptive`: turns that are most likely over are told of."""
        if not pace > 0:
            raise ValueError(f"pace must be words a second > 0, not {pace!r}")
        for name, delay in (("stt_delay", stt_delay), ("tts_delay", tts_delay)):
            if not 0 <= delay < math.inf:
                raise ValueError(f"{name} must be seconds >= 0, not {delay!r}")
        ids = itertools.count(1)
        super().__init__(
            times=times, apology=apology, new_id=lambda kind: f"{kind}-{next(ids)}", lead=math.inf, frame=1
        )
        self._preemptive = preemptive
        self.pace = pace
        self.stt_delay = stt_delay
        self._tts_delay = tts_delay
        self._endpointer = endpointer or FixedSilence()
        self._ear_times = ear_times or EarTimes()
        self._scripts: set[asyncio.Task[Any]] = set()

    def join(
        self,
        name: str,
        *,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        jitter: float = 0.0,
        receipts: bool = True,
    ) -> SimulatedCaller:
        """A caller comes into the room, and hears. `id` is `name` unless told.

        `jitter`: seconds that their end holds the agent's voice back. `receipts=False`: their end never says what it
        played, as a broken transport does. Raises ValueError when somebody of this id is in the room.
        """
        self._check_open()
        caller = Caller(id or name, name, metadata or {})
        if caller.id in self._callers:
            raise ValueError(f"caller {caller.id!r} is in the room already; give another name or id")
        return SimulatedCaller(self, caller, SimulatedEar(name, jitter=jitter, receipts=not receipts))

    def ear_for(self, caller: str) -> Ear:
        """The machine that finds the turns in what this caller does."""
        return Ear(caller, lambda: self._new_id("turn"), self._endpointer, self._ear_times, foresees=self._preemptive)

    def run_script(self, script: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a part of a script beside the rest; cancelled when the channel closes."""
        task = self._group.create_task(script)
        self._scripts.add(task)
        task.add_done_callback(self._scripts.discard)
        return task

    async def serve(self, leg: Leg) -> None:
        """Nobody real can be served here. Raises TypeError."""
        raise TypeError(f"caller {leg.caller.id!r} is real, this channel is simulated: use join() for scripted callers")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for script in list(self._scripts):
            script.cancel()
        await super().__aexit__(kind, error, trace)

    def _synthesizer(self) -> Synthesize:
        return self._speak

    async def _speak(self, text: str) -> AsyncIterator[Made]:
        if self._tts_delay:
            await asyncio.sleep(self._tts_delay)
        spans = [m.span() for m in _WORD.finditer(text)]
        marks = tuple(WordMark(a, b, i / self.pace) for i, (a, b) in enumerate(spans))
        yield Made(round(len(spans) / self.pace * RATE), marks)

"""Simulation: a call with a runtime's agent in virtual time. Public API, for your tests.

    async with simulate(runtime) as call:
        await call.say("Compare Postgres and SQLite for us.")
        line = await call.hears("Postgres")
        assert line.started >= call.floor_opened(before=line) + 1.0

The call runs on an isolated copy of the runtime: its ledger, tasks and names live in memory, its speech is scripted
(2.5 words a second). Times are seconds of the event loop, exact in virtual time (`voice.clock.run`, or the `simulate`
fixture); on an ordinary loop the same call takes as long as a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from orchestration.runtime import Runtime
from orchestration.session import Session
from voice.events import Event, Turn, TurnEnded
from voice.floor import FloorChanged, FloorState
from voice.simulated import Line, NotHeardError, SimulatedCaller, SimulatedChannel

GAP = 0.2
"""Seconds of silence before a caller answers: the mean in ten languages (Stivers and others, 2009)."""

Simulate = Callable[..., AbstractAsyncContextManager["SimulatedCall"]]

__all__ = ["GAP", "Line", "Moment", "NotHeardError", "Simulate", "SimulatedCall", "simulate"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in the call, at `at` seconds."""

    at: float
    what: Event | FloorChanged


class SimulatedCall:
    """One caller's side of a call. `timeline` has all that happened in the room since the call began.

    `caller` has more of what a caller can do: noise, clicks, hold, keys, a broken connection (`voice.simulated`).
    """

    def __init__(self, runtime: Runtime, session: Session, name: str) -> None:
        self.runtime = runtime
        self.timeline: list[Moment] = []
        self._session = session
        self.caller: SimulatedCaller = self._attend(session).join(name)

    @property
    def room(self) -> str:
        """The room's name."""
        return self._session.room.id

    @property
    def now(self) -> float:
        """The time, in seconds of the event loop."""
        return asyncio.get_running_loop().time()

    @property
    def lines(self) -> Sequence[Line]:
        """What this caller's ear has had so far, in order; the last may still be going on."""
        return self.caller.lines

    @property
    def transcript(self) -> str:
        """What this caller heard, with times, for people."""
        return "\n".join(f"{line.started:9.3f} s  {line.heard}" for line in self.lines) or "(nothing)"

    # -- the caller's side

    async def say(self, text: str, *, gap: float = GAP, **how: Any) -> tuple[float, float]:
        """Say something like a polite person: after the agent's line, and a short silence, at a human pace.

        Returns when the caller has stopped, with the times (seconds) of beginning and end. `how` goes to
        `SimulatedCaller.say`: pace (words a second), pauses.
        """
        while (line := self._current()) is not None:
            await self._past(line)
        await asyncio.sleep(gap)
        return await self.caller.say(text, **how)

    async def interrupt(self, text: str, **how: Any) -> tuple[float, float]:
        """Say something at once, also over the agent."""
        return await self.caller.say(text, **how)

    async def hears(self, text: str, timeout: float = 60.0) -> Line:
        """Wait until this caller has heard `text` (in any case, within one line), and return its line.

        Looks only at what was heard since the last `hears`. Returns at the end of the words, which may be before the
        end of the line. Raises NotHeardError after `timeout` seconds.
        """
        return await self.caller.hears(text, timeout)

    async def silence(self, seconds: float) -> None:
        """Let time pass without a word of the caller's."""
        await asyncio.sleep(seconds)

    async def hang_up(self) -> None:
        """Leave the room."""
        self.caller.hang_up()
        await asyncio.sleep(0)

    async def rejoin(self) -> None:
        """Come back under the same name. If the room was given up meanwhile, its talk begins anew; `lines` go on."""
        session = await self.runtime.enter(self.room)
        if session is self._session:
            self.caller.reconnect()
        else:
            self._session = session
            self.caller = SimulatedCaller(self._attend(session), self.caller.caller, self.caller.ear)
        await asyncio.sleep(0)

    def joined_by(self, name: str) -> SimulatedCall:
        """Another caller comes into the room; returns their side of the call.

        Raises RuntimeError when the room was given up, because nobody was in it for long.
        """
        if self._session.closing:
            raise RuntimeError(f"room {self.room!r} was given up, nobody was in it; somebody has to rejoin() first")
        return SimulatedCall(self.runtime, self._session, name)

    def _attend(self, session: Session) -> SimulatedChannel:
        """Note all that happens in the session from now on."""
        channel = session.channel
        if not isinstance(channel, SimulatedChannel):
            raise TypeError(f"room {session.room.id!r} has a real channel; only a simulated one can be played with")
        channel.listen(lambda event, at: self.timeline.append(Moment(at, event)))
        return channel

    def _current(self) -> Line | None:
        """The line that is at the ear, if one is."""
        return self.lines[-1] if self.lines and not self.lines[-1].over else None

    async def _past(self, line: Line) -> None:
        """Wait for the end of a line, or of its words as far as they have come."""
        until = line.spans[-1][1] if line.spans else 0.0
        await asyncio.sleep(max(until - self.now, 0.001))

    # -- looking back

    @property
    def turns(self) -> list[Turn]:
        """What was understood of the callers, turn by turn."""
        return [m.what.turn for m in self.timeline if isinstance(m.what, TurnEnded)]

    @property
    def floor(self) -> list[tuple[float, FloorState]]:
        """When the floor came into which state."""
        views = [m.what.view for m in self.timeline if isinstance(m.what, FloorChanged)]
        return list(dict.fromkeys((view.since, view.state) for view in views))

    def floor_opened(self, before: Line | float) -> float:
        """When the floor last opened before a line began (or before a time). Raises ValueError when it never did."""
        until = before if isinstance(before, int | float) else before.started
        opened = [at for at, state in self.floor if state is FloorState.OPEN and at <= until]
        if not opened:
            raise ValueError("the floor was never open before that")
        return opened[-1]


@asynccontextmanager
async def simulate(
    runtime: Runtime, *, room: str = "simulation", caller: str = "caller", **speech: Any
) -> AsyncIterator[SimulatedCall]:
    """A call of `caller` with the runtime's agent. `speech` goes to `SimulatedChannel` (pace, delays).

    Raises TypeError or ValueError for what is wrong with `speech`.
    """
    SimulatedChannel(**speech)  # a mistake in it is raised here, and not in the room's task

    def channels(_: object) -> SimulatedChannel:
        return SimulatedChannel(**speech)

    async with runtime.simulated(channels) as copy:
        session = await copy.enter(room)
        call = SimulatedCall(copy, session, caller)
        await asyncio.sleep(0)
        yield call

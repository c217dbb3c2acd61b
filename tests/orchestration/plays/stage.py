"""The stage of a play: its steps, done in a room of a runtime that is closed and opened again where a play says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from delivery.ledger import Entry, Status
from orchestration import InboundMessage, InboundResult, TextContent
from orchestration.engines.memory import MemoryEngine
from orchestration.models.model import Role
from orchestration.runtime import Runtime
from orchestration.state import get_conversation_state
from orchestration.strategies.orchestration import Orchestration
from tests.orchestration.plays.channel import Channel
from tests.orchestration.plays.hooks import Hooks
from tests.orchestration.plays.play import PEOPLE, READERS, Come, Go, Mood, Restart, Say, Sound, Step, Trouble, Write
from tests.orchestration.plays.stores import Ledger, Store
from tests.orchestration.plays.troupe import Troupe
from tests.orchestration.post import Reader
from voice.simulated import SimulatedCaller

ROOM = "lobby"


class Stage:
    """Where a play is given: a runtime that may be closed and opened again on the same stores, and a room in it."""

    def __init__(self, troupe: Troupe, orchestration: Callable[[Troupe], Orchestration], *, reads: bool) -> None:
        self.troupe = troupe
        self.ledger, self.store, self.engine = Ledger(), Store(), MemoryEngine()
        self.readers = {id: Reader(id) for id in READERS} if reads else {}
        self.people: dict[str, SimulatedCaller] = {}
        self.channels: list[Channel] = []
        self.answers: list[tuple[int, str, str, asyncio.Task[InboundResult]]] = []
        self.entries: list[Entry] = []
        self.restarts = 0
        self._orchestration = orchestration(troupe)
        self._hooks = Hooks(troupe)
        self.runtime: Runtime
        self._group: asyncio.TaskGroup

    async def play(self, steps: Sequence[tuple[float, Any]], *, voices: bool) -> None:
        """Do all of it, and let what is owed be told."""
        async with asyncio.TaskGroup() as self._group:
            await self.open()
            try:
                await self._play(steps, voices=voices)
                self.entries = await self.ledger.entries(ROOM, list(Status))
                self._compare_memories()
            finally:
                await self.close()

    async def _play(self, steps: Sequence[tuple[float, Any]], *, voices: bool) -> None:
        if voices:
            for name in PEOPLE:
                await self.do(Come(name))
        for wait, step in steps:
            await asyncio.sleep(wait)
            await self.do(step)
        await self.do(Trouble(0, 0, 0.0))
        for reader in self.readers.values():
            reader.mood.clear()
        if voices:
            for name in PEOPLE:
                await self.do(Come(name))
            await asyncio.sleep(self.troupe.longest)
        if self.readers:
            for name in PEOPLE:
                await self.do(Go(name))
            await asyncio.sleep(80)
            await asyncio.sleep(self.troupe.longest)

    async def open(self) -> None:
        runtime = self.runtime = Runtime(
            orchestration=self._orchestration,
            ledger=self.ledger,
            store=self.store,
            engine=self.engine,
            state=None,
            keep=None,
            channels=self._channel,
        )
        self._hooks.join(runtime)
        await runtime.__aenter__()
        room = await runtime.create_room(ROOM)
        has = get_conversation_state(room).active_agent_id
        if self.restarts and room.handoff is not None and has != self.troupe.holder:
            self.troupe.fault(f"{has} has the conversation after a restart, not {self.troupe.holder}")
        for reader in self.readers.values():
            await runtime.attach_channel(ROOM, reader.channel)

    async def close(self) -> None:
        self.people.clear()
        await self.runtime.__aexit__(None, None, None)

    def _channel(self, room: object) -> Channel:
        channel = Channel(self.troupe)
        self.channels.append(channel)
        return channel

    async def do(self, step: Step) -> None:
        """One step of a play."""
        match step:
            case Say(who, size):
                if (caller := self._free(who)) is not None:
                    words = f"{self._next(who)} tell me more about that please"
                    self._speak(caller.say(" ".join(words.split()[: 2 + 2 * size])))
            case Sound(who, what):
                if (caller := self._free(who)) is not None:
                    self._speak(caller.noise(1.5) if what == "noise" else caller.say(what))
            case Come(who):
                await self._come(who)
            case Go(who, drop):
                if who in self.people:
                    self.people[who].drop() if drop else self.people[who].hang_up()
            case Write() | Mood():
                self._do_in_writing(step)
            case Trouble(store, ledger, slow):
                self.store.refusals, self.store.takes = store, slow
                self.ledger.refusals, self.ledger.moving_takes = ledger, slow
            case Restart():
                await self._restart()

    async def _restart(self) -> None:
        """Close the runtime, and open another one on the same stores; callers come back."""
        await self.do(Trouble(0, 0, 0.0))
        self.restarts += 1
        here = [name for name, caller in self.people.items() if caller.caller.id in caller._channel.callers]
        await self.close()
        await self.open()
        for name in here:
            await self._come(name)

    def _do_in_writing(self, step: Write | Mood) -> None:
        match step:
            case Write(who, channel):
                message = InboundMessage(channel, who, TextContent(f"{self._next(who)} tell me"))
                task = self._group.create_task(self._written(message))
                self.answers.append((self.troupe.turns, who, channel, task))
            case Mood(channel, mood):
                if channel in self.readers:
                    self.readers[channel].mood.append(OSError("gone") if mood is None else mood)

    async def _written(self, message: InboundMessage) -> Any:
        try:
            return await self.runtime.process_inbound(message, room_id=ROOM)
        except Exception as error:
            return error

    def _next(self, who: str) -> str:
        self.troupe.turns += 1
        self.troupe.askers[self.troupe.turns] = who
        return f"t{self.troupe.turns}"

    def _free(self, who: str) -> SimulatedCaller | None:
        caller = self.people.get(who)
        there = caller is not None and caller.caller.id in caller._channel.callers
        return caller if there and caller is not None and not caller.speaking else None

    def _speak(self, sound: Any) -> None:
        self.channels[-1].run_script(sound)

    async def _come(self, who: str) -> None:
        session = await self.runtime.enter(ROOM)
        channel = session.channel
        assert isinstance(channel, Channel)
        if (caller := channel.people.get(who)) is None:
            caller = channel.people[who] = channel.join(who)
        else:
            caller.reconnect()
        self.people[who] = caller

    def _compare_memories(self) -> None:
        """What the agents remember is what was said."""
        room = self.runtime.room(ROOM)
        said = [e.text.split() for e in self.troupe.told]
        for agent in room.agents.values():
            messages = room.memory.messages(agent)
            words = [_uncut(m.text).split() for m in messages if m.role is not Role.TOOL and not m.tool_calls]
            words = [each for each in words if each]
            expected = said[-len(words) :] if words else []
            if words != expected or (len(messages) < 40 and len(words) < len(said)):
                first = next((n for n, (a, b) in enumerate(zip(words, expected, strict=False)) if a != b), None)
                self.troupe.fault(f"{agent.id} remembers otherwise at {first}: {words}, and this was said: {said}")


def _uncut(text: str) -> str:
    return text.removesuffix("(cut off here)").removesuffix(" ")

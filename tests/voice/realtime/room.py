"""A realtime channel with callers in it, in virtual time, and the checks that hold for whatever is played there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.voice.doubles import FakeLeg, Vad, log_of, times_of
from tests.voice.realtime.double import Model
from voice import clock
from voice.channel import Utterance
from voice.events import SpeakingEnded, SpeakingPaused, SpeakingStarted, Turn
from voice.realtime.channel import RealtimeChannel
from voice.realtime.session import Instructions

HOST = Instructions("You are a host.")
Scene = Callable[["Room"], Coroutine[Any, Any, None]]


class Room:
    """`anna` is there from the beginning. `answering`: whoever asks is answered with what the model says."""

    def __init__(self, channel: RealtimeChannel, model: Model, group: asyncio.TaskGroup) -> None:
        self.channel, self.model, self.group = channel, model, group
        self.told = log_of(channel)
        self.visits: dict[str, asyncio.Task[None]] = {}
        self.turns: list[Turn] = []
        self.replies: list[Utterance] = []
        self.unasked: list[Utterance] = []
        self.called: list[str] = []
        self.anna = self.join(FakeLeg("anna"))
        self._host = group.create_task(self._answer())
        channel.unasked = self._tell_unasked
        self.tool: Callable[[str], Coroutine[Any, Any, str]] = self._tool

    def join(self, leg: FakeLeg) -> FakeLeg:
        self.visits[leg.caller.id] = self.group.create_task(self.channel.serve(leg))
        return leg

    def times(self, kind: type) -> list[float]:
        return times_of(self.told, kind)

    async def _answer(self) -> None:
        async for turn in self.channel.turns():
            self.turns.append(turn)
            self.replies.append(self.channel.say(self._words(), reply_to=turn))

    def _tell_unasked(self) -> bool:
        self.unasked.append(self.channel.say(self._words()))
        return True

    async def _words(self) -> Any:
        """As an agent does it: words on, functions run, and asked again."""
        goes_on = True
        while goes_on:
            running = []
            async for part in self.channel.reply():
                if isinstance(part, str):
                    yield part
                else:
                    self.called.append(part.name)
                    running.append((part.id, self.group.create_task(self.tool(part.name))))
            goes_on = bool(running)
            for id, task in running:
                task.add_done_callback(partial(self._tell_result, id))
            if running:
                await asyncio.wait([task for _, task in running])

    def _tell_result(self, id: str, done: asyncio.Task[str]) -> None:
        if not done.cancelled():
            self.channel.result(id, done.result())

    async def _tool(self, name: str) -> str:
        await asyncio.sleep(0.1)
        return "done"

    def never_two_voices(self) -> None:
        """What we say is never heard beside something else that we say."""
        audible: set[str] = set()
        for _, event in self.told:
            match event:
                case SpeakingStarted(id):
                    assert audible <= {id}, "two utterances at once"
                    audible.add(id)
                case SpeakingPaused(id) | SpeakingEnded(id):
                    audible.discard(id)

    def leave(self) -> None:
        self._host.cancel()
        for visit in self.visits.values():
            visit.cancel()


def play(scene: Scene, model: Model | None = None, **options: Any) -> Model:
    """Play a scene."""
    model = model or Model()

    async def main() -> None:
        channel = RealtimeChannel(model=model, vad=Vad(), **{"instructions": HOST, **options})
        async with channel, asyncio.TaskGroup() as group, asyncio.timeout(600):
            room = Room(channel, model, group)
            await asyncio.sleep(0)
            await scene(room)
            room.never_two_voices()
            room.leave()
        assert all(session.closed for session in model.sessions)

    clock.run(main())
    return model


def now() -> float:
    return asyncio.get_running_loop().time()

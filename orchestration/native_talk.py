"""A talk over a channel that has a model of its own: who that model is to be next, and what it says unasked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from orchestration.asked import ROUTED, Asked, Request, answering
from orchestration.foresight import Foresight
from orchestration.realtime import NativeModel
from orchestration.reply import SYSTEM
from orchestration.room import Room
from voice.channel import random_id
from voice.events import Turn
from voice.realtime.native import NativeVoice

log = logging.getLogger("sottovoce.conversation")

NOTHING = "(nothing yet)"
"""The words of a turn that nobody has said."""


class NativeTalk:
    """A room's. `say` has something said that is no reply: what it is late for, and its words."""

    def __init__(
        self,
        voice: NativeVoice,
        room: Room,
        foresight: Foresight,
        say: Callable[[Asked, AsyncGenerator[str, None]], None],
    ) -> None:
        self.model = NativeModel(voice)
        self._room = room
        self._foresight = foresight
        self._say = say
        self._last: Asked | None = None
        voice.unasked = self._speak

    def answer(self, asked: Asked) -> None:
        """The model answers this; what it says or calls late belongs to it, too."""
        asked.native, self._last = self.model, asked

    async def instruct(self) -> None:
        """The model is told before each turn who it is: whoever has the conversation, with prompt and tools."""
        agent = self._room.talker
        if agent is None:
            self.model.hush()
            return
        turn = self._no_turn(self._last.caller if self._last else SYSTEM)
        try:
            request = await self._foresight.request(turn) or self._foresight.suppose(turn, agent).request(agent)
        except Exception:
            log.exception("room %s: it cannot be found out what agent %s may do", self._room.id, agent.id)
            request = Request(agent, (), agent.prompt, agent.tools)
        self.model.instruct(request)

    def _speak(self) -> bool:
        """It says something that no turn asked for, or calls a tool late. False: nobody has the conversation."""
        agent = self._room.talker
        if agent is None:
            return False
        last = self._last or self._foresight.suppose(self._no_turn(SYSTEM), agent)
        asked = last.again(agent, self.model)
        self._say(asked, self._words(asked))
        return True

    @staticmethod
    def _no_turn(caller: str) -> Turn:
        now = asyncio.get_running_loop().time()
        return Turn(random_id("turn"), caller, NOTHING, now, now)

    async def _words(self, asked: Asked) -> AsyncGenerator[str, None]:
        answering(asked)
        async with aclosing(ROUTED.respond(asked)) as pieces:
            async for piece in pieces:
                yield piece

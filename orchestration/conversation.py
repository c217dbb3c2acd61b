"""A Conversation: callers' turns go to the agent, its replies to their ears, and what was really heard into its memory.

Results to be told are put into the agent's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from delivery.ledger import Delivery
from delivery.message import Message as Spoken
from orchestration.agent import Agent
from orchestration.fence import tell
from orchestration.memory import SlidingWindowMemory
from orchestration.models.model import Message, Role, TextDelta, ToolCall
from orchestration.panel import UtteranceRole
from orchestration.room import Room
from voice.channel import Channel, Utterance
from voice.events import Turn

UNCLEAR = 0.5
"""Below this confidence the model is told that the words are a guess."""

Rewrite = Callable[[Turn], Awaitable[str]]
Noted = Callable[[Utterance, UtteranceRole, tuple[str, ...]], None]
"""Told of every utterance that begins: (utterance, kind, ids of the deliveries in it)."""


@dataclass(slots=True)
class _Reply:
    """A reply under way. `begun`: its first words are on their way to the ear; nothing can be folded in any more."""

    room: str
    turn: Turn
    said: list[Message] = field(default_factory=list)
    begun: bool = False
    utterance: Utterance | None = None
    over: asyncio.Task[None] | None = None
    carried: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    """Deliveries that are told right after it."""
    remembered: bool = False


_MADE: ContextVar[_Reply | None] = ContextVar("sottovoce_reply", default=None)
"""The reply in whose making a tool was called."""


class Conversation:
    """The driver between a channel and the room's agent; also the desk's `Words`. Its work is done in `group`."""

    def __init__(
        self,
        room: Room,
        channel: Channel,
        group: asyncio.TaskGroup,
        *,
        rewrite: Rewrite,
        noted: Noted,
        settle_carried: Callable[[str, bool], None],
    ) -> None:
        self.room = room
        self._channel = channel
        self._rewrite = rewrite
        self._noted = noted
        self._settle_carried = settle_carried
        self._memory = SlidingWindowMemory()
        self._greeted: set[str] = set()
        self._reply: _Reply | None = None
        self._folding: tuple[str, ...] = ()
        """What is folded into the next reply, which has not been set to work on yet."""
        self._group = group

    @property
    def speaker(self) -> str | None:
        """The caller whose turn is being answered; asked by a tool: the one for whom it was called."""
        made = _MADE.get()
        reply = made if made and made.room == self.room.id else self._reply
        return reply.turn.caller if reply else None

    async def run(self) -> None:
        """Answer turns until the channel has no more."""
        async for turn in self._channel.turns():
            await self._answer(turn)

    def greet(self, caller: str) -> None:
        """Say hello to a caller who is new in this conversation."""
        agent = self.room.talker
        if agent is None or not agent.greeting or caller in self._greeted:
            return
        self._greeted.add(caller)
        utterance = self._channel.say(agent.greeting, to=caller)
        self._noted(utterance, "reply", ())
        self._group.create_task(self._remember(utterance, []))

    def carry(self, delivery: str) -> bool:
        """The reply for which the running tool was called carries this delivery. False: that reply is over."""
        reply = _MADE.get()
        if reply is None or reply is not self._reply:
            return False
        reply.carried += (delivery,)
        return True

    def hush(self, reason: str) -> None:
        """Stop the reply that is being made or said."""
        if self._reply and self._reply.utterance:
            self._channel.stop(self._reply.utterance, reason)

    # -- replies

    async def _answer(self, turn: Turn) -> None:
        agent = self.room.talker
        text = await self._rewrite(turn)
        await self._make_way(turn)
        if agent is None or not text.strip():
            self._channel.settle(turn)
            return
        if turn.confidence < UNCLEAR:
            text = f"(unclear) {text}"
        self._memory.add(Message(Role.USER, text))
        reply = self._reply = _Reply(self.room.id, turn, folded=self._folding)
        self._folding = ()
        reply.utterance = self._channel.say(self._words_of(reply, agent), reply_to=turn)
        self._noted(reply.utterance, "reply", ())
        reply.over = self._group.create_task(self._follow(reply, reply.utterance))

    async def _make_way(self, turn: Turn) -> None:
        """A caller's new turn is answered instead of their old one, and after another caller's, unless that was cut.

        What was heard of the reply before is remembered first.
        """
        if self._reply and self._reply.turn.caller == turn.caller:
            self.hush("superseded")
        if self._reply and self._reply.over:
            await asyncio.shield(self._reply.over)

    async def _words_of(self, reply: _Reply, agent: Agent) -> AsyncGenerator[str, None]:
        """The agent's answer, as it is made."""
        _MADE.set(reply)

        def ended(call: ToolCall, result: Message) -> None:
            if reply.remembered:  # cut off meanwhile: the agent is to know what it has done all the same
                self._memory.add(Message(Role.ASSISTANT, "", (call,)), result)

        answer = agent.reply(
            self._memory.messages(), group=self._group, tools=self.room.tools, said=reply.said, ended=ended
        )
        try:
            async with aclosing(answer) as pieces:
                async for piece in pieces:
                    reply.begun = True
                    yield piece
        except Exception:
            for delivery in reply.folded:  # an apology comes now, and nothing right after it
                self._settle_carried(delivery, False)
            raise

    async def _follow(self, reply: _Reply, utterance: Utterance) -> None:
        await self._remember(utterance, reply.said)
        reply.remembered = True
        for delivery in reply.carried:
            self._settle_carried(delivery, utterance.complete)
        if self._reply is reply:
            self._reply = None

    async def _remember(self, utterance: Utterance, said: list[Message]) -> None:
        """When it is over: the tools it used, then what was heard of it."""
        await utterance
        answered = {m.call for m in said if m.role is Role.TOOL}
        for message in said:
            if message.role is Role.TOOL:
                self._memory.add(message)
            elif calls := tuple(c for c in message.tool_calls if c.id in answered):
                self._memory.add(replace(message, text="", tool_calls=calls))
        if utterance.heard.strip():
            cut = "" if utterance.complete else " (cut off here)"
            self._memory.add(Message(Role.ASSISTANT, utterance.heard.strip() + cut))

    # -- the desk's words

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        """Results in the agent's own words, fenced so that nothing in them is taken for an instruction."""
        results = [d.content for d in deliveries]
        agent = self.room.talker
        if agent is None:
            yield "\n".join(results)
            return
        ask = Message(Role.USER, tell(results))
        async with aclosing(agent.model.stream([*self._memory.messages(), ask], prompt=agent.prompt)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    yield delta.text

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        """Into the reply that is owed, as long as none of it is on its way to the ear."""
        ids = tuple(d.id for d in deliveries)
        reply = self._reply
        if reply is None or (reply.utterance is not None and reply.utterance.done):
            self._folding += ids  # a turn has just ended; its reply is not being made yet
        elif reply.begun:
            return False
        else:
            reply.folded += ids
        return True

    def opener(self) -> str:
        """Asks for the floor."""
        return "I have something for you."

    def spoken(self, utterance: Utterance, message: Spoken) -> None:
        """The desk began to speak: remember what was heard of it too."""
        self._noted(utterance, "delivery", tuple(p.delivery for p in message.parts))
        self._group.create_task(self._remember(utterance, []))

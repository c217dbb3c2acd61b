"""A Conversation: what callers say goes to the room's agents, their replies to the ears, and what was really heard into
their memory.

Results to be told are put into the agent's words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from delivery.desk import Refuse
from delivery.ledger import Delivery
from delivery.message import Message as Spoken
from orchestration.asked import ROUTED, Asked, answering, current
from orchestration.content import made_speakable
from orchestration.event import RoomEvent
from orchestration.foresight import Foresight
from orchestration.handoff_chain import HandoffChain
from orchestration.host import Host
from orchestration.inbox import Written
from orchestration.models.model import Message, Role, ToolCall
from orchestration.models.watched import ModelSilentError
from orchestration.native_talk import NativeTalk
from orchestration.preemptive import Preemptive
from orchestration.reply import SYSTEM, Reply, Words
from orchestration.room_trouble import RoomClosingError
from orchestration.said import Said
from orchestration.taking import routed, seen_by, taken
from orchestration.telling import in_own_words
from orchestration.usage import Tab, charge_to
from voice.channel import APOLOGY, Channel, Utterance, random_id
from voice.events import Deafened, Event, Joined, Left, SpeechStarted, Turn, TurnDropped, TurnForeseen, TurnResumed
from voice.floor import FloorChanged
from voice.realtime.native import NativeVoice
from voice.written import WrittenUtterance
from voice.written_floor import REPLY

log = logging.getLogger("sottovoce.conversation")


class Conversation:
    """The driver between a channel and the room's agents; also the desk's `Words`. Its work is done in `group`."""

    def __init__(self, host: Host, channel: Channel, group: asyncio.TaskGroup) -> None:
        self.room = host.room
        self._host = host
        self._channel = channel
        self._group = group
        self._greeted: set[str] = set()
        self._away: set[str] = set()
        """Callers who left, or hear nothing for the moment."""
        self._taking = asyncio.Lock()
        self._taking_asides = asyncio.Lock()
        self._reply: Reply | None = None
        self._aside: Reply | None = None
        """The answer to what was written among voices: they do not wait for it."""
        self._preemptive = Preemptive(self.room, group)
        self.said = Said(host, group, self._preemptive.over)
        self._foresight = Foresight(host, group, self._late, self.said.remembered)
        self._native: NativeTalk | None = None
        if isinstance(channel, NativeVoice):
            self._native = NativeTalk(channel, host.room, self._foresight, self._say_late)
        self._folding: tuple[str, ...] = ()
        """What is folded into the next reply, which has not been set to work on yet."""

    @property
    def speaker(self) -> str | None:
        """The caller whose turn is being answered; asked by a tool: the one for whom it was called."""
        asked = current()
        if asked is not None and asked.room.id == self.room.id:
            return asked.caller
        return self._reply.turn.caller if self._reply else None

    @property
    def place(self) -> tuple[str, int] | None:
        """Where the answer is for which the running tool was called: the utterance, and its characters so far."""
        reply = self._reply
        if reply is None or reply.utterance is None or reply.asked is None or reply.asked is not current():
            return None
        return reply.utterance.id, reply.authors.chars

    async def run(self) -> None:
        """Answer turns until the channel has no more."""
        stop = self._channel.listen(self._attend)
        try:
            if self._native is not None:
                await self._native.instruct()
            async for turn in self._channel.turns():
                await self.answer(turn)
        finally:
            stop()

    def _attend(self, event: Event | FloorChanged, at: float) -> None:
        """Callers come and go, also while they are answered."""
        match event:
            case Joined(caller):
                self._away.discard(caller)
                if (reply := self._reply) and reply.turn.caller == caller and reply.utterance:
                    reply.missed = reply.missed and reply.utterance.started is not None
            case SpeechStarted() if self._native and not self._reply:  # another may have the conversation by now
                self._group.create_task(self._native.instruct(), name="instructing the channel's model")
            case TurnForeseen(turn):
                if self._reply is None:  # what becomes of it will be remembered first
                    self._preemptive.foresee(turn, partial(self._foresight.request, turn))
            case TurnResumed(caller):
                self._preemptive.resume(caller)
            case TurnDropped(caller):
                self._preemptive.forget(caller)
            case Left(caller) | Deafened(caller):
                self._preemptive.forget(caller)
                self._away.add(caller)
                if self._reply and self._reply.turn.caller == caller:
                    self._reply.missed = True

    def greet(self, caller: str) -> None:
        """Say hello to a caller who is new in this conversation."""
        agent = self.room.talker
        if agent is None or not agent.greeting or caller in self._greeted or self._host.written:
            return
        self._greeted.add(caller)
        utterance = self._channel.say(agent.greeting, to=caller)
        self.said.begin(utterance, "reply", Words(agent.id))

    def carry(self, delivery: str) -> bool:
        """The reply for which the running tool was called carries this delivery. False: that reply is over."""
        asked = current()
        if asked is None or not any(reply and reply.asked is asked for reply in (self._reply, self._aside)):
            return False
        asked.carried += (delivery,)
        return True

    async def settle(self, seconds: float) -> None:
        """Returns when no tool runs in the middle of a reply, or after so many seconds."""
        reply = self._reply
        if reply and reply.over and reply.asked and any(stage.working for stage in reply.asked.stages):
            await asyncio.wait([reply.over], timeout=seconds)

    def hush(self, reason: str) -> None:
        """Stop the reply that is being made or said."""
        if self._reply and self._reply.utterance:
            self._channel.stop(self._reply.utterance, reason)

    # -- replies

    async def answer(self, turn: Turn, written: Written | None = None) -> tuple[RoomEvent | None, Reply | None]:
        """Set to work on the answer; turns are taken one after the other. Returns what was asked, and the reply.

        None: it is not to be seen by anybody, or not answered. `written`: as what it came, if it was not heard. Raises
        Refuse for a written one that a hook refuses, RoomClosingError when it came too late.
        """
        async with self._taking if self._owed(written) else self._taking_asides:
            try:
                event = await self._let_in(turn, written)
                await self._make_way(turn, written)
                if written is not None and self._host.closing:
                    raise RoomClosingError("the talk is ending")
                if event is not None:
                    return event, self._answer(turn, event, written)
            except (Refuse, RoomClosingError):
                raise
            except Exception as error:  # whatever is broken in it, the talk goes on
                log.exception("room %s: turn %s cannot be answered", self.room.id, turn.id)
                return (written.event if written else None), self._excuse(turn, written, error)
            finally:
                self._preemptive.end(turn)
            self._channel.settle(turn)
            return None, None

    async def _let_in(self, turn: Turn, written: Written | None) -> RoomEvent | None:
        """What the turn is in the room: hooks are asked once, also when the talk ends before it was answered."""
        if written is None:
            return await self._host.admit(turn, None)
        if written.event is None and not self._host.closing:
            written.event = await self._host.admit(turn, written.message)
        return written.event

    def _answer(self, turn: Turn, event: RoomEvent, written: Written | None) -> Reply | None:
        room = self.room
        if written is None or not written.said:
            event = taken(self._host, turn, event)
        if written is not None:
            written.event, written.said = event, True
        agent = routed(room, event)
        if agent is None or agent not in seen_by(room, event):
            self._channel.settle(turn)
            return None
        asked = Asked(
            runtime=self._host.runtime,
            room=room,
            event=event,
            group=self._group,
            agent=agent,
            spoken=not self._host.written,
            chain=HandoffChain(asyncio.get_running_loop().time()),
            late=self._late,
            ahead=self._preemptive.claim(turn.id),
        )
        reply = Reply(asked, turn, self._owed(written))
        if reply.owed:
            asked.folded, self._folding = self._folding, ()
            if self._native is not None:
                self._native.answer(asked)
        return self._say(reply, self._words_of(reply, asked), Words(agent.id, asked.metadata, reply))

    def _say_late(self, asked: Asked, text: AsyncIterator[str]) -> None:
        """Something is said that no turn asked for."""
        agent = asked.agent
        words = Words(agent.id if agent else SYSTEM, asked.metadata)
        self.said.begin(self._channel.say(text), "reply", words, asked=asked)

    def _owed(self, written: Written | None) -> bool:
        """A written turn among voices is nothing that the floor knows."""
        return written is None or self._host.written

    def _excuse(self, turn: Turn, written: Written | None, error: Exception) -> Reply:
        """Say sorry to a turn for which no answer can be begun."""
        reply = Reply(None, turn, self._owed(written))
        return self._say(reply, self._failing(reply, error), Words(SYSTEM, reply=reply))

    async def _failing(self, reply: Reply, error: Exception) -> AsyncGenerator[str, None]:
        """An answer that cannot be made."""
        if not reply.owed:
            reply.failed = True
            yield APOLOGY
            return
        raise error

    def _say(self, reply: Reply, text: AsyncIterator[str], words: Words) -> Reply:
        if reply.owed:
            self._reply = reply
            reply.missed = reply.turn.caller in self._away
        else:
            self._aside = reply
        utterance = self._channel.say(text, reply_to=reply.turn) if reply.owed else self._write(text, reply)
        reply.utterance = utterance
        self.said.add(utterance, words)
        if reply.owed:
            self._host.noted(utterance, "reply", (), reply.authors)
        reply.over = self._group.create_task(self._follow(reply, utterance))
        return reply

    def _write(self, text: AsyncIterator[str], reply: Reply) -> Utterance:
        """Answer a message among voices: whole to who reads, whatever they hear of it who are there."""
        utterance = WrittenUtterance(random_id("utterance"), text, None, None)

        async def write() -> None:
            sent = False
            try:
                try:
                    async with asyncio.timeout(REPLY):
                        await utterance.gather()
                except TimeoutError:
                    utterance.fail(APOLOGY)
                if event := self.said.writing(utterance):
                    event = await self._host.runtime.broadcast.before(event)
                    self.said.written(utterance, event)
                    if self._channel.callers:
                        self._host.noted(self._channel.say(event.text), "reply", (), reply.authors)
                sent = True
            except Refuse as refusal:
                reply.refused = str(refusal) or "refused"
            finally:
                utterance.finish(sent=sent)

        self._group.create_task(write(), name=f"making {utterance.id}")
        return utterance

    async def _make_way(self, turn: Turn, written: Written | None) -> None:
        """A caller's new turn is answered instead of their old one, and after another caller's, unless that was cut.

        What was heard of the reply before is remembered first. What is written is answered one after the other.
        """
        if self._reply and self._reply.turn.caller == turn.caller and written is None:
            self.hush("superseded")
        before = (self._reply, self._aside if written is not None else None)
        if under_way := [reply.over for reply in before if reply and reply.over and not reply.over.done()]:
            await asyncio.wait(under_way)

    async def _words_of(self, reply: Reply, asked: Asked) -> AsyncGenerator[str, None]:
        """The answer, as it is made."""
        unheard, heard = "", False
        answering(asked)
        await self.said.remembered()
        try:
            async with aclosing((self.room.responder or ROUTED).respond(asked)) as pieces:
                async for piece in pieces:
                    reply.begun = True
                    reply.authors.wrote(asked.agent.id if asked.agent else "", piece)
                    if not heard:
                        unheard += piece
                        heard = made_speakable(unheard) != ""
                    yield piece
            if asked.spoken and not heard and unheard.strip():
                raise ModelSilentError(f"there is nothing to be heard in {unheard!r:.60}")
        except Exception as error:
            reply.failed = True
            for delivery in asked.folded:  # an apology comes now, and nothing right after it
                self._host.settle_carried(delivery, False)
            if reply.owed:
                raise
            log.error("room %s: no answer to %s: %s", self.room.id, reply.turn.id, error, exc_info=error)
            yield f" {APOLOGY}" if reply.begun else APOLOGY
        finally:
            self._preemptive.settle(asked)

    def _late(self, agent: str, call: ToolCall, result: Message) -> None:
        """The reply was cut off while a tool ran: the agent is to know what it has done all the same."""
        self.room.memory.add(Message(Role.ASSISTANT, "", (call,)), result, by=agent)

    async def _follow(self, reply: Reply, utterance: Utterance) -> RoomEvent | None:
        asked = reply.asked
        event = await self.said.remember(utterance, asked)
        if asked is not None:
            asked.over = True
            for delivery in asked.carried:
                self._host.settle_carried(delivery, utterance.complete and not (reply.failed or reply.missed))
        if self._reply is reply:
            self._reply = None
        if self._aside is reply:
            self._aside = None
        reply.event = event
        reply.end()
        if self._native is not None:
            await self._native.instruct()
        return event

    # -- the desk's words

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        """Results in the agent's own words, fenced so that nothing in them is taken for an instruction."""
        results = [d.content for d in deliveries]
        charge_to(Tab(self._host.runtime.meter, self.room.id))
        async with aclosing(in_own_words(self.room, results, written=self._host.written)) as pieces:
            async for piece in pieces:
                yield piece

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        """Into the reply that is owed, as long as none of it is on its way to the ear."""
        ids = tuple(d.id for d in deliveries)
        reply = self._reply
        if reply is None or (reply.utterance is not None and reply.utterance.done):
            self._folding += ids  # a turn has just ended; its reply is not being made yet
        elif reply.begun or reply.asked is None:
            return False
        else:
            reply.asked.folded += ids
        return True

    def opener(self) -> str:
        """Asks for the floor."""
        return "I have something for you."

    def spoken(self, utterance: Utterance, message: Spoken, metadata: Mapping[str, Any]) -> None:
        """The desk began to speak: remember what was heard of it too."""
        agent = self.room.talker
        deliveries = tuple(part.delivery for part in message.parts)
        facts = {**metadata, "deliveries": list(deliveries)}
        self.said.begin(utterance, "delivery", Words(agent.id if agent else SYSTEM, facts), deliveries)

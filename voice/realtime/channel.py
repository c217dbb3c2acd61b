"""The RealtimeChannel: a speech-to-speech model talks in a room, and nobody above can tell it from a cascade.

The model hears one caller at a time (`Microphone`), thinks and speaks by itself. Our floor stays the authority on what
reaches an ear: our own ear falls silent for a caller at once, one utterance is heard at a time, and nothing over a
caller but what is meant to be (`Replies` has the rulings on what the model says of its own accord). What else is to be
said is injected, when the floor lets us; a line that the model refuses is still owed. A session that is lost is opened
again; the call stays up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, Self

from voice.backoff import Backoff
from voice.channel import APOLOGY
from voice.ear import Ear
from voice.ear_signals import EarTimes
from voice.events import Dropped, Event, ReplySettled, TurnDropped, TurnEnded
from voice.floor import Blocker, FloorAction, FloorChanged, FloorState, FloorTimes, FloorView
from voice.legs import LegExchange
from voice.listening import Listening
from voice.making import close
from voice.provider_error import Cause, ProviderError
from voice.realtime.callers import Callers
from voice.realtime.link import Link
from voice.realtime.reckoning import Pace
from voice.realtime.replies import NOBODY, Replies
from voice.realtime.session import CallerSaid, FunctionCalled, Injection, Instructions, RealtimeModel
from voice.realtime.take import Take
from voice.realtime.voicing import UnsaidError, Voicing
from voice.speaking import Make
from voice.stt.recognizer import Hints
from voice.tts.synthesizer import Synthesizer
from voice.utterance import SpokenUtterance
from voice.vad.detector import VoiceDetector

AWAY = 5.0
"""Seconds that a line waits for a session that is being opened; then whoever wanted it said may say it later."""
BEGUN = 15.0
"""Seconds that a line may take to be begun: one that is queued waits for what the model is saying."""


_TALKS = (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED)


class _Follower:
    """What happens in the sessions, to those whom it concerns."""

    def __init__(self, channel: RealtimeChannel) -> None:
        self._channel = channel

    def began(self, take: Take) -> None:
        self._channel._replies.began(take)

    def worded(self, take: Take, text: str) -> None:
        self._channel._replies.worded(take, text)

    def finished(self, take: Take) -> None:
        self._channel._replies.finished(take)

    def called(self, call: FunctionCalled) -> None:
        self._channel._replies.called(call)

    def caller_started(self) -> None:
        self._channel._heard_by.notice()

    def caller_said(self, said: CallerSaid) -> None:
        self._channel._heard_by.understand(said.text, final=said.final)

    def opened(self) -> None:
        self._channel._heard_by.microphone.replay()

    def lost(self, error: ProviderError) -> None:
        self._channel._replies.lost(error)


class RealtimeChannel(LegExchange):
    """A room's voice over live legs, spoken by `model`: `async with channel:`, and within it `await channel.serve(leg)`
    for each caller. Implements `voice.realtime.native.NativeVoice`.

    The model and `vad` must be prepared; they are shared with other rooms. One session is opened for the channel, with
    `instructions`, or when `instruct` is first called (None). `tts` speaks what the model cannot be given to say: when
    it takes no injected lines, or its session is away.
    """

    def __init__(
        self,
        *,
        model: RealtimeModel,
        vad: VoiceDetector,
        tts: Synthesizer | None = None,
        instructions: Instructions | None = None,
        backoff: Backoff | None = None,
        times: FloorTimes | None = None,
        ear_times: EarTimes | None = None,
        apology: str = APOLOGY,
    ) -> None:
        super().__init__(times=times, apology=apology)
        self.capabilities = model.capabilities
        self._model, self._vad, self._tts = model, vad, tts
        self._instructions = instructions
        self._backoff = backoff or Backoff(tries=5, patience=15.0)
        self._ear_times = ear_times or EarTimes()
        self._how = {how for how in Injection if how.value in model.capabilities.injection}
        self._voicings: dict[str, Voicing] = {}
        self._pace_of_voice = Pace()
        self.unasked: Callable[[], bool] = self._say_unasked
        self._link: Link
        self._replies: Replies
        self._heard_by: Callers
        self._linking: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._link = Link(self._model, _Follower(self), self._backoff)
        self._replies = Replies(self._link, self._times.own_reply)
        self._replies.unasked = lambda: self._open and self.unasked()
        self._replies.may = self._may_speak
        self._heard_by = Callers(
            self._model.name,
            self._link.push,
            self.tell,
            lambda: self._new_id("turn"),
            lambda: self._answers(self._watch.view),
            lambda: self._link.open,
        )
        await super().__aenter__()
        if self._instructions is not None:
            self._link.instruct(self._instructions)
        self._linking = self._group.create_task(self._link.run(), name=f"session with {self._model.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._linking.cancel()
        self._heard_by.microphone.close()
        await super().__aexit__(kind, error, trace)

    # -- voice.realtime.native.NativeVoice

    def instruct(self, instructions: Instructions) -> None:
        """Who the model is from its next reply on. Telling it the same again does nothing."""
        self._check_open()
        self._link.instruct(instructions)

    def reply(self) -> AsyncGenerator[str | FunctionCalled, None]:
        """What the model says next; see `voice.realtime.native.NativeVoice.reply`."""
        self._check_open()
        return self._replies.reply()

    def result(self, call: str, text: str) -> None:
        """What a function came to."""
        if self._open:
            self._replies.result(call, text)

    def _say_unasked(self) -> bool:
        self.say(self._own_words())
        return True

    async def _own_words(self) -> AsyncGenerator[str, None]:
        called = True
        while called:
            called = False
            async for part in self._replies.reply():
                if isinstance(part, str):
                    yield part
                else:
                    called = True
                    self._replies.result(part.id, NOBODY)

    # -- callers

    def _hearing(self, caller: str) -> tuple[Ear, Listening]:
        hearing, ends = self._heard_by.hearing(caller)
        ear = Ear(caller, lambda: self._new_id("turn"), ends, self._ear_times)
        return ear, Listening(ear, hearing, self._vad, Hints(), self.tell)

    def _overhear(self, caller: str, pcm: bytes) -> None:
        self._heard_by.microphone.hear(caller, pcm)

    def _react(self, event: Event, before: FloorView) -> None:
        match event:
            case TurnEnded(turn):
                self._replies.owe(turn.id)
            case TurnDropped(why=Dropped.BACKCHANNEL):
                self._replies.refuse()
            case ReplySettled(turn_id):
                self._replies.settle(turn_id)
            case _:
                pass
        self._heard_by.follow(event)
        super()._react(event, before)

    def _follow(self, action: FloorAction) -> None:
        super()._follow(action)
        if isinstance(action, FloorChanged) and self._open:
            self._replies.reconsider()

    def _may_speak(self) -> bool:
        """Somebody hears, and no caller speaks."""
        view = self._watch.view
        return view.state is not FloorState.EMPTY and view.blocker not in _TALKS

    # -- utterances

    def _maker(self) -> Make:
        def make(utterance: SpokenUtterance, made: Callable[[int], None]) -> Voicing:
            voicing = self._voicings[utterance.id] = Voicing(utterance, made, self._replies, self, self._pace_of_voice)
            return voicing

        return make

    def _ended(self, utterance: SpokenUtterance) -> None:
        voicing = self._voicings.pop(utterance.id, None)
        if voicing is not None:
            self._replies.close(voicing, cut=True)  # its work may never have been begun
        unread = voicing is None or not voicing.has_read
        if unread and utterance.reply_to is None and not isinstance(utterance.source, str):
            self._replies.pass_over()
        if voicing is not None and voicing.takes and not utterance.complete and utterance.cut_by is not None:
            for take in voicing.takes:
                self._link.cut(take, voicing.heard_of(take))
        super()._ended(utterance)

    async def speak(self, text: str, utterance: SpokenUtterance) -> Take | None:
        """Have a line of this utterance spoken, as soon as it may be heard. None: it was refused.

        Raises UnsaidError when the model does not begin it, ProviderError when there is no session, or it is lost.
        """
        await utterance.due.wait()
        if self._how and await self._link.up(0.0 if self._tts else AWAY):
            line = self._link.inject(text, self._best(utterance))
            try:
                async with asyncio.timeout(BEGUN):
                    return await line.begun()
            except TimeoutError:
                raise UnsaidError("unanswered") from None
        if self._tts is None:
            raise self._link.error or ProviderError(self._model.name, Cause.NETWORK, "there is no session")
        take = Take("recited")
        self._group.create_task(self._recite(self._tts, text, take), name=f"reciting {utterance.id}")
        return take

    def _best(self, utterance: SpokenUtterance) -> Injection:
        """How the model is to take a line now, of what it can."""
        if utterance.over:
            order = (Injection.NOW, Injection.QUEUE, Injection.IDLE)
        elif self._link.take is not None:
            order = (Injection.QUEUE, Injection.IDLE, Injection.NOW)
        else:
            order = (Injection.IDLE, Injection.QUEUE, Injection.NOW)
        return next(how for how in order if how in self._how)

    @staticmethod
    async def _recite(tts: Synthesizer, text: str, take: Take) -> None:
        """A synthesizer's sound of a line."""
        chunks: Any = tts.synthesize(text)
        error: Exception | None = None
        try:
            async for chunk in chunks:
                take.add(chunk.pcm)
                if take.dropped:
                    break
        except Exception as broken:
            error = broken
        finally:
            await close(chunks)
            take.end(error=error)

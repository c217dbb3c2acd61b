"""A talk with a LiveKit realtime model: what the plugin tells, as events of the seam, and what it is told.

The plugin connects by itself, and again when the connection breaks, as it was told when it was made; a session is lost
when the plugin gives up. What the floor asks for and plugins do not know (lines that wait or are refused) is done here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voice import livekit
from voice.alarm import Alarm
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.realtime.livekit_reply import Reply
from voice.realtime.livekit_wishes import Wishes
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    Injection,
    Instructions,
    Refused,
    SessionEvent,
)

if TYPE_CHECKING:
    from livekit.agents import llm as plugins

log = logging.getLogger("sottovoce.realtime")

WORDS = 1.5
"""Seconds that an answer waits for the words it answers: a transcript may come after the answer has begun, and what is
said before the end of a turn is taken for no answer to it."""
OWED = 3.0
"""Seconds after a caller's speech in which the model is expected to begin its answer; until then no line is given."""
DONE = 1.0
"""Seconds that a model may take to end what was interrupted."""
TELLING = 10.0
"""Seconds in which a plugin must have passed on who it is to be, or what a function came to."""
MAX_UNREAD = 4096
"""Events that may wait to be read; a session that nobody reads is lost."""


@dataclass(frozen=True, slots=True)
class _Line:
    id: str
    text: str
    how: Injection


class LiveKitSession:
    """One talk. Iterate it once; see `voice.realtime.session.RealtimeSession` for what its methods promise."""

    def __init__(self, talk: plugins.RealtimeSession[Any], name: str, home: livekit.Home) -> None:
        self._talk, self._name, self._home = talk, name, home
        self._loop = asyncio.get_running_loop()
        self._events: deque[SessionEvent] = deque()
        self._come = asyncio.Event()
        self._error: ProviderError | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._tellings: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()
        """What is to be passed on, one after the other."""
        self._ids = itertools.count(1)
        self._wishes = Wishes(talk, name)
        self._instructions = Instructions()
        self._speaking = False
        """The caller is."""
        self._worded = asyncio.Event()
        """All that the caller has said is known in words."""
        self._worded.set()
        self._partial = ""
        self._replies: deque[Reply] = deque()
        """Those that it has begun and not ended; the first one is told."""
        self._more = asyncio.Event()
        """There is one."""
        self._reply: Reply | None = None
        """The one that is told, or was last."""
        self._speech: asyncio.Task[None] | None = None
        self._reporting = 0
        """Answers that it is about to be asked for, as functions have come to something."""
        self._owes_until = float("-inf")
        """It is expected to answer the caller until then, at the latest."""
        self._alarm = Alarm(self._go_on)
        self._asked: asyncio.Task[None] | None = None
        """Gives it a line, until it begins to say it."""
        self._lines: deque[_Line] = deque()
        """Lines that wait for what is being said."""
        self._calling: list[Reply] = []
        """Answers whose calls have not come to something."""

    # what we do

    async def begin(self, instructions: Instructions) -> None:
        """Tell it who it is. Raises ProviderError."""
        self._talk.on("input_speech_started", self._caller_started)
        self._talk.on("input_speech_stopped", self._caller_stopped)
        self._talk.on("input_audio_transcription_completed", self._caller_said)
        self._talk.on("generation_created", self._began)
        self._talk.on("error", self._erred)
        self._instructions = instructions
        try:
            async with asyncio.timeout(TELLING):
                await self._home.wait(self._wishes.instruct(instructions))
        except Exception as error:
            raise livekit.failure(self._name, error) from None
        self._do(self._tell_it(), "telling")
        self._do(self._follow(), "following")

    def push(self, pcm: bytes) -> None:
        """More of the caller's sound. What comes after the end is ignored."""
        from livekit.rtc import AudioFrame

        if pcm and not self._over:
            try:
                self._talk.push_audio(AudioFrame(pcm, RATE, 1, len(pcm) // 2))
            except Exception as error:
                self._fail(error)

    def instruct(self, instructions: Instructions) -> None:
        """Who it is from its next reply on, as far as the model can be told in the middle of a talk."""
        if not self._over and instructions != self._instructions:
            self._instructions = instructions
            self._tellings.put_nowait(self._wishes.instruct(instructions))

    def inject(self, text: str, how: Injection) -> str:
        """Have it say this; one that cannot be given a line is asked to repeat it. Raises ValueError for no text."""
        if not text.strip():
            raise ValueError("text: there is nothing to say")
        line = _Line(f"line-{next(self._ids)}", text, how)
        if self._over:
            return line.id
        if how is Injection.IDLE and (self._busy or self._lines):
            self._tell(Refused(line.id))
        elif how is Injection.NOW:
            self._interrupt()
            self._lines.appendleft(line)
        else:
            self._lines.append(line)
        self._go_on()
        return line.id

    def answer(self, call: str, result: str) -> None:
        """What a function came to. The model is told when all that it called at once have; others are ignored."""
        for reply in self._calling:
            if call in reply.results and reply.results[call][1] is None:
                reply.results[call] = (reply.results[call][0], result)
        self._settle()

    def cut(self, heard: str | None = None) -> None:
        """The caller stopped what it was saying; the model is told how much of it was heard, if it can be."""
        if self._over or self._reply is None:
            return
        reply, can = self._reply, self._talk.capabilities
        self._interrupt()
        if heard is not None and can.message_truncation and (place := reply.heard(heard)) is not None:
            said, milliseconds, text = place
            try:
                self._talk.truncate(
                    message_id=said.id, modalities=["text", "audio"], audio_end_ms=milliseconds, audio_transcript=text
                )
            except Exception as error:
                log.warning("%s cannot be told what was heard: %s", self._name, type(error).__name__)

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._error is not None:
                raise self._error from None
            if self._closed:
                return
            self._come.clear()
            await self._come.wait()

    async def aclose(self) -> None:
        """End the talk, and whoever iterates. Calling it twice does nothing."""
        if not self._closed:
            self._closed = True
            if self._error is None:
                self._stop()
        self._come.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # what it tells

    def _caller_started(self, _: plugins.InputSpeechStartedEvent) -> None:
        self._speaking, self._partial = True, ""
        self._worded.clear()
        self._tell(CallerStarted())
        self._interrupt()
        while self._lines:  # what was queued behind a reply goes with it
            self._tell(Refused(self._lines.popleft().id))

    def _caller_stopped(self, _: plugins.InputSpeechStoppedEvent) -> None:
        self._speaking = False
        self._owes_until = self._loop.time() + OWED
        self._go_on()

    def _caller_said(self, said: plugins.InputTranscriptionCompleted) -> None:
        self._partial = "" if said.is_final else said.transcript
        self._tell(CallerSaid(said.transcript, said.is_final))
        if said.is_final:
            self._worded.set()

    def _began(self, generation: plugins.GenerationCreatedEvent) -> None:
        """It answers of its own accord; what was asked for is known otherwise."""
        if not generation.user_initiated:
            self._take(generation, None)

    def _erred(self, told: plugins.RealtimeModelError) -> None:
        if told.recoverable:
            log.warning("%s: %s", self._name, livekit.failure(self._name, told.error))
        else:
            self._fail(told.error)

    # its answers, one after the other

    def _take(self, generation: plugins.GenerationCreatedEvent, line: str | None) -> None:
        if not self._over:
            self._owes_until = float("-inf")
            self._replies.append(Reply(generation, line, self._tell))
            self._more.set()

    async def _follow(self) -> None:
        try:
            while True:
                while not self._replies:
                    self._more.clear()
                    await self._more.wait()
                await self._tell_reply(self._replies[0])
                self._replies.popleft()
                self._go_on()
        except Exception as error:
            self._fail(error)

    async def _tell_reply(self, reply: Reply) -> None:
        if reply.line is None:
            await self._wait_for_words()
        self._calling.append(reply)
        calls = self._do(self._calls(reply), "what it calls")
        self._reply = reply
        if not reply.over:
            self._speech = self._do(reply.speak(), "what it says")
            await asyncio.wait([self._speech])
            if not self._speech.cancelled() and (error := self._speech.exception()) is not None:
                raise error
        await asyncio.wait([calls], timeout=DONE)  # a service that was interrupted takes nothing new before it is done

    async def _wait_for_words(self) -> None:
        """An answer comes after what it answers."""
        try:
            async with asyncio.timeout(WORDS):
                await self._worded.wait()
        except TimeoutError:
            if self._partial:
                self._tell(CallerSaid(self._partial))
            self._worded.set()

    async def _calls(self, reply: Reply) -> None:
        try:
            await reply.call()
        except Exception as error:
            self._fail(error)
        self._settle()

    def _settle(self) -> None:
        """Tell the model what its calls came to, those of one answer together."""
        for reply in [reply for reply in self._calling if reply.answered]:
            self._calling.remove(reply)
            if reply.results and not self._over:
                self._reporting += 1
                self._tellings.put_nowait(self._report(reply))

    async def _report(self, reply: Reply) -> None:
        try:
            generation = await self._wishes.report(reply.results)
            if generation is not None:
                self._take(generation, None)
        finally:
            self._reporting -= 1
            self._go_on()

    # lines

    @property
    def _busy(self) -> bool:
        """Somebody speaks, or is about to."""
        return self._speaking or self._engaged or self._loop.time() < self._owes_until

    @property
    def _engaged(self) -> bool:
        """The model speaks, or has been asked to."""
        return bool(self._replies) or self._reporting > 0 or self._asked is not None

    def _go_on(self) -> None:
        """The next line, if it is time for it."""
        if not self._lines or self._over:
            return
        if self._engaged if self._lines[0].how is Injection.NOW else self._busy:
            self._alarm.set(self._owes_until if self._owes_until > self._loop.time() else None)
            return
        line = self._lines.popleft()
        self._asked = self._do(self._have_said(line), f"having {line.id} said")

    async def _have_said(self, line: _Line) -> None:
        generation: plugins.GenerationCreatedEvent | None = None
        try:
            generation = await self._home.wait(self._wishes.say(line.text))
        except Exception as error:
            log.warning("%s does not say a line: %s", self._name, livekit.failure(self._name, error))
        finally:
            self._asked = None
            if generation is not None:
                self._take(generation, line.id)
            else:
                self._tell(Refused(line.id))
                self._go_on()

    def _interrupt(self) -> None:
        """It is to fall silent, and what it was asked to say and has not begun is refused."""
        if self._asked is not None:
            self._asked.cancel()
        begun = [reply for reply in self._replies if not reply.over]
        for reply in begun:
            reply.end(cut=True)
        if not begun:
            return
        if self._speech is not None:
            self._speech.cancel()
        try:
            self._talk.interrupt()
        except Exception as error:
            log.warning("%s cannot be interrupted: %s", self._name, type(error).__name__)

    # what it is told

    async def _tell_it(self) -> None:
        while True:
            telling = await self._tellings.get()
            try:
                async with asyncio.timeout(TELLING):
                    await self._home.wait(telling)
            except Exception as error:
                log.warning("%s was not told: %s", self._name, livekit.failure(self._name, error))

    # its life

    @property
    def _over(self) -> bool:
        return self._closed or self._error is not None

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name=f"{self._name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, event: SessionEvent) -> None:
        if self._over:
            return
        self._events.append(event)
        self._come.set()
        if len(self._events) > MAX_UNREAD:
            self._fail(ProviderError(self._name, Cause.ANSWER, "nobody reads what it says"))

    def _fail(self, error: BaseException) -> None:
        """It is lost, for this reason if there is no other."""
        if not self._over:
            self._error = livekit.failure(self._name, error)
            self._stop()
        self._come.set()

    def _stop(self) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        while not self._tellings.empty():
            self._tellings.get_nowait().close()
        self._alarm.set(None)
        self._do(livekit.close(self._home.wait(self._talk.aclose()), self._name), "closing")

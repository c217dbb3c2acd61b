"""A speech-to-speech model in the process, in virtual time: it hears the words that `tests.voice.doubles` hides in the
samples, and answers with sound that hides words. It ends turns by silence, as it hears them, and yields to who speaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from tests.voice.doubles import QUIET, spoken, word_of
from voice.channel import Capabilities
from voice.check import Check
from voice.leg import FRAME_BYTES
from voice.provider_error import Cause, ProviderError
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    FunctionCalled,
    Injection,
    Instructions,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionEvent,
)

ALL = Capabilities(owns_turns=True, injection=frozenset({"now", "idle", "queue"}))
LOST = ProviderError("double", Cause.NETWORK, "the test cut it")
CHUNK = 5
"""Frames in a piece of sound."""
Script = Callable[["Session", str], Awaitable[None]]


async def echo(session: Session, heard: str) -> None:
    """Says what it heard."""
    await session.speak(session.model.answers.get(heard, f"you said {heard}"))


class Model:
    """`script` answers what was heard. `think`: seconds until it begins to; `fast`: how much faster than it is heard it
    speaks; `silence`: seconds after which a turn is over; `words`: when a reply's words come, before the sound or
    after it, or with it; `partials`: what it understands so far is told, too."""

    name = "double"

    def __init__(
        self,
        script: Script = echo,
        *,
        answers: Mapping[str, str] | None = None,
        capabilities: Capabilities = ALL,
        think: float = 0.2,
        fast: float = 5.0,
        silence: float = 0.3,
        words: str = "with",
        partials: bool = True,
        yields: bool = True,
    ) -> None:
        self.script, self.answers, self.capabilities = script, dict(answers or {}), capabilities
        self.think, self.fast, self.silence, self.words = think, fast, silence, words
        self.partials, self.yields = partials, yields
        self.sessions: list[Session] = []
        self.broken = 0
        """How often opening a session fails yet."""
        self.key_refused = False
        self.busy_for: float | None = None
        """Seconds that it asks to be left alone."""
        self.hangs = False
        """Its sessions never close."""
        self.opened_at: list[float] = []

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    async def prepare(self) -> None: ...

    async def open(self, instructions: Instructions) -> Session:
        self.opened_at.append(asyncio.get_running_loop().time())
        if self.key_refused:
            raise ProviderError(self.name, Cause.KEY)
        if self.busy_for is not None:
            raise ProviderError(self.name, Cause.RATE, retry_after=self.busy_for)
        if self.broken:
            self.broken -= 1
            raise LOST
        session = Session(self, instructions)
        self.sessions.append(session)
        return session

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, True, "")


class Session:
    def __init__(self, model: Model, instructions: Instructions) -> None:
        self.model = model
        self.told = [instructions]
        self.heard: list[str] = []
        self.cuts: list[str | None] = []
        self.results: dict[str, str] = {}
        self.injected: list[tuple[str, Injection]] = []
        self.refused: list[str] = []
        self.spoken: list[str] = []
        """What it has said to its end."""
        self.frames = 0
        self.closed = False
        self.speaking = False
        self.listening = False
        """Somebody speaks."""
        self._words: list[str] = []
        self._quiet = 0
        self._events: asyncio.Queue[SessionEvent | Exception | None] = asyncio.Queue()
        self._mouth = asyncio.Lock()
        self._talk: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._count = 0

    # -- RealtimeSession

    def push(self, pcm: bytes) -> None:
        assert not self.closed
        for at in range(0, len(pcm), FRAME_BYTES):
            self._hear(pcm[at : at + FRAME_BYTES])

    def instruct(self, instructions: Instructions) -> None:
        self.told.append(instructions)

    def inject(self, text: str, how: Injection) -> str:
        self._count += 1
        id = f"line-{self._count}"
        self.injected.append((text, how))
        self._start(self._say_line(id, text, how))
        return id

    def answer(self, call: str, result: str) -> None:
        assert call not in self.results, "a function was answered twice"
        self.results[call] = result
        self._answers[call].set_result(result)

    def cut(self, heard: str | None = None) -> None:
        self.cuts.append(heard)
        self.hush()

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def aclose(self) -> None:
        self.closed = True
        if self.model.hangs:
            await asyncio.Event().wait()
        for task in list(self._tasks):
            task.cancel()

    # -- for scripts and tests

    def emit(self, event: SessionEvent | Exception | None) -> None:
        self._events.put_nowait(event)

    def lose(self) -> None:
        """The session breaks."""
        for task in list(self._tasks):
            task.cancel()
        self.emit(LOST)

    def hush(self) -> None:
        """What is being said stops."""
        if self._talk is not None:
            self._talk.cancel()

    def say(self, text: str) -> None:
        """Of its own accord."""
        self._start(self.speak(text))

    async def call(self, name: str, **arguments: Any) -> str:
        """Call a function, and wait for what it comes to."""
        self._count += 1
        id = f"call-{self._count}"
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        self.emit(FunctionCalled(id, name, arguments))
        result: str = await answer
        return result

    async def speak(self, text: str, line: str | None = None) -> bool:
        """Say something; whether it was said to its end."""
        async with self._mouth:
            self.speaking = True
            talk = self._talk = self._start(self._sound(text, line))
            try:
                await asyncio.wait([talk])
            finally:
                self.speaking, self._talk = False, None
                talk.cancel()
            if talk.cancelled():
                self.emit(ReplyEnded(cut=True))
                return False
            self.emit(ReplyEnded())
            self.spoken.append(text)
            return True

    # -- inside

    async def _sound(self, text: str, line: str | None) -> None:
        when, frames = self.model.words, spoken(text)
        self.emit(ReplyStarted(line))
        if when == "before":
            self.emit(ReplyText(text))
        words = text.split()
        for at in range(0, len(frames), CHUNK):
            if when == "with" and at % 15 == 0:
                self.emit(ReplyText(words[at // 15] + " "))
            self.emit(ReplyAudio(b"".join(frames[at : at + CHUNK])))
            await asyncio.sleep(0.02 * CHUNK / self.model.fast)
        if when == "after":
            self.emit(ReplyText(text))

    async def _say_line(self, id: str, text: str, how: Injection) -> None:
        await asyncio.sleep(0.02)
        match how:
            case Injection.IDLE if self.speaking or self.listening:
                self.refused.append(text)
                self.emit(Refused(id))
                return
            case Injection.NOW:
                self.hush()
            case _:
                pass
        await self.speak(text, id)

    def _hear(self, pcm: bytes) -> None:
        self.frames += 1
        if pcm == QUIET:
            self._quiet += 1
            if self.listening and self._quiet * 0.02 >= self.model.silence:
                self._end_turn()
            return
        self._quiet = 0
        if not self.listening:
            word, _ = word_of(pcm)
            if word == "<noise>":
                return
            self.listening = True
            self.emit(CallerStarted())
            if self.model.yields:
                self.hush()
        word, last = word_of(pcm)
        if last and word and word != "<noise>":
            self._words.append(word)
            if self.model.partials:
                self.emit(CallerSaid(" ".join(self._words), final=False))

    def _end_turn(self) -> None:
        self.listening = False
        text, self._words = " ".join(self._words), []
        self.emit(CallerSaid(text))
        if text:
            self.heard.append(text)
            self._start(self._answer(text))

    async def _answer(self, text: str) -> None:
        count = len(self.heard)
        await asyncio.sleep(self.model.think)
        if not self.listening and len(self.heard) == count:
            await self.model.script(self, text)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

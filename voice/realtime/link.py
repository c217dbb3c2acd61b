"""The link to a speech-to-speech model: one session after the other; that one is lost never ends the call.

What the model says comes as takes; what it calls, hears and refuses is handed on in the order in which it came.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from voice.backoff import Backoff
from voice.breaker import MOST_ASKED
from voice.provider_error import Cause, ProviderError
from voice.realtime.line import Line
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    FunctionCalled,
    Injection,
    Instructions,
    RealtimeModel,
    RealtimeSession,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionEvent,
)
from voice.realtime.take import Take

log = logging.getLogger("sottovoce.realtime")

AGAIN = 10.0
"""Seconds until a model that could not be reached in all tries is tried again; it may ask for more."""
OPENING = 10.0
"""Seconds that opening a session may take."""
CLOSE = 5.0
"""Seconds that a session has to close, before the next one is opened all the same."""
PROVEN = 5.0
"""Seconds after which a session that ends counts as one that worked: the next one is opened at once."""


class Following(Protocol):
    """Who follows what goes on in the sessions. Nothing here blocks or raises."""

    def began(self, take: Take) -> None: ...
    def worded(self, take: Take, text: str) -> None: ...
    def finished(self, take: Take) -> None: ...
    def called(self, call: FunctionCalled) -> None: ...
    def caller_started(self) -> None: ...
    def caller_said(self, said: CallerSaid) -> None: ...
    def opened(self) -> None: ...
    def lost(self, error: ProviderError) -> None: ...


class Link:
    """`run` is its life; until `instruct` was called no session is opened."""

    def __init__(self, model: RealtimeModel, follower: Following, backoff: Backoff) -> None:
        self._model = model
        self._follower = follower
        self._backoff = backoff
        self._loop = asyncio.get_running_loop()
        self._instructions: Instructions | None = None
        self._instructed = asyncio.Event()
        self._session: RealtimeSession | None = None
        self._up = asyncio.Event()
        self._lines: dict[str, Line] = {}
        self._calls: set[str] = set()
        """Functions whose answers the present session waits for."""
        self.take: Take | None = None
        """What the model is saying."""
        self.newest: Take | None = None
        """What it said last, or is saying."""
        self.error: ProviderError | None = None
        """Why there is no session, and will not be one soon."""

    # -- what the model is told. Nothing here waits; without a session it is nobody's.

    def instruct(self, instructions: Instructions) -> None:
        """Who the model is from its next reply on. Telling it the same again does nothing."""
        if instructions == self._instructions:
            return
        self._instructions = instructions
        self._instructed.set()
        if self._session is not None:
            self._session.instruct(instructions)

    def push(self, pcm: bytes) -> None:
        """More of the caller's sound."""
        if self._session is not None:
            self._session.push(pcm)

    def inject(self, text: str, how: Injection) -> Line:
        """Have it say this. Raises ProviderError when there is no session."""
        if self._session is None:
            raise self.error or self._lost()
        line = Line()
        self._lines[self._session.inject(text, how)] = line
        return line

    def answer(self, call: str, result: str) -> None:
        """What a function came to. A session that is over, or was told, is not told any more."""
        if self._session is not None and call in self._calls:
            self._calls.discard(call)
            self._session.answer(call, result)

    def cut(self, take: Take, heard: str) -> None:
        """Nobody hears more of this take than `heard`. Once the model says something newer it is not told: it would
        take that for what was cut."""
        take.dropped = True
        if self._session is not None and take is self.newest:
            self._session.cut(heard)

    @property
    def open(self) -> bool:
        """There is a session."""
        return self._session is not None

    async def up(self, seconds: float) -> bool:
        """Whether there is a session, within so many seconds."""
        if self._session is None and self.error is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._up.wait()
            except TimeoutError:
                pass
        return self._session is not None

    # -- sessions

    async def run(self) -> None:
        """Keep a session open, until cancelled."""
        await self._instructed.wait()
        tried, since = 0, self._loop.time()
        while True:
            error, lived = await self._live()
            now = self._loop.time()
            if lived >= PROVEN:
                tried, since = 0, now
                continue
            tried += 1
            pause = self._backoff.pause(tried, now - since, error)
            if pause is None:
                if self.error is None:
                    log.error("%s cannot be reached: %s", self._model.name, error)
                self.error = error
                pause = max(AGAIN, min(error.retry_after or 0.0, MOST_ASKED))
                tried, since = 0, now + pause
            await asyncio.sleep(pause)

    async def _live(self) -> tuple[ProviderError, float]:
        """Have one session; returns why it ended, and how long it was open (seconds)."""
        assert self._instructions is not None
        told = self._instructions
        try:
            async with asyncio.timeout(OPENING):
                session = await self._model.open(told)
        except Exception as refused:
            return self._known(refused), 0.0
        began = self._loop.time()
        error = self._lost()
        try:
            if told != self._instructions:
                session.instruct(self._instructions)
            self._session, self.error = session, None
            self._up.set()
            self._follower.opened()
            async for event in session:
                self._take_in(event)
                if isinstance(event, CallerSaid):
                    await asyncio.sleep(0)  # the caller's ear takes it in before what the model says to it
        except Exception as broken:
            error = self._known(broken)
        finally:
            self._session = None
            self._up.clear()
            await self._close(session)
        log.warning("the session with %s is lost, opened again: %s", self._model.name, error)
        self._let_go(error)
        return error, self._loop.time() - began

    async def _close(self, session: RealtimeSession) -> None:
        try:
            async with asyncio.timeout(CLOSE):
                await session.aclose()
        except Exception as error:
            log.warning("a session with %s cannot be closed: %r", self._model.name, error)

    def _lost(self) -> ProviderError:
        return ProviderError(self._model.name, Cause.NETWORK, "the session ended")

    def _known(self, error: Exception) -> ProviderError:
        """As an error of the provider's; an adapter that is broken is one that does not answer."""
        if isinstance(error, ProviderError):
            return error
        if not isinstance(error, TimeoutError):
            log.error("%s failed in its adapter: %r", self._model.name, error, exc_info=error)
            return ProviderError(self._model.name, Cause.ANSWER, type(error).__name__)
        return ProviderError(self._model.name, Cause.TIMEOUT)

    def _let_go(self, error: ProviderError) -> None:
        """Nothing more comes of what was under way."""
        take, self.take, self.newest = self.take, None, None
        self._calls.clear()
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.lose(error)
        if take is not None:
            take.end(error=error)
            self._follower.finished(take)
        self._follower.lost(error)

    def _take_in(self, event: SessionEvent) -> None:
        take = self.take
        match event:
            case ReplyStarted(id):
                self._end(cut=False)
                self._begin(id)
            case ReplyAudio(pcm) if take is not None:
                take.add(pcm)
            case ReplyText(text) if take is not None and not take.dropped:
                self._follower.worded(take, text)
            case ReplyEnded(cut):
                self._end(cut=cut)
            case Refused(refused):
                if line := self._lines.pop(refused, None):
                    line.refuse()
            case FunctionCalled():
                self._calls.add(event.id)
                self._follower.called(event)
            case CallerStarted():
                self._follower.caller_started()
            case CallerSaid():
                self._follower.caller_said(event)
            case _:
                pass

    def _begin(self, id: str | None) -> None:
        self.take = self.newest = take = Take(id)
        if id is None:
            self._follower.began(take)
            return
        line = self._lines.pop(id, None)
        if line is not None:
            line.begin(take)
        if line is None or line.given_up:
            self.cut(take, "")

    def _end(self, *, cut: bool) -> None:
        if (take := self.take) is not None:
            self.take = None
            take.end(cut=cut)
            self._follower.finished(take)

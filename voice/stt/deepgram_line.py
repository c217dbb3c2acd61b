"""A caller's line to one of Deepgram's recognisers: a WebSocket that is opened ahead, kept, and opened again when cut.

What is sent and what is kept is up to `Speeches`; this drives it: one task a stream, that begins with it and ends with
`aclose`, or with the ProviderError that whoever iterates the stream is given.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from voice.alarm import Alarm
from voice.backoff import Backoff
from voice.deepgram import abort, connected, failure
from voice.provider_error import Cause, ProviderError
from voice.stt.deepgram_speeches import Conclude, Configure, Media, Speeches
from voice.stt.recognizer import Hearing, Hints
from voice.stt.results import Results

log = logging.getLogger("sottovoce.deepgram")

STALL = 2.0
"""Seconds in which a message must be sent: 60 ms of sound are 2 kB, a line that does not take them is dead."""
MAX_KEYTERMS = 100
MAX_KEYTERM_TEXT = 1500
"""Characters of all key terms: Deepgram takes 500 tokens of about 3."""
AGAIN = Backoff(tries=4, first=0.1, longest=1.0, patience=6.0)
"""How a line is opened again in mid-speech: a caller is waiting."""


class Socket(Protocol):
    """What the SDK's sockets have in common."""

    async def send_media(self, message: bytes, /) -> None: ...

    async def recv(self) -> Any: ...


class Service(Protocol):
    """The provider, as its streams need it."""

    name: str

    async def prepare(self) -> None: ...

    def connect(self, keyterms: Sequence[str]) -> AbstractAsyncContextManager[Any]: ...

    def keyterms(self, hints: Hints) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class _Attempts:
    """Failed ones, since there was any progress."""

    count: int = 0
    since: float = 0.0
    progress: int = -1


class DeepgramStream(ABC):
    """One caller's recogniser; see `RecognizerStream`. Iterating it raises ProviderError when Deepgram cannot be
    reached, refuses, or does not make sense; it is then of no more use. `keep_alive`: seconds after which something is
    sent to keep an idle line; None: it may be closed, and is opened again when there is speech.
    """

    def __init__(self, service: Service, speeches: Speeches, keep_alive: float | None) -> None:
        self._service = service
        self._speeches = speeches
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._results = Results()
        self._wake = asyncio.Event()
        self._alarm = Alarm(self._overdue)
        self._socket: Any = None
        self._given_up: ProviderError | None = None
        """Why the present line was cut off from this side."""
        self._dropped = False
        """It was, though nothing is wrong."""
        self._task = asyncio.ensure_future(self._live())

    # -- for the kinds of recogniser

    @abstractmethod
    def read(self, message: Any) -> list[Hearing]:
        """What a message says. Raises ProviderError, or ValueError for one that makes no sense."""

    @abstractmethod
    async def conclude(self, socket: Any) -> None:
        """Ask for the end of the speech."""

    @abstractmethod
    async def configure(self, socket: Any, keyterms: tuple[str, ...]) -> None:
        """Change the key terms."""

    @abstractmethod
    async def keep(self, socket: Any) -> None:
        """Keep an idle line. Never called without a `keep_alive`."""

    # -- the caller's side

    def begin(self) -> None:
        """See `RecognizerStream.begin`. Raises RuntimeError before the `end` of the last one."""
        if not self._results.over:
            self._speeches.begin()
            self._wake.set()

    def push(self, pcm: bytes) -> None:
        """See `RecognizerStream.push`. Raises RuntimeError before `begin`, ValueError for half a sample."""
        if not self._results.over:
            self._speeches.push(pcm)
            self._wake.set()

    def end(self) -> None:
        """See `RecognizerStream.end`. Raises RuntimeError before `begin`."""
        if not self._results.over:
            self._tell(self._speeches.end())
            self._wake.set()

    def expect(self, hints: Hints) -> None:
        """See `RecognizerStream.expect`: the phrases are key terms, a grammar is not used."""
        self._speeches.keyterms = self._service.keyterms(hints)

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._results

    async def aclose(self) -> None:
        """See `RecognizerStream.aclose`. Takes a second at most."""
        self._stop(None)
        self._task.cancel()
        await asyncio.wait([self._task])

    def _stop(self, error: ProviderError | None) -> None:
        """Nothing more is done; the iteration ends, with `error` if there is one."""
        self._results.end(error)
        self._alarm.set(None)

    def _tell(self, hearings: Sequence[Hearing]) -> None:
        for hearing in hearings:
            self._results.put(hearing)

    # -- the line

    async def _live(self) -> None:
        """Keep a line, until this is closed or it is hopeless."""
        try:
            await self._service.prepare()
            attempts = _Attempts()
            while True:
                error = await self._connect()
                attempts = await self._fail(error, attempts)
        except ProviderError as error:
            self._stop(error)
        except Exception as error:
            self._stop(failure(self._service.name, error))

    async def _fail(self, error: ProviderError | None, attempts: _Attempts) -> _Attempts:
        """A line is gone, `error`: not by our will. Returns when there is to be another; raises when there is not."""
        now = self._loop.time()
        if error is None:
            return attempts
        if not error.transient:
            raise error from None
        if not self._speeches.waiting:
            log.debug("%s: an idle line is gone, opened again when there is speech: %s", self._service.name, error)
            await self._wanted()
            return _Attempts()
        if self._speeches.progress != attempts.progress:
            attempts = _Attempts(0, now, self._speeches.progress)
        count = attempts.count + 1
        pause = AGAIN.pause(count, now - attempts.since, error)
        if pause is None:
            raise error from None
        log.warning("%s: a line broke off in mid-speech, opened again in %.2f s: %s", self._service.name, pause, error)
        await asyncio.sleep(pause)
        return _Attempts(count, attempts.since, attempts.progress)

    async def _wanted(self) -> None:
        """Wait for speech."""
        while not self._speeches.waiting:
            self._wake.clear()
            await self._wake.wait()

    async def _connect(self) -> ProviderError | None:
        """Open a line and use it; returns what ended it, None: this side did, and wants another."""
        keyterms, name = self._speeches.keyterms, self._service.name
        self._given_up, self._dropped = None, False
        try:
            async with connected(name, self._service.connect(keyterms)) as socket, asyncio.TaskGroup() as group:
                self._socket = socket
                self._tell(self._speeches.connected(keyterms))
                group.create_task(self._send(socket), name=f"{name} sends")
                group.create_task(self._receive(socket), name=f"{name} receives")
        except Exception as error:
            return None if self._dropped else self._given_up or failure(name, _first(error))
        finally:
            self._socket = None
            self._alarm.set(None)
        return None

    async def _send(self, socket: Any) -> NoReturn:
        """Send what there is to send, and something now and then when there is nothing."""
        while True:
            action = self._speeches.take()
            if action is None:
                self._wake.clear()
                try:
                    async with asyncio.timeout(self._keep_alive):
                        await self._wake.wait()
                        continue
                except TimeoutError:
                    pass
            async with asyncio.timeout(STALL):
                match action:
                    case Media(pcm):
                        await socket.send_media(pcm)
                        if not self._alarm.on:
                            self._watch()
                    case Conclude():
                        await self.conclude(socket)
                        self._watch()
                    case Configure(keyterms):
                        await self.configure(socket, keyterms)
                    case None:
                        await self.keep(socket)

    async def _receive(self, socket: Any) -> NoReturn:
        """Take what comes."""
        while True:
            message = await socket.recv()
            self._tell(self.read(message))
            self._watch()
            self._wake.set()

    # -- news that do not come

    def _watch(self) -> None:
        """Wait for the next news, if some are due."""
        patience = self._speeches.patience
        self._alarm.set(None if patience is None else self._loop.time() + patience)

    def _overdue(self) -> None:
        if not (self._speeches.asked or self._speeches.mute):
            self._watch()  # there was little sound that anything could be said of
            return
        settled = self._speeches.settled
        hearings = self._speeches.overdue()
        if hearings is None:
            self._given_up = ProviderError(self._service.name, Cause.TIMEOUT, "it does not say what it heard")
        else:
            self._tell(hearings)
            self._dropped = not settled
        self._wake.set()
        if (hearings is None or self._dropped) and self._socket is not None:
            abort(self._socket)


def _first(error: BaseException) -> BaseException:
    """One of the errors, if it is a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def key_terms(*sources: Sequence[str]) -> tuple[str, ...]:
    """The terms of all, the first sources' first, as many as Deepgram takes."""
    terms: dict[str, None] = {}
    room = MAX_KEYTERM_TEXT
    for term in (" ".join(each.split()) for source in sources for each in source):
        if term and term not in terms and len(term) <= room and len(terms) < MAX_KEYTERMS:
            terms[term] = None
            room -= len(term)
    return tuple(terms)

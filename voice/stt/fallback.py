"""A recogniser over several: where one fails, the next is given what the caller has said so far, and no word is lost.

The sound of the present speech is kept until its final transcript and replayed into whoever comes next. A better
provider that works again is taken up when the caller next begins to speak, never in the middle of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from voice.alarm import Alarm
from voice.backoff import Backoff
from voice.cancellation import cancelled_here
from voice.check import Check
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.standby import Request, Standby
from voice.stt.recognizer import Final, Hearing, Hints, RecognizerStream, SpeechRecognizer

log = logging.getLogger("sottovoce.providers")

KEPT = 120.0
"""Seconds of sound that are kept of what has no final transcript yet: a turn is no longer (`EarTimes`); 3.8 MB."""
FINAL = 1.2
"""Seconds for a final transcript, after which the next is asked: `voice.ear` waits for two in all."""
CLOSE = 5.0
"""Seconds that one that failed has to close."""
PATIENCE = Backoff(tries=3, first=0.3, longest=1.0, patience=3.0)
"""How often all of them are asked once more for a speech."""


@dataclass(slots=True)
class _Speech:
    """What a caller says, from `begin` to its final transcript."""

    pcm: deque[bytes] = field(default_factory=deque)
    size: int = 0
    ended_at: float | None = None
    """When the present provider was asked for a final transcript."""


class FallbackRecognizer:
    """`providers` in order of preference, one or more; their breakers are shared by all callers.

    `final`: seconds without a final transcript that count as a failure. `failures`, `pause`, `longest`: see
    `voice.breaker.Breaker`. Raises ValueError and TypeError naming what is wrong.
    """

    def __init__(
        self,
        providers: Sequence[SpeechRecognizer],
        *,
        final: float = FINAL,
        backoff: Backoff = PATIENCE,
        failures: int = 3,
        pause: float = 5.0,
        longest: float = 120.0,
    ) -> None:
        if not 0 < final <= 60:
            raise ValueError(f"final must be seconds over 0, at most 60, not {final!r}")
        self.standby = Standby("recogniser", providers, "stream", failures=failures, pause=pause, longest=longest)
        self.final = final
        self.backoff = backoff
        self.name = self.standby.name

    def __repr__(self) -> str:
        return f"FallbackRecognizer({self.name})"

    @property
    def providers(self) -> tuple[SpeechRecognizer, ...]:
        """What it is made of, in order of preference."""
        return self.standby.providers

    @property
    def endpoints(self) -> bool:
        """Whether the one that would be asked now ends turns by itself; streams may have others."""
        return self.standby.providers[self.standby.preferred].endpoints

    @property
    def fits_grammar(self) -> bool:
        """Whether the one that would be asked now fits all it hears into the grammar; streams may have others."""
        return self.standby.providers[self.standby.preferred].fits_grammar

    async def prepare(self) -> None:
        """Make all ready; one that cannot be is done without. Raises ProviderError when none can be."""
        await self.standby.prepare()

    async def aclose(self) -> None:
        """Close those that can be."""
        await self.standby.aclose()

    @classmethod
    def check(cls) -> Check:
        """It works as far as those it is made of do."""
        return Check("fallback", True, "falls from one recogniser to the next")

    def stream(self, hints: Hints) -> RecognizerStream:
        return _Stream(self, hints)


class _Stream:
    """One caller's. It has one provider's stream at a time, or none while nothing is said."""

    def __init__(self, provider: FallbackRecognizer, hints: Hints) -> None:
        self._provider, self._standby = provider, provider.standby
        self._hints = hints
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Hearing | ProviderError | None] = asyncio.Queue()
        self._speeches: deque[_Speech] = deque()
        """What has no final transcript yet, oldest first; the last may still go on."""
        self._inner: RecognizerStream | None = None
        self._pump: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._which: int | None = None
        self._chosen_at = 0.0
        self._request: Request | None = None
        """The present speech's way through the providers, once one has failed it."""
        self._late = Alarm(self._miss)
        self._again = Alarm(self._retry)
        self._begun = self._closed = False
        self._switch(self._standby.choose(self._loop.time()))

    @property
    def fits_grammar(self) -> bool:
        """Of the one in use."""
        which = self._standby.preferred if self._which is None else self._which
        return self._standby.providers[which].fits_grammar

    @property
    def endpoints(self) -> bool:
        """Of the one in use."""
        return self._standby.providers[self._standby.preferred if self._which is None else self._which].endpoints

    # -- what a recogniser does

    def begin(self) -> None:
        """Raises RuntimeError while a speech goes on."""
        if self._closed:
            return
        if self._speeches and self._speeches[-1].ended_at is None:
            raise RuntimeError("begin() was called twice; call end() before it")
        self._begun = True
        if not self._speeches:
            self._request = None
            better = self._standby.choose(self._loop.time(), before=self._which)
            if better is not None:
                self._switch(better)
        self._speeches.append(_Speech())
        if self._inner is not None:
            self._do(self._inner.begin)
        elif self._request is None:
            self._request = self._standby.request(self._provider.backoff)
            self._follow()

    def push(self, pcm: bytes) -> None:
        """Raises RuntimeError outside a speech, ValueError for half a sample."""
        if self._closed:
            return
        self._check_begun("push")
        if len(pcm) % 2:
            raise ValueError(f"{len(pcm)} bytes are no whole samples of 16 bits")
        speech = self._speeches[-1] if self._speeches else None
        if speech is None or speech.ended_at is not None:
            return  # it has ended the speech by itself, and that is on its way to whoever pushes
        speech.pcm.append(pcm)
        speech.size += len(pcm)
        while speech.size > KEPT * 2 * RATE:
            speech.size -= len(speech.pcm.popleft())
        if self._inner is not None:
            self._do(self._inner.push, pcm)

    def end(self) -> None:
        """Raises RuntimeError outside a speech."""
        if self._closed:
            return
        self._check_begun("end")
        self._begun = False
        if not self._speeches or self._speeches[-1].ended_at is not None:
            return
        self._speeches[-1].ended_at = self._loop.time()
        self._watch()
        if self._inner is not None:
            self._do(self._inner.end)

    def expect(self, hints: Hints) -> None:
        if self._closed:
            return
        self._hints = hints
        if self._inner is not None:
            self._do(self._inner.expect, hints)

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Hearing]:
        while not self._closed:
            result = await self._results.get()
            if isinstance(result, ProviderError):
                raise result
            if result is not None and not self._closed:
                yield result

    async def aclose(self) -> None:
        """One that was asked for a final transcript and gave none until now has failed; the next stream has another."""
        if not self._closed:
            self._closed = True
            self._results.put_nowait(None)  # whoever waits for more is not to wait any longer
            self._late.set(None)
            self._again.set(None)
            if self._which is not None:
                now = self._loop.time()
                asked = self._speeches[0].ended_at if self._speeches else None
                if asked is not None and now - asked >= self._provider.final - 1e-6:
                    self._blame(self._which, self._silent())
                else:
                    self._standby.dropped(self._which, self._chosen_at)
            self._leave()
        if self._closing:
            await asyncio.wait(self._closing)

    def _check_begun(self, call: str) -> None:
        if not self._begun:
            raise RuntimeError(f"{call}() was called before begin()")

    # -- which provider

    def _do(self, call: Callable[..., None], *args: object) -> None:
        try:
            call(*args)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """The one in use failed: while something is said the next is given it, else it can wait for that."""
        which = self._which
        if which is None:
            return
        self._leave()
        if not self._speeches:
            self._blame(which, error)
            return
        if self._request is None:
            self._request = self._standby.request(self._provider.backoff, asked=which)
        self._request.failed(error)
        self._follow()

    def _blame(self, which: int, error: Exception) -> None:
        """It failed, and nothing is said for which another is asked at once."""
        now = self._loop.time()
        self._standby.failed(which, error, now, self._standby.spare(now, {which}))

    def _follow(self) -> None:
        """Have the next one go on; when none is left all are asked once more after a while, or it is over."""
        assert self._request is not None, "nobody failed"
        if self._request.which is not None:
            self._switch(self._request.which)
        elif (wait := self._request.pause()) is not None:
            self._again.set(self._loop.time() + wait)
        else:
            self._results.put_nowait(self._request.error())

    def _retry(self) -> None:
        """All may be asked once more."""
        if self._request is None or self._closed:
            return
        self._request.again()
        if self._request.which is None:
            self._results.put_nowait(self._request.error())
        else:
            self._switch(self._request.which)

    def _switch(self, which: int | None) -> None:
        """Have this one from now on, with all that has no final transcript yet."""
        self._leave()
        if which is None:
            return
        self._which, self._chosen_at = which, self._loop.time()
        try:
            inner = self._standby.providers[which].stream(self._hints)
        except Exception as error:
            self._fail(error)
            return
        self._inner = inner
        self._pump = asyncio.ensure_future(self._take(inner))
        self._do(self._replay, inner)

    def _replay(self, inner: RecognizerStream) -> None:
        for speech in self._speeches:
            inner.begin()
            for pcm in speech.pcm:
                inner.push(pcm)
            if speech.ended_at is not None:
                speech.ended_at = self._loop.time()
                inner.end()
        self._watch()

    def _leave(self) -> None:
        """Have none for now."""
        inner, pump = self._inner, self._pump
        self._pump = self._inner = self._which = None
        self._late.set(None)
        if inner is not None and pump is not None:
            closing = asyncio.ensure_future(self._discard(inner, pump))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _discard(self, inner: RecognizerStream, pump: asyncio.Task[None]) -> None:
        """Stop listening to it, and close it."""
        pump.cancel()
        await asyncio.wait([pump])
        try:
            async with asyncio.timeout(CLOSE):
                await inner.aclose()
        except Exception as error:
            log.warning("recogniser %s cannot be closed: %s", self._provider.name, type(error).__name__, exc_info=error)

    # -- what it hears

    async def _take(self, inner: RecognizerStream) -> None:
        """What one hears, until it fails or is left."""
        error: Exception | None = None
        try:
            async for hearing in inner:
                if self._inner is not inner:
                    return
                self._hear(hearing)
        except asyncio.CancelledError:
            if cancelled_here():
                raise
            error = RuntimeError("it was cancelled")
        except Exception as failure:
            error = failure
        if self._inner is not inner:
            return
        if error is not None or self._speeches:
            self._fail(error or ProviderError(self._name, Cause.NETWORK, "it ended by itself"))
        else:  # it was not needed; the next speech opens another
            self._leave()

    def _hear(self, hearing: Hearing) -> None:
        if isinstance(hearing, Final):
            if not self._speeches:
                log.debug("a final transcript too many of %s is dropped", self._name)
                return
            self._speeches.popleft()
            if self._which is not None:
                self._standby.worked(self._which, self._loop.time())
            self._watch()
        self._results.put_nowait(hearing)

    def _watch(self) -> None:
        """Wait for the oldest final transcript that was asked for."""
        asked = self._speeches[0].ended_at if self._speeches and self._inner is not None else None
        self._late.set(None if asked is None else asked + self._provider.final)

    def _miss(self) -> None:
        """It did not come. Another may be in time; where there is none it may still come."""
        if self._which is None:
            return
        if (
            self._request.spare()
            if self._request
            else self._standby.spare(self._loop.time(), {self._which}) is not None
        ):
            self._fail(self._silent())

    @property
    def _name(self) -> str:
        return self._standby.name_of(self._which or 0)

    def _silent(self) -> ProviderError:
        return ProviderError(self._name, Cause.TIMEOUT, f"no final transcript for {self._provider.final:g} s")

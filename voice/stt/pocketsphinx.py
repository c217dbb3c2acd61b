"""PocketSphinx: recognition without a key or a download, exact where a grammar says what can be said.

A caller's grammar is decoded first (one twentieth of real time). What does not fit it, or is said where there is none,
is decoded with an open model of English, of which about every fourth word is wrong: it is marked as guessed.
All decoding is done in threads that leave the event loop alone. A caller who speaks costs 8 MB; one who is silent
costs nothing; the open language costs 100 MB for each seat (2), shared by all.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from voice.check import Check
from voice.leg import RATE
from voice.stt.recognizer import Hearing, Hints
from voice.stt.sphinx import decoder
from voice.stt.sphinx.decoder import UNADAPTED, Decoder, SphinxError
from voice.stt.sphinx.grammar import Grammar, parse
from voice.stt.sphinx.lexicon import Lexicon
from voice.stt.sphinx.pool import Pool, Seat
from voice.stt.sphinx.speech import Manner, Speech

THRESHOLD = -50.0
"""The score (see `sphinx.decoder.Guess`) under which a sentence of the grammar is taken for something else. Of 96
sentences of four synthetic voices it accepts 96 clean, 96 very quiet, 94 with noise at 20 dB and 63 of 83 that were
understood in the telephone band (78 at -54); of 120 other ones 0, 3, 5 and 0. Calibrate it to the callers' lines."""
STEP = RATE * 2 // 10
"""Bytes decoded at a time: 100 ms, so a partial result is at most that old."""
NICENESS = 5
"""How much the decoding threads give way to others (nice, 0 to 19). The event loop's longest wait for four of them on
two busy cores: 20-71 ms at 0, 16-29 at 5, 10-17 at 10, where other programs get ten times their share."""
SPEAKING = 32
"""Callers who can speak into grammars at once; a further one is heard as soon as another pauses."""
GUESSING = 2
"""Speeches that can be decoded in the open language at once."""


class Pocketsphinx:
    """The provider. `words` adds pronunciations: {"postgres": "P OW S T G R EH S"} (ARPAbet).

    `open_vocabulary=False`: what is outside the grammar is not guessed at, its `Final` has the best-fitting sentence of
    the grammar, marked as rejected; streams without a grammar are then refused.
    """

    name = "pocketsphinx"
    endpoints = False
    fits_grammar = True

    def __init__(
        self,
        threshold: float = THRESHOLD,
        open_vocabulary: bool = True,
        words: Mapping[str, str] | None = None,
        speaking: int = SPEAKING,
        guessing: int = GUESSING,
    ) -> None:
        if not threshold < 0:
            raise ValueError(f"threshold must be a score under 0 (most are between -120 and -20), not {threshold!r}")
        if speaking < 1 or guessing < 1:
            raise ValueError(f"speaking and guessing must be at least 1, not {speaking!r} and {guessing!r}")
        self.manner = Manner(threshold, open_vocabulary)
        self._words = dict(words or {})
        self._lexicon: Lexicon | None = None
        self.grammars = Pool(speaking, functools.partial(_make, False))
        self.language = Pool(guessing, functools.partial(_make, True))

    async def prepare(self) -> None:
        """Load the dictionary and a decoder of each kind (0.5 s). Raises SphinxError, or ValueError for `words`."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads(), self._load)

    def stream(self, hints: Hints) -> PocketsphinxStream:
        """A new caller's recogniser. Raises ValueError for a grammar that cannot be used, naming what is wrong."""
        return PocketsphinxStream(self, hints)

    @classmethod
    def check(cls) -> Check:
        """Whether the package and its model are installed."""
        if decoder.model() is None:
            fix = "pip install 'sottovoce[pocketsphinx]'"
            return Check(cls.name, False, "pocketsphinx is not installed", fix)
        return Check(cls.name, True, "PocketSphinx with its English model: grammars first, open English as a guess")

    def grammar(self, hints: Hints) -> Grammar | None:
        """The grammar of `hints`; None when there is none. Raises ValueError."""
        if hints.grammar.strip():
            return parse(hints.grammar, self.lexicon)
        if not self.manner.open_vocabulary:
            raise ValueError("hints.grammar is empty, and this recogniser was made with open_vocabulary=False")
        return None

    @property
    def lexicon(self) -> Lexicon:
        """How words are pronounced (read at first use, 5 ms)."""
        if self._lexicon is None:
            self._lexicon = Lexicon(decoder.installed() / "cmudict-en-us.dict", self._words)
        return self._lexicon

    def _load(self) -> None:
        _ = self.lexicon
        for pool in (self.grammars, self.language) if self.manner.open_vocabulary else (self.grammars,):
            seat = pool.take("", lambda: None)
            if seat is not None:
                try:
                    _ = seat.decoder
                finally:
                    seat.leave()


@functools.cache
def threads() -> ThreadPoolExecutor:
    """Where all decoding of the process is done: a thread a core, and some that may be slow without stopping those."""
    workers = (os.cpu_count() or 1) + GUESSING
    return ThreadPoolExecutor(workers, thread_name_prefix="pocketsphinx", initializer=_yield_to_the_loop)


def _yield_to_the_loop() -> None:
    """Where every core is busy the event loop goes first."""
    if sys.platform == "linux":  # elsewhere a process's priority is not a thread's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _make(open_vocabulary: bool) -> Decoder:
    from voice.stt.sphinx import child, native

    return native.NativeDecoder(open_vocabulary) if native.library() else child.ChildDecoder(open_vocabulary)


def _step(seat: Seat, speech: Speech, pcm: bytes, ended: bool) -> Hearing | None:
    """One step of one speech, in a thread."""
    if speech.retrying:
        return speech.retry(seat.decoder)
    seat.grammar = speech.grammar.key if speech.grammar else ""
    return speech.advance(seat.decoder, pcm, ended)


class PocketsphinxStream:
    """One caller's recogniser. Iterating it raises SphinxError when the decoder failed; it is then of no more use."""

    def __init__(self, provider: Pocketsphinx, hints: Hints) -> None:
        self._provider = provider
        self._grammar = provider.grammar(hints)
        self._means = UNADAPTED
        self._speeches: deque[Speech] = deque()
        """Those that have no `Final` yet: the caller is speaking the last one, the first one is being decoded."""
        self._seat: Seat | None = None
        self._job: asyncio.Future[Hearing | None] | None = None
        self._heard: asyncio.Queue[Hearing | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._over = False
        """Closed, or failed: nothing is done any more."""

    def begin(self) -> None:
        """See `RecognizerStream.begin`. Raises RuntimeError before the `end` of the last one."""
        if self._over:
            return
        if self._speaking:
            raise RuntimeError("begin() was called twice without end()")
        self._speeches.append(Speech(self._grammar, self._provider.manner, self._means))

    def push(self, pcm: bytes) -> None:
        """See `RecognizerStream.push`. Raises RuntimeError before `begin`, ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError(f"pcm must be whole 16-bit samples, not {len(pcm)} bytes")
        if speech := self._current("push"):
            speech.pending += pcm
            self._go_on()

    def end(self) -> None:
        """See `RecognizerStream.end`. Raises RuntimeError before `begin`."""
        if speech := self._current("end"):
            speech.ended = True
            self._go_on()

    def expect(self, hints: Hints) -> None:
        """See `RecognizerStream.expect`. Raises ValueError for a grammar that cannot be used."""
        self._grammar = self._provider.grammar(hints)

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self

    async def __anext__(self) -> Hearing:
        hearing = await self._heard.get()
        if isinstance(hearing, BaseException):
            raise hearing
        if hearing is None:
            self._heard.put_nowait(None)
            raise StopAsyncIteration
        return hearing

    async def aclose(self) -> None:
        """See `RecognizerStream.aclose`."""
        self._stop(None)
        if self._job is not None:
            await asyncio.wait([self._job])

    @property
    def _speaking(self) -> bool:
        return bool(self._speeches) and not self._speeches[-1].ended

    def _current(self, what: str) -> Speech | None:
        """The speech the caller is speaking; None when this is over."""
        if self._over:
            return None
        if not self._speaking:
            raise RuntimeError(f"{what}() was called before begin()")
        return self._speeches[-1]

    # -- the work, one step of one speech at a time

    def _go_on(self) -> None:
        """Begin the next step, if there is one to do and a seat to do it at."""
        if self._job is not None or self._over or not self._speeches:
            return
        speech = self._speeches[0]
        if not speech.ended and len(speech.pending) < STEP:
            return
        if self._seat is None:
            self._seat = self._find_seat(speech)
        if self._seat is not None:
            pcm, ended = bytes(speech.pending), speech.ended
            speech.pending.clear()
            self._job = self._loop.run_in_executor(threads(), _step, self._seat, speech, pcm, ended)
            self._job.add_done_callback(functools.partial(self._done, speech, ended))

    def _find_seat(self, speech: Speech) -> Seat | None:
        if not speech.retrying:
            speech.means = self._means
        pool = self._provider.language if speech.open else self._provider.grammars
        return pool.take(speech.grammar.key if speech.grammar else "", self._wake)

    def _wake(self) -> None:
        """A seat may be free. Called in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._go_on)

    def _done(self, speech: Speech, ended: bool, job: asyncio.Future[Hearing | None]) -> None:
        """A step is over."""
        self._job = None
        error = SphinxError("decoding was cancelled") if job.cancelled() else job.exception()
        if error is not None:
            if self._seat is not None:
                self._seat.scrap()
            self._stop(error)
        elif self._over:
            self._leave()
        else:
            self._take(speech, ended, job.result())
            self._go_on()

    def _take(self, speech: Speech, ended: bool, hearing: Hearing | None) -> None:
        """What a step has found. A speech that has ended gives its seat up, for another one or for good."""
        if ended:
            self._leave()
        if hearing is not None:
            self._heard.put_nowait(hearing)
            if ended:
                self._means = speech.means
                self._speeches.popleft()

    def _stop(self, error: BaseException | None) -> None:
        """Nothing more is done; the iteration ends, with `error` if there is one."""
        if not self._over:
            self._over = True
            self._speeches.clear()
            while not self._heard.empty():
                self._heard.get_nowait()
            if error is not None:
                self._heard.put_nowait(error)
            self._heard.put_nowait(None)
        if self._job is None:
            self._leave()

    def _leave(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.leave()

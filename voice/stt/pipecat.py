"""Any speech recogniser that Pipecat has a service for: `PipecatSTT(lambda: DeepgramSTTService(api_key=...))`.

Every caller gets a service of their own, which is told when the voice begins and ends as Pipecat's own detector would
tell it. What it transcribes from one beginning to the next makes one `Final`: at once when the service says that it
has finalised, else when it has had time to. After an end it hears silence until then, as on a line that stays open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voice import pipecat
from voice.check import Check
from voice.leg import RATE
from voice.stt.recognizer import EagerEnd, Final, Hearing, Hints, Partial, Resumed
from voice.stt.results import Results

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame
    from pipecat.services.stt_service import STTService

    from voice.provider_error import ProviderError

SETTLE = 0.3
"""Seconds, a choice: less may cost a last word, more is waited for after every turn of such a service."""
TAIL = 0.1
"""Seconds of silence pushed at a time after an end."""
GUESS = 0.5
"""Confidence of a text of which only an interim transcript ever came."""


class PipecatSTT:
    """The provider. `factory` makes a new `STTService` each time (a class will do). `name`: what it is called in errors
    and logs. `endpoints`: the service ends turns by itself, as Deepgram's Flux does; its finalised transcripts count.

    Where a service does not say what is final: `patience`, seconds after the end of speech in which a transcript must
    have come; None takes the time in which 99 of 100 of the service's come, as Pipecat has measured it. `settle`:
    seconds after the end, or after a transcript that came later, in which there may be more when none is announced.

    `Hints` are not passed on: give the service its key terms. Raises TypeError for a service instead of a factory.
    """

    fits_grammar = False
    name = "pipecat"
    remote = True

    def __init__(
        self,
        factory: Callable[[], STTService],
        *,
        name: str = "pipecat",
        endpoints: bool = False,
        patience: float | None = None,
        settle: float = SETTLE,
    ) -> None:
        pipecat.refuse_what_cannot_be_called(factory, "PipecatSTT(lambda: DeepgramSTTService(...))")
        if patience is not None and not 0 < patience <= 30:
            raise ValueError(f"patience must be seconds between 0 and 30, or None, not {patience!r}")
        if not 0 <= settle <= 10:
            raise ValueError(f"settle must be seconds between 0 and 10, not {settle!r}")
        self._factory = factory
        self.name, self.endpoints = name, endpoints
        self.patience, self.settle = patience, settle

    async def prepare(self) -> None:
        """Import Pipecat, in a thread (1 s). Raises ProviderError naming what is missing."""
        await pipecat.prepare(self.name)

    def stream(self, hints: Hints) -> PipecatStream:
        """A new caller's recogniser. Raises TypeError when `factory` makes something else than an STTService."""
        return PipecatStream(self)

    @classmethod
    def check(cls) -> Check:
        """Whether the package is installed."""
        return pipecat.check(cls.name, "Pipecat's recognisers")

    def make(self) -> STTService:
        """A new service of the factory's."""
        from pipecat.services.stt_service import STTService

        service = self._factory()
        if not isinstance(service, STTService):
            raise TypeError(f"factory must make an STTService of Pipecat's, not {type(service).__name__}")
        return service


@dataclass(slots=True)
class _Speech:
    """What the caller says from one `begin` to its `Final`."""

    texts: list[str] = field(default_factory=list)
    interim: str = ""
    ended: bool = False
    waiting: list[Frame] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(filter(None, (*self.texts, self.interim)))


class PipecatStream:
    """One caller's recogniser. Iterating it raises ProviderError when the service failed; it is then of no more use."""

    def __init__(self, provider: PipecatSTT) -> None:
        self._loop = asyncio.get_running_loop()
        self._vendor = pipecat.load(provider.name)
        service = provider.make()
        self._patience, self._settle, self._endpoints = provider.patience, provider.settle, provider.endpoints
        self._latency = 1.0
        self._started = False
        self._tail = _wants_silence(service)
        self._speeches: deque[_Speech] = deque()
        """Those that have no `Final` yet; the caller may be speaking the last one."""
        self._speaking = False
        self._latest = 0.0
        """When the oldest speech is concluded whatever has come."""
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._results = Results()
        self._host = self._vendor.Host(provider.name, service, self._take, self._stop)

    def begin(self) -> None:
        """See `RecognizerStream.begin`. Raises RuntimeError before the `end` of the last one."""
        if self._host.over:
            return
        if self._speaking:
            raise RuntimeError("begin() was called twice without end()")
        from pipecat.frames.frames import VADUserStartedSpeakingFrame

        self._speaking = True
        self._speeches.append(_Speech())
        self._put(VADUserStartedSpeakingFrame())

    def push(self, pcm: bytes) -> None:
        """See `RecognizerStream.push`. Raises RuntimeError before `begin`, ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError(f"pcm must be whole 16-bit samples, not {len(pcm)} bytes")
        if self._open("push") and pcm:
            self._put(_audio(pcm))

    def end(self) -> None:
        """See `RecognizerStream.end`. Raises RuntimeError before `begin`."""
        if not self._open("end"):
            return
        from pipecat.frames.frames import VADUserStoppedSpeakingFrame

        self._speaking = False
        self._put(VADUserStoppedSpeakingFrame())
        self._speeches[-1].ended = True
        self._await_transcript()

    def expect(self, hints: Hints) -> None:
        """Does nothing: Pipecat's services have no common way to be told."""

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._results

    async def aclose(self) -> None:
        """See `RecognizerStream.aclose`."""
        if not self._host.over:
            self._host.close()
            self._stop(None)
        await self._host.aclose()

    def _open(self, what: str) -> bool:
        """Whether the caller is speaking; False when this is over, or the service has ended the turn."""
        if self._host.over or (self._endpoints and not self._speaking):
            return False
        if not self._speaking:
            raise RuntimeError(f"{what}() was called before begin()")
        return True

    def _put(self, frame: Frame) -> None:
        """More of the last speech. It waits for the last `Final`: transcripts do not say whose they are."""
        if len(self._speeches) == 1:
            self._host.put(frame)
        else:
            self._speeches[-1].waiting.append(frame)

    def _be_silent(self) -> None:
        self._host.put(_audio(bytes(2 * round(TAIL * RATE))))
        self._silence = self._loop.call_later(TAIL, self._be_silent)

    def _hush(self) -> None:
        for timer in (self._timer, self._silence):
            if timer is not None:
                timer.cancel()
        self._timer = self._silence = None

    # -- what the service says

    def _take(self, frame: Frame) -> None:
        from pipecat.frames import frames

        match frame:
            case frames.InterimTranscriptionFrame():
                self._understand(frame.text, interim=True)
            case frames.TranscriptionFrame():
                self._understand(frame.text, finalized=frame.finalized)
            case frames.EagerTranscriptionFrame() if self._speeches:
                self._results.put(EagerEnd(frame.text.strip()))
            case frames.EagerEndOfTurnCancelFrame() if self._speeches:
                self._results.put(Resumed())
            case frames.StartFrame():
                self._started = True
                self._await_transcript()
            case frames.STTMetadataFrame():
                self._latency = frame.ttfs_p99_latency
                self._hush()
                self._await_transcript()

    def _understand(self, text: str, *, interim: bool = False, finalized: bool = False) -> None:
        """More of the oldest speech that has no `Final`; of none, when it comes after all patience."""
        if not self._speeches:
            return
        speech = self._speeches[0]
        speech.interim = text.strip() if interim else ""
        if not interim:
            speech.texts.append(text.strip())
        if finalized and (speech.ended or self._endpoints):
            self._conclude()
            return
        self._results.put(Partial(speech.text))
        if speech.ended:
            self._conclude_at(self._latest if interim else min(self._latest, self._loop.time() + self._settle))

    def _await_transcript(self) -> None:
        """From now on, if all of the oldest speech has been put in and the service has begun."""
        speech = self._speeches[0] if self._speeches else None
        if speech is None or not speech.ended or not self._started or self._timer is not None:
            return
        self._latest = self._loop.time() + (self._latency if self._patience is None else self._patience)
        settled = speech.texts and not speech.interim
        self._conclude_at(min(self._latest, self._loop.time() + self._settle) if settled else self._latest)
        if self._tail:
            self._silence = self._loop.call_later(TAIL, self._be_silent)

    def _conclude_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._conclude)

    def _conclude(self) -> None:
        """The oldest speech has its `Final`; it is the next one's turn."""
        from pipecat.frames.frames import UserStoppedSpeakingFrame, VADUserStoppedSpeakingFrame

        self._hush()
        speech = self._speeches.popleft()
        if not speech.ended:  # the service itself has ended it
            self._speaking = False
            self._host.put(VADUserStoppedSpeakingFrame())
        self._results.put(Final(speech.text, GUESS if speech.interim else 1.0))
        self._host.put(UserStoppedSpeakingFrame())  # services that must reconnect wait for it
        if self._speeches:
            following = self._speeches[0]
            self._host.put(*following.waiting)
            following.waiting.clear()
            self._await_transcript()

    def _stop(self, error: ProviderError | None) -> None:
        """Nothing more is done; the iteration ends, with `error` if there is one."""
        self._speeches.clear()
        self._hush()
        self._results.end(error)


def _audio(pcm: bytes) -> Frame:
    from pipecat.frames.frames import InputAudioRawFrame

    return InputAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1)


def _wants_silence(service: Any) -> bool:
    """One that is given whole segments needs none after them."""
    from pipecat.services.stt_service import SegmentedSTTService

    return not isinstance(service, SegmentedSTTService)

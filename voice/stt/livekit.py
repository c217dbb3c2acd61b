"""LiveKit's recognisers: any `livekit.agents` STT plugin as a recogniser of ours.

One that streams has a stream open for each caller, as long as the caller is there: what breaks while nobody speaks is
opened again and nobody notices, what breaks in a speech is a ProviderError. One that does not stream is given each
speech when it is over (`livekit_whole.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voice import livekit
from voice.alarm import Alarm
from voice.check import Check
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.stt.recognizer import Hearing, Hints
from voice.stt.results import Results
from voice.stt.segments import Patience, Segments

if TYPE_CHECKING:
    from livekit.agents import APIConnectOptions
    from livekit.agents import stt as plugins

    from voice.stt.livekit_whole import WholeStream

WHAT = "LiveKit's STT plugins"
SILENCE = 0.1
"""Seconds of silence sent at a time, at the pace of real time, after a speech to a plugin that does not say that it can
be flushed: many services find the end of a speech only by the silence after it."""
MUTE = 2.0
"""Seconds of sound after which a plugin that has never said anything is taken for one that never will."""
UNANSWERED = 3
"""Such speeches in a row, after which the same is thought of one that has spoken before."""


class LiveKitSTT:
    """The provider: `LiveKitSTT(assemblyai.STT())`. Key terms are given to the plugin's own constructor, which serves
    all callers: `hints` are not used.

    `language`: asked of the plugin for each stream, if it is given. `endpoints`: the plugin knows when turns end (its
    END_OF_SPEECH is then a `Final`); without it our own endpointing decides. `timeout`: seconds to connect, and for the
    answer of one that does not stream. Raises TypeError for what is no STT, ValueError for a `timeout` that is none.
    """

    name = "livekit"
    remote = True
    endpoints = False
    fits_grammar = False

    def __init__(
        self,
        stt: plugins.STT[Any],
        *,
        language: str | None = None,
        endpoints: bool = False,
        timeout: float = livekit.CONNECT,
        patience: Patience | None = None,
    ) -> None:
        self.name = livekit.named(stt, "stt", "recognize", "stream")
        if endpoints and not stt.capabilities.streaming:
            raise ValueError(f"endpoints: {self.name} does not stream, so it cannot know when a turn ends")
        self.endpoints = endpoints
        self.plugin = stt
        self.home = livekit.Home(self.name)
        self.patience = patience or Patience()
        self.timeout = livekit.seconds("timeout", timeout)
        self._language = language

    def __repr__(self) -> str:
        return f"LiveKitSTT({self.name!r})"

    async def prepare(self) -> None:
        """Let the plugin load or open what it does ahead."""
        self.home.call(self.plugin.prewarm)

    def stream(self, hints: Hints) -> LiveKitStream | WholeStream:
        """A new caller's recogniser. Iterating it raises ProviderError."""
        if self.plugin.capabilities.streaming:
            return LiveKitStream(self)
        from voice.stt.livekit_whole import WholeStream

        return WholeStream(self)

    async def aclose(self) -> None:
        """Close the plugin and its connections. Whether it can be used again is the plugin's affair; most can."""
        await self.home.aclose(self.plugin.aclose)

    @classmethod
    def check(cls) -> Check:
        """Whether livekit-agents is installed."""
        return livekit.check(cls.name, WHAT)

    @property
    def guesses(self) -> bool:
        """The plugin gives interim results."""
        return self.plugin.capabilities.interim_results

    @property
    def exact(self) -> bool:
        """The plugin answers a flush."""
        return self.plugin.capabilities.manual_flush

    def options(self) -> dict[str, Any]:
        """What the plugin is asked with: one try, and the language."""
        asked: dict[str, str | APIConnectOptions] = {"conn_options": livekit.at_once(self.timeout)}
        if self._language is not None:
            asked["language"] = self._language
        return asked


@dataclass(slots=True)
class _Speech:
    """What a caller says between `begin` and `end`."""

    segments: Segments
    pending: bytearray = field(default_factory=bytearray)
    """Sound that has not been sent: the speech before it is not over."""
    sent: int = 0
    """Bytes sent."""
    ended: bool = False


class LiveKitStream:
    """One caller's recogniser. Speeches go to the plugin one by one: the next when the last word on one is said."""

    def __init__(self, provider: LiveKitSTT) -> None:
        self._provider = provider
        self._name = provider.name
        self._loop = asyncio.get_running_loop()
        self._results = Results()
        self._speeches: deque[_Speech] = deque()
        """Those that have no `Final` yet; the first one is what the plugin hears."""
        self._speaking: _Speech | None = None
        """The one that has not been ended."""
        self._overtaken = False
        """The plugin has ended it before the caller's side did."""
        self._plugin: plugins.RecognizeStream | None = None
        self._reader: asyncio.Task[None] | None = None
        """Hears the plugin's present stream."""
        self._tasks: set[asyncio.Task[None]] = set()
        """That one, and those that stop what was given up."""
        self._spoken = False
        """The plugin's present stream has said something."""
        self._unanswered = 0
        self._alarm = Alarm(self._go_on)
        self._silence_at = 0.0
        self._connect()

    def begin(self) -> None:
        """See `RecognizerStream.begin`. Raises RuntimeError before the `end` of the last one."""
        if self._results.over:
            return
        if self._speaking is not None:
            raise RuntimeError("begin() was called twice without end()")
        if self._plugin is None:
            self._connect()
        # one that has not spoken yet may still be connecting: that nothing is known of a speech then means nothing
        segments = Segments(self._provider.patience, self._spoken and self._provider.guesses, self._provider.exact)
        self._speaking, self._overtaken = _Speech(segments), False
        self._speeches.append(self._speaking)

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
        self._speaking, self._overtaken = None, False

    def expect(self, hints: Hints) -> None:
        """A plugin serves all callers, so it is told of no caller's words."""

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._results

    async def aclose(self) -> None:
        """See `RecognizerStream.aclose`."""
        self._end(None)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _current(self, what: str) -> _Speech | None:
        """The speech the caller is speaking; None when this is over, or the plugin has ended the speech itself."""
        if self._results.over:
            return None
        if self._speaking is None and not self._overtaken:
            raise RuntimeError(f"{what}() was called before begin()")
        return self._speaking

    # -- the plugin's stream

    def _connect(self) -> None:
        """Open a stream of the plugin's; how it fails is told by iterating."""
        self._leave()
        self._spoken = False
        try:
            self._plugin = self._provider.home.call(self._provider.plugin.stream, **self._provider.options())
        except Exception as error:
            self._end(livekit.failure(self._name, error))
            return
        self._reader = self._do(self._read(self._plugin), f"hearing what {self._name} understands")

    def _leave(self) -> None:
        """Give the plugin's stream up."""
        if self._plugin is not None and self._reader is not None:
            self._do(self._stop(self._plugin, self._reader), f"stopping {self._name}")
        self._plugin = self._reader = None

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _stop(self, stream: plugins.RecognizeStream, reader: asyncio.Task[None]) -> None:
        await livekit.stop(stream, self._name)
        reader.cancel()

    async def _read(self, stream: plugins.RecognizeStream) -> None:
        """Take what one stream of the plugin's understands, until it ends or is given up."""
        error: ProviderError | None = None
        try:
            async for event in stream:
                if stream is self._plugin:
                    self._take(event)
        except Exception as failed:
            error = livekit.failure(self._name, failed)
        if stream is self._plugin:
            self._lose(error)

    def _lose(self, error: ProviderError | None) -> None:
        """The plugin's stream is over. While nobody speaks that is forgiven: services hang up on the silent."""
        self._leave()
        if self._speeches or not self._spoken or (error is not None and not error.transient):
            self._end(error or ProviderError(self._name, Cause.NETWORK, "it ended by itself"))

    def _take(self, event: plugins.SpeechEvent) -> None:
        from livekit.agents.stt import SpeechEventType as Kind

        if event.type is Kind.RECOGNITION_USAGE:  # the plugin's own account of what it has sent
            return
        self._spoken, self._unanswered = True, 0
        if not self._speeches or self._speeches[0].sent == 0:
            return  # it belongs to what is over
        segments = self._speeches[0].segments
        best = event.alternatives[0] if event.alternatives else None
        text, confidence = (best.text.strip(), best.confidence or 1.0) if best else ("", 1.0)
        match event.type:
            case Kind.START_OF_SPEECH:
                self._tell(segments.start())
            case Kind.INTERIM_TRANSCRIPT:
                self._tell(segments.guess(text, confidence))
            case Kind.PREFLIGHT_TRANSCRIPT:
                self._tell(segments.foresee(text, confidence))
            case Kind.FINAL_TRANSCRIPT:
                self._tell(segments.settle(text, confidence, self._loop.time()))
            case Kind.END_OF_SPEECH:
                segments.stop()
        self._go_on()

    # -- the speeches, one by one

    def _go_on(self) -> None:
        """Send what can be sent, and say the last word on a speech when it is time for that."""
        while self._speeches and self._plugin is not None:
            speech = self._speeches[0]
            self._send(speech)
            segments = speech.segments
            if self._provider.endpoints and segments.over:
                self._conclude(speech)
                continue
            if not speech.ended:
                break
            if segments.asked is None:
                self._ask(speech)
            due, now = segments.due, self._loop.time()
            if due is None or (speech.sent and due > now):
                self._wait(due, now, exact=segments.exact)
                return
            self._conclude(speech)
        self._alarm.set(None)

    def _send(self, speech: _Speech) -> None:
        if speech.pending:
            self._push(bytes(speech.pending))
            speech.sent += len(speech.pending)
            speech.pending.clear()

    def _push(self, pcm: bytes) -> None:
        from livekit.rtc import AudioFrame

        self._give("push_frame", AudioFrame(pcm, RATE, 1, len(pcm) // 2))

    def _give(self, what: str, *given: Any) -> None:
        try:
            getattr(self._plugin, what)(*given)
        except RuntimeError:  # it has ended, and its reader is about to say so
            return

    def _ask(self, speech: _Speech) -> None:
        """Declare it over."""
        speech.segments.asked = self._loop.time()
        self._silence_at = self._loop.time()
        if speech.sent:
            self._give("flush")

    def _wait(self, due: float | None, now: float, *, exact: bool) -> None:
        """Be called again when it is due; until then services that need silence get some."""
        if not exact:
            if now >= self._silence_at:
                self._push(bytes(2 * round(SILENCE * RATE)))
                self._silence_at = now + SILENCE
            due = self._silence_at if due is None else min(due, self._silence_at)
        self._alarm.set(due)

    def _conclude(self, speech: _Speech) -> None:
        """The last word on the first speech."""
        segments = speech.segments
        if speech.sent >= 2 * MUTE * RATE and not segments.text and not segments.started:
            self._unanswered += 1
            if not self._spoken or self._unanswered >= UNANSWERED:
                self._end(ProviderError(self._name, Cause.TIMEOUT, "it says nothing of what it is given"))
                return
        self._speeches.popleft()
        if speech is self._speaking:
            self._speaking, self._overtaken = None, True
        self._results.put(segments.final())
        late = segments.outstanding and (segments.text or not segments.guesses)
        if late and speech.sent:  # what the plugin's stream says next would be of this speech
            self._connect()

    def _tell(self, hearings: Iterable[Hearing]) -> None:
        for hearing in hearings:
            self._results.put(hearing)

    def _end(self, error: BaseException | None) -> None:
        """Nothing more is done; the iteration ends, with `error` if there is one."""
        self._results.end(error)
        self._speeches.clear()
        self._alarm.set(None)
        self._leave()

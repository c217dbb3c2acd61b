"""Listening: one caller's frames to voice activity, recogniser and ear; what breaks is opened again, a few times.

A recogniser that fails costs the words it was at; a detector that fails for good is replaced by loudness alone. The
caller goes on hearing, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from voice.activity import Activity
from voice.alarm import Alarm
from voice.audio import level
from voice.ear import Ear
from voice.ear_signals import Conclude, EarInput, Hushed, Judged, Listen, RecognizerLost, Restart
from voice.endpointing import TurnModel
from voice.events import Event, SpeechStarted, SpeechStopped, TurnDropped, TurnEnded
from voice.judging import Judging
from voice.leg import FRAME_BYTES, FRAME_SECONDS
from voice.stt.recognizer import Final, Hints, RecognizerStream, SpeechRecognizer
from voice.vad.detector import DetectorStream, VoiceDetector

log = logging.getLogger("sottovoce.listening")

LEAD_IN = 0.3
"""Seconds of sound before a voice that the recogniser is given too: detectors notice a soft onset late."""
KEPT = 2.0
"""Seconds of sound kept for a recogniser that is begun, or opened anew."""
GAP = 0.3
"""Seconds without a frame after which the voice has ended: the microphone is muted, or the line is dead."""
TRIES = 3
"""How often in a row a part that fails is opened again."""
BACKOFF = 0.5
"""Seconds before the second new try; the first is made at once, the third after three times as long."""


class Listening:
    """One caller's. `run` is its life; `tell` is given the events that come of it."""

    def __init__(
        self, ear: Ear, stt: SpeechRecognizer, vad: VoiceDetector, hints: Hints, tell: Callable[[Event], None]
    ) -> None:
        self._ear = ear
        self._stt = stt
        self._vad = vad
        self._hints = hints
        self._ear.trusting = not hints.grammar
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._ear_alarm = Alarm(self._work)
        self._gap_alarm = Alarm(self._miss)
        self._activity = Activity(vad.threshold)
        self._detector: DetectorStream | None = None
        self._detector_tries = 0
        self._stream: RecognizerStream | None = None
        self._consumer: asyncio.Task[Exception | None] | None = None
        self._listening = False
        """The ear wants the recogniser to listen."""
        self._since = 0.0
        self._asked = 0
        """Finals that were asked for and have not come."""
        self._answered = False
        self._kept: deque[tuple[float, bytes]] = deque(maxlen=round(KEPT / FRAME_SECONDS))
        """The latest frames that no recogniser has been given, or only the one that is listening."""
        self._judging: Judging | None = None
        if isinstance(ear.endpointer, TurnModel):
            self._judging = Judging(ear.endpointer, ear.caller, lambda over: self._input(Judged(over)))
        self._inputs: deque[EarInput] = deque()
        self._working = False
        self._warned = False

    async def run(self) -> None:
        """Keep a recogniser open, until cancelled, or until it has failed too often in a row."""
        async with asyncio.TaskGroup() as group:
            judging = group.create_task(self._judging.run(), name="judging turns") if self._judging else None
            try:
                await self._recognize()
            finally:
                if judging is not None:
                    judging.cancel()

    async def _recognize(self) -> None:
        tries = 0
        while True:
            error = await self._listen()
            self._input(RecognizerLost())
            tries = 1 if self._answered else tries + 1
            self._answered = False
            if tries > TRIES:
                log.error("caller %s is not understood any more: recogniser %s: %s", *self._who, error, exc_info=error)
                return
            log.warning("caller %s: recogniser %s failed, opened again: %s", *self._who, error, exc_info=error)
            await asyncio.sleep(BACKOFF * (2 ** (tries - 1) - 1))

    def hear(self, pcm: bytes) -> None:
        """A frame of the caller's voice. One of another length than 20 ms is ignored."""
        if len(pcm) != FRAME_BYTES:
            if not self._warned:
                log.warning("caller %s: a frame has %d bytes, not %d; ignored", self._ear.caller, len(pcm), FRAME_BYTES)
                self._warned = True
            return
        now = self._loop.time()
        self._kept.append((now, pcm))
        listening = self._listening
        for edge in self._activity.hear(self._probability(pcm), level(pcm)):
            self._input(edge)
        if listening and self._listening:
            self._push(pcm)
            if self._judging is not None:
                self._judging.hear(pcm)
        self._gap_alarm.set(now + GAP if self._activity.on else None)

    def hush(self) -> None:
        """The caller does not hear any more, or is gone: forget what they were saying."""
        self._activity.stop()
        self._gap_alarm.set(None)
        self._kept.clear()
        self._input(Hushed())

    def close(self) -> None:
        """Nothing more will come."""
        self.hush()
        self._ear_alarm.set(None)

    def expect(self, hints: Hints) -> None:
        """Change what the caller is likely to say."""
        self._hints = hints
        self._ear.trusting = not hints.grammar
        if self._stream is not None:
            self._guard(self._stream.expect, hints)

    # -- voice activity

    def _probability(self, pcm: bytes) -> float:
        """What the detector says; where it cannot, loudness alone decides."""
        if self._detector_tries > TRIES:
            return 1.0
        try:
            if self._detector is None:
                self._detector = self._vad.stream()
            return self._detector.probability(pcm)
        except Exception as error:
            self._detector = None
            self._detector_tries += 1
            what = "loudness alone decides now" if self._detector_tries > TRIES else "opened again"
            log.warning("caller %s: detector %s failed, %s: %s", self._ear.caller, self._vad.name, what, error)
            return 0.0

    def _miss(self) -> None:
        """Frames have stopped coming."""
        for edge in self._activity.stop():
            self._input(edge)

    # -- the ear

    def _input(self, event: EarInput) -> None:
        self._inputs.append(event)
        self._work()

    def _work(self) -> None:
        """Let the ear take in what has happened, and do what it asks for."""
        if self._working:
            return
        self._working = True
        try:
            self._act(self._ear.expire(self._loop.time()))
            while self._inputs:
                self._act(self._ear.handle(self._inputs.popleft(), self._loop.time()))
        finally:
            self._working = False
        self._ear_alarm.set(self._ear.deadline())

    def _act(self, actions: Iterable[object]) -> None:
        for action in actions:
            match action:
                case Listen(since):
                    anew, self._listening, self._since = not self._listening, True, since
                    if self._judging is not None and anew:
                        for pcm in self._lead_in():
                            self._judging.hear(pcm)
                    self._begin()
                case Conclude():
                    self._listening = False
                    self._kept.clear()
                    if self._stream is not None:
                        self._asked += 1
                        self._guard(self._stream.end)
                case Restart():
                    self._restart()
                case _:
                    self._have_judged(action)
                    self._tell(action)  # type: ignore[arg-type]

    def _have_judged(self, action: object) -> None:
        """The turn model follows what the ear makes of the sound."""
        if self._judging is None:
            return
        match action:
            case SpeechStarted():
                self._judging.resume()
            case SpeechStopped():
                self._judging.ask()
            case TurnEnded() | TurnDropped():
                self._judging.end()
            case _:
                pass

    # -- the recogniser

    @property
    def _who(self) -> tuple[str, str]:
        return self._ear.caller, self._stt.name

    async def _listen(self) -> Exception:
        """Open a recogniser and take what it hears; returns what ended it."""
        try:
            stream = self._stt.stream(self._hints)
        except Exception as error:
            return error
        self._stream, self._asked = stream, 0
        if self._listening:
            self._begin()
        self._consumer = asyncio.ensure_future(self._consume(stream))
        try:
            await asyncio.wait([self._consumer])
            if self._consumer.cancelled():
                return RuntimeError("it gave no final transcript in time")
            return self._consumer.result() or RuntimeError("it ended by itself")
        finally:
            consumer, self._stream, self._consumer = self._consumer, None, None
            consumer.cancel()
            await asyncio.wait([consumer])
            await self._close(stream)

    async def _close(self, stream: RecognizerStream) -> None:
        try:
            await stream.aclose()
        except Exception as error:
            log.warning("caller %s: recogniser %s cannot be closed: %s", *self._who, error, exc_info=error)

    async def _consume(self, stream: RecognizerStream) -> Exception | None:
        try:
            async for hearing in stream:
                if isinstance(hearing, Final):
                    self._note_final()
                self._input(hearing)
        except Exception as error:
            return error
        return None

    def _note_final(self) -> None:
        """It works; and if nobody asked for this, it has ended the turn by itself."""
        self._answered = True
        if self._asked:
            self._asked -= 1
        else:
            self._listening = False
            self._kept.clear()

    def _begin(self) -> None:
        """Begin a stretch of speech with its sound so far, and some before."""
        if self._stream is None:
            return
        self._guard(self._stream.begin)
        for pcm in self._lead_in():
            self._push(pcm)

    def _lead_in(self) -> list[bytes]:
        """The sound of the speech so far, and some before."""
        return [pcm for at, pcm in self._kept if at > self._since - LEAD_IN]

    def _push(self, pcm: bytes) -> None:
        if self._stream is not None:
            self._guard(self._stream.push, pcm)

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Call the recogniser; if that fails, it is opened anew."""
        try:
            call(*args)
        except Exception as error:
            log.warning("caller %s: recogniser %s: %s", *self._who, error, exc_info=error)
            self._restart()

    def _restart(self) -> None:
        self._stream = None
        if self._consumer is not None:
            self._consumer.cancel()

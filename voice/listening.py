"""Listening: one caller's frames to voice activity, recogniser and ear; what breaks is opened again.

A recogniser that fails costs the words it was at, and is tried as long as the call lasts; a detector that fails for
good is replaced by loudness alone. The caller goes on hearing, and nobody else notices.
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
from voice.events import Dropped, Event, SpeechStarted, SpeechStopped, TurnDropped, TurnEnded
from voice.judging import Judging
from voice.leg import FRAME_BYTES, FRAME_SECONDS
from voice.provider_error import ProviderError
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
"""How often in a row a detector that fails is opened again; a recogniser that fails more often is down."""
BACKOFF = 0.5
"""Seconds before the second new try; the first is made at once, the third after three times as long."""
LONGEST = 30.0
"""Seconds between two tries at most; somebody who speaks is reason for one before that."""
EAGER = 2.0
"""Seconds between two tries that are made because somebody speaks."""
CLOSE = 5.0
"""Seconds that a recogniser has to close, before another is opened all the same."""
MURMUR = 0.6
"""Seconds of voice that somebody means to be understood, as in `EarTimes`."""


class Listening:
    """One caller's. `run` is its life; `tell` is given the events that come of it."""

    def __init__(
        self, ear: Ear, stt: SpeechRecognizer, vad: VoiceDetector, hints: Hints, tell: Callable[[Event], None]
    ) -> None:
        self._ear = ear
        self._stt = stt
        self._vad = vad
        self._hints = hints
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
        self._wanted = asyncio.Event()
        """Somebody speaks, and there is no recogniser."""
        self._broke: Exception | None = None
        """What a call of the recogniser raised."""
        self._lost = False
        """Something of the present turn went to no recogniser, or to one that failed."""
        self._voiced = 0.0
        """Seconds of the present turn, up to its last pause."""
        self._kept: deque[tuple[float, bytes]] = deque(maxlen=round(KEPT / FRAME_SECONDS))
        """The latest frames that no recogniser has been given, or only the one that is listening."""
        self._judging: Judging | None = None
        if isinstance(ear.endpointer, TurnModel):
            self._judging = Judging(ear.endpointer, ear.caller, lambda over: self._input(Judged(over)))
        self._inputs: deque[EarInput] = deque()
        self._working = False
        self._warned = False
        self._trust()

    async def run(self) -> None:
        """Keep a recogniser open, and have turns judged, until cancelled."""
        async with asyncio.TaskGroup() as group:
            judging = group.create_task(self._judging.run(), name="judging turns") if self._judging else None
            try:
                await self._recognize()
            finally:
                if judging is not None:
                    judging.cancel()

    async def _recognize(self) -> None:
        """Have a recogniser as long as the call lasts; one that is down is tried at growing intervals."""
        tries = 0
        while True:
            begun = self._loop.time()
            error = await self._listen()
            tries = 1 if self._answered else tries + 1
            self._answered = False
            self._say_what_broke(error, tries)
            self._lost = self._lost or self._ear.in_turn
            self._input(RecognizerLost())
            await self._pause(tries, begun)

    def _say_what_broke(self, error: Exception, tries: int) -> None:
        """In the log, once when it breaks and once when it is down: not at every try of an hour."""
        trace = None if isinstance(error, ProviderError) else error
        if isinstance(error, ProviderError) and error.logged:
            log.debug("caller %s: recogniser %s: %s", *self._who, error)
        elif tries == 1:
            log.warning("caller %s: recogniser %s failed, opened again: %s", *self._who, error, exc_info=trace)
        elif tries == TRIES + 1:
            log.error("caller %s is not understood: recogniser %s is down: %s", *self._who, error, exc_info=trace)
        else:
            log.debug("caller %s: recogniser %s failed again: %s", *self._who, error)

    async def _pause(self, tries: int, begun: float) -> None:
        """Before the next try; less long for somebody who speaks."""
        if tries <= TRIES:
            await asyncio.sleep(BACKOFF * (2 ** (tries - 1) - 1))
            return
        seconds = min(BACKOFF * (2.0 ** min(tries - 1, 10) - 1), LONGEST)
        self._wanted.clear()
        await asyncio.sleep(max(begun + EAGER - self._loop.time(), 0.0))
        try:
            async with asyncio.timeout(seconds - EAGER):
                await self._wanted.wait()
        except TimeoutError:
            pass  # nobody spoke: it is time all the same

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
        self._lost = False
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
        self._trust()
        if self._stream is not None:
            self._guard(self._stream.expect, hints)

    def _trust(self) -> None:
        """Whether what is understood so far was really said, and who ends the turn. Which recogniser is in use may
        change, and differ from one caller to the next: a stream that knows is asked itself."""
        fits = getattr(self._stream, "fits_grammar", self._stt.fits_grammar)
        self._ear.trusting = not (self._hints.grammar and fits)
        self._ear.given = getattr(self._stream, "endpoints", None)

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
                    if self._stream is None:
                        self._lost = True
                        self._wanted.set()
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
                    self._lost = True
                    self._restart()
                case _:
                    if isinstance(action, TurnEnded | TurnDropped):
                        self._listening = False  # it may have lost its recogniser, which nobody concludes then
                    action = self._weighed(action)
                    self._have_judged(action)
                    self._tell(action)  # type: ignore[arg-type]

    def _weighed(self, action: object) -> object:
        """Speech without words that no recogniser could hear is none of the caller's doing."""
        match action:
            case SpeechStopped():
                self._voiced = self._loop.time() - self._since
            case TurnEnded():
                self._lost = False
            case TurnDropped(caller, Dropped.NO_WORDS, text):
                lost, self._lost = self._lost and self._voiced >= MURMUR, False
                return TurnDropped(caller, Dropped.UNHEARD, text) if lost else action
            case _:
                pass
        return action

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
        self._stream, self._asked, self._broke = stream, 0, None
        self._trust()
        if self._listening:
            self._begin()
        self._consumer = asyncio.ensure_future(self._consume(stream))
        try:
            await asyncio.wait([self._consumer])
            if self._consumer.cancelled():
                return self._broke or RuntimeError("it gave no final transcript in time")
            return self._consumer.result() or RuntimeError("it ended by itself")
        finally:
            consumer, self._stream, self._consumer = self._consumer, None, None
            consumer.cancel()
            await asyncio.wait([consumer])
            await self._close(stream)

    async def _close(self, stream: RecognizerStream) -> None:
        try:
            async with asyncio.timeout(CLOSE):
                await stream.aclose()
        except Exception as error:
            log.warning("caller %s: recogniser %s cannot be closed: %s", *self._who, error, exc_info=error)

    async def _consume(self, stream: RecognizerStream) -> Exception | None:
        try:
            async for hearing in stream:
                if isinstance(hearing, Final):
                    self._note_final()
                self._trust()
                self._input(hearing)
        except Exception as error:
            return error
        return None

    def _note_final(self) -> None:
        """It works; and if nobody asked for this, it has ended the turn by itself."""
        self._answered = True
        self._lost = False
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
        self._trust()
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
            self._broke = error
            self._restart()

    def _restart(self) -> None:
        self._stream = None
        if self._consumer is not None:
            self._consumer.cancel()

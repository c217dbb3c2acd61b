"""Whole calls whose providers fail, hang, break off and come back at random, behind the fallbacks: the call stays up.

As long as one recogniser works no word of a caller is lost, as long as one voice works none of the agent's is, and
every turn that was understood is answered, or told sorry once, in time.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.ledger import Status
from orchestration import Agent, Runtime
from orchestration.models.fallback import FallbackModel
from orchestration.models.model import Delta, Message, ToolSpec, word_by_word
from orchestration.models.scripted import RESULT as FENCED
from tests.orchestration.post import Talks
from tests.voice.doubles import FakeLeg, Recognizer, RecognizerStream, Synthesizer, Vad, log_of, word_of
from voice.cascade import CascadeChannel
from voice.clock import now, run
from voice.endpointing import AsRecognized
from voice.events import SpeechStarted, TurnDropped, TurnEnded
from voice.stt.fallback import FallbackRecognizer
from voice.stt.recognizer import EagerEnd, Hints
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.synthesizer import SpeechChunk

IN_TIME = 15.0
"""Seconds in which a turn has its answer, or an apology for it."""
HANGS = 1e5


class BrokenError(OSError):
    """What the doubles raise."""


class Hears(Recognizer):
    """A recogniser. `mode`: ok, gone (no stream can be opened, and those that are open break), mute, deaf (it takes no
    more sound). `endpoints`: it announces the end of a turn, and ends it."""

    fits_grammar = False

    def __init__(self, name: str, *, endpoints: bool) -> None:
        super().__init__()
        self.name = name
        self.endpoints = endpoints
        self.mode = "ok"
        self.open: set[RecognizerStream] = set()

    def stream(self, hints: Hints) -> RecognizerStream:
        if self.mode == "gone":
            raise BrokenError(f"{self.name} is gone")
        stream = _Stream(self, hints)
        self.open.add(stream)
        return stream

    def become(self, mode: str) -> None:
        """It is so from now on; "break" does so once."""
        self.mode = "ok" if mode == "break" else mode
        self.mute = mode == "mute"
        if mode in ("gone", "break"):
            for stream in self.open:
                stream.fail()


class _Stream(RecognizerStream):
    recognizer: Hears
    timers: tuple[asyncio.TimerHandle, ...] = ()

    def push(self, pcm: bytes) -> None:
        if self.recognizer.mode == "deaf":
            raise BrokenError("it takes no sound")
        if self.begun == self.ended:
            return  # it has ended the turn by itself
        before = len(self.words)
        super().push(pcm)
        if word_of(pcm)[0]:
            self._forget()
        if self.recognizer.endpoints and len(self.words) > before:
            loop = asyncio.get_running_loop()
            self.timers = (loop.call_later(0.3, self._announce), loop.call_later(0.5, self.end))

    def _announce(self) -> None:
        if self.recognizer.mode == "ok":
            self._answer(EagerEnd(" ".join(self.words)))

    def _forget(self) -> None:
        for timer in self.timers:
            timer.cancel()

    def end(self) -> None:
        self._forget()
        if self.begun > self.ended:
            super().end()

    async def aclose(self) -> None:
        self._forget()
        self.recognizer.open.discard(self)
        await super().aclose()


class Speaks(Synthesizer):
    """A voice. `mode`: ok, gone, stuck (never comes), cut (breaks after two words), stall (hangs after two)."""

    def __init__(self, name: str) -> None:
        super().__init__(0.1)
        self.name = name
        self.mode = "ok"

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        if self.mode == "gone":
            raise BrokenError(f"{self.name} is gone")
        if self.mode == "stuck":
            await asyncio.sleep(HANGS)
        words = 0
        async for chunk in super().synthesize(text):
            if words >= 2 and self.mode == "cut":
                raise BrokenError(f"{self.name} broke off")
            if words >= 2 and self.mode == "stall":
                await asyncio.sleep(HANGS)
            words += 1
            yield chunk

    def become(self, mode: str) -> None:
        self.mode = mode


class Thinks:
    """A model. `mode`: ok, gone, stuck, cut (it breaks after a sentence), stall (it hangs after one), silent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "ok"
        self.open = 0

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        self.open += 1
        try:
            async for delta in self._answer(messages):
                yield delta
        finally:
            self.open -= 1

    async def _answer(self, messages: Sequence[Message]) -> AsyncGenerator[Delta, None]:
        await asyncio.sleep(0.3)
        if self.mode == "gone":
            raise BrokenError(f"{self.name} is gone")
        if self.mode == "stuck":
            await asyncio.sleep(HANGS)
        if self.mode == "silent":
            return
        last = messages[-1].text
        if FENCED.search(last):
            text = " ".join(["Well:", *re.findall(r"\bd\d+[abc]\b", last)]) + "."
        else:
            number = re.findall(r"\bt(\d+)\b", last)[-1:] or ["x"]
            text = answer(number[0])
        for delta in word_by_word(text):
            yield delta
            if delta.text.endswith(". ") and self.mode in ("cut", "stall"):
                if self.mode == "cut":
                    raise BrokenError(f"{self.name} broke off")
                await asyncio.sleep(HANGS)

    def become(self, mode: str) -> None:
        self.mode = mode


def answer(number: str) -> str:
    return " ".join(f"re{number}{c}{'.' if c in 'cf' else ''}" for c in "abcdef")


MODES = {
    "stt": ["ok", "ok", "gone", "mute", "deaf", "break"],
    "tts": ["ok", "ok", "gone", "stuck", "cut", "stall"],
    "llm": ["ok", "ok", "gone", "stuck", "cut", "stall", "silent"],
}
FAILS = st.one_of(
    *[st.tuples(st.just("fail"), st.just(kind), st.integers(0, 1), st.sampled_from(MODES[kind])) for kind in MODES]
)
SAYS = st.tuples(st.just("say"), st.integers(0, 1), st.integers(1, 5))
WAVERS = st.tuples(st.just("waver"), st.integers(0, 1), st.integers(2, 5), st.sampled_from([0.2, 0.5, 0.9, 1.2]), FAILS)
"""Something fails while they speak, or right after."""
PUTS = st.tuples(st.just("put"), st.integers(0, 1))
WAITS = st.sampled_from([0.0, 0.3, 1.0, 3.0, 8.0, 18.0])
STEPS = st.lists(st.tuples(WAITS, st.one_of(FAILS, FAILS, SAYS, SAYS, WAVERS, WAVERS, PUTS)), min_size=4, max_size=18)
HEALTHY = st.fixed_dictionaries({kind: st.sampled_from([None, 0, 1, 1]) for kind in MODES})
"""Which provider of a kind never fails; None: all may."""
ENDS = st.sampled_from([(False, False), (True, False), (False, True), (True, True)])
"""Which recognisers end turns by themselves."""
ROOMS = ("lobby", "attic")


class House:
    """Two rooms that share all providers, and a caller in each."""

    def __init__(self, healthy: dict[str, int | None], ends: Sequence[bool]) -> None:
        self.healthy = healthy
        self.providers: dict[str, list[Any]] = {
            "stt": [Hears("ear one", endpoints=ends[0]), Hears("ear two", endpoints=ends[1])],
            "tts": [Speaks("voice one"), Speaks("voice two")],
            "llm": [Thinks("mind one"), Thinks("mind two")],
        }
        self.stt = FallbackRecognizer(self.providers["stt"])
        self.tts = FallbackSynthesizer(self.providers["tts"])
        host = Agent("host", model=FallbackModel(self.providers["llm"]))
        self.runtime = Runtime(orchestration=Talks(host), state=None, channels=self._channel)
        self.legs: list[FakeLeg] = []
        self.told: list[list[tuple[float, Any]]] = []
        self.said: list[list[str]] = [[], []]
        self.mouths = [asyncio.Lock(), asyncio.Lock()]
        self.puts: list[tuple[int, list[str]]] = []
        self.turns = 0
        self.recovered = float("inf")

    def _channel(self, room: object) -> CascadeChannel:
        return CascadeChannel(stt=self.stt, tts=self.tts, vad=Vad(), endpointer=AsRecognized(self.stt))

    async def open(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.visits = []
        for room, who in zip(ROOMS, ("anna", "bert"), strict=True):
            session = await self.runtime.enter(room)
            self.told.append(log_of(session.channel))
            leg = FakeLeg(who)
            self.legs.append(leg)
            self.visits.append(group.create_task(session.serve(leg)))
        await asyncio.sleep(0)

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("fail", kind, which, mode):
                if self.healthy[kind] != which:
                    self.providers[kind][which].become(mode)
            case ("say", which, size):
                self.turns += 1
                words = [f"t{self.turns}", "what", "about", "boats", "please"][:size]
                self.said[which] += words
                self.group.create_task(self._say(which, " ".join(words)))
            case ("waver", which, size, after, fail):
                await self.do(("say", which, size))
                await asyncio.sleep(after)
                await self.do(fail)
            case ("put", which):
                number = len(self.puts)
                words = [f"d{number}{c}" for c in "abc"]
                self.puts.append((which, words))
                await self.runtime.deliver(ROOMS[which], " ".join(words))
            case _:
                pass

    async def _say(self, which: int, text: str) -> None:
        async with self.mouths[which]:
            await self.legs[which].say(text, 0.1)

    def recover(self) -> None:
        for kind in MODES:
            for each in self.providers[kind]:
                each.become("ok")
        self.recovered = now()

    async def check(self) -> None:
        for which in range(2):
            self._check_turns(which)
        entries = [e for room in ROOMS for e in await self.runtime.ledger.entries(room, list(Status))]
        for which, words in self.puts:
            (entry,) = [e for e in entries if e.delivery.content == " ".join(words)]
            assert entry.status in (Status.HEARD, Status.DEAD), entry
            counts = Counter(word.strip(".") for _, word in self.legs[which].heard())
            missing = [word for word in words if not counts[word]]
            assert entry.status is not Status.HEARD or not missing, f"{missing} count as heard, and were not: {entry}"
            twice = [word for word in words if counts[word] > 1]
            assert not twice or not self._sound("tts"), f"{twice} were told twice"
            if self.healthy["tts"] is not None and self.healthy["llm"] is not None:
                assert entry.status is Status.HEARD, entry
            other = {word.strip(".") for _, word in self.legs[1 - which].heard()}
            assert not other & set(words), f"{words} came to the other room"
        assert not any(mind.open for mind in self.providers["llm"])

    def _check_turns(self, which: int) -> None:
        told, leg = self.told[which], self.legs[which]
        ended = [(at, e.turn) for at, e in told if isinstance(e, TurnEnded)]
        if self.healthy["stt"] is not None:
            understood = [word for _, turn in ended for word in turn.text.split()]
            dropped = [e for _, e in told if isinstance(e, TurnDropped)]
            assert understood == self.said[which], f"{self.said[which]} was understood as {understood} ({dropped})"
        starts = [at for at, e in told if isinstance(e, SpeechStarted)] + [float("inf")]
        heard = leg.heard()
        for at, turn in ended:
            again = min(start for start in starts if start > turn.ended)
            words = [word for t, word in heard if at < t <= again]
            sorry = words.count("could")
            assert sorry <= 1, f"{turn.text!r}: sorry {sorry} times: {words}"
            if again < at + IN_TIME or self.healthy["tts"] is None:
                continue
            first = min((t for t, _ in heard if t > at), default=float("inf"))
            assert first <= at + IN_TIME, f"{turn.text!r} at {at:.2f} has nothing before {first:.2f}"
            number = re.findall(r"\bt(\d+)\b", turn.text)[-1:] or ["x"]
            missing = [word for word in answer(number[0]).split() if word not in words]
            assert not missing or sorry or again < first + 40, f"{turn.text!r}: {missing} of {words}"
            if self.healthy["llm"] is not None and self._sound("llm"):
                assert not missing or again < first + 40, f"{turn.text!r}: {missing} of {words}"

    def _sound(self, kind: str) -> bool:
        """The first of this kind never fails: nothing is fallen from."""
        return self.healthy[kind] == 0


class Complaints(logging.Handler):
    """What the log says: of providers, and what nobody planned."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if record.name == "sottovoce.providers":
            self.lines.append(record.getMessage())
        if record.name == "asyncio" or (error is not None and not _planned(error)):
            self.faults.append(f"{record.getMessage()} ({error!r})")


def _planned(error: BaseException) -> bool:
    """It, or what it came of, is raised by the doubles, or says that they did nothing."""
    return isinstance(error, OSError) or type(error).__name__ in ("ProviderError", "TextError", "RuntimeError")


COMPLAINTS = Complaints()
LOGS = [logging.getLogger("sottovoce"), logging.getLogger("asyncio")]


@pytest.fixture(scope="module", autouse=True)
def complaints() -> Iterator[None]:
    level = LOGS[0].level
    LOGS[0].setLevel(logging.INFO)
    for log in LOGS:
        log.addHandler(COMPLAINTS)
        log.propagate = False
    yield
    LOGS[0].setLevel(level)
    for log in LOGS:
        log.removeHandler(COMPLAINTS)
        log.propagate = True


def play(steps: Sequence[tuple[float, tuple[Any, ...]]], healthy: dict[str, int | None], ends: Sequence[bool]) -> None:
    COMPLAINTS.lines.clear()
    COMPLAINTS.faults.clear()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: COMPLAINTS.faults.append(str(context)))
        house = House(healthy, ends)
        async with house.runtime, asyncio.timeout(5000), asyncio.TaskGroup() as group:
            await house.open(group)
            for wait, step in steps:
                await asyncio.sleep(wait)
                await house.do(step)
            await asyncio.sleep(40)
            house.recover()
            await asyncio.sleep(200)
            for which in range(2):
                await house.do(("say", which, 3))
            await asyncio.sleep(60)
            await house.check()
            for which in range(2):
                said = [word for at, word in house.legs[which].heard() if at > now() - 60]
                wanted = answer(str(house.turns - 1 + which)).split()
                assert said == wanted, f"after all is well again {wanted} is heard as {said}"
            minutes = now() / 60
            for leg, visit in zip(house.legs, house.visits, strict=True):
                leg.end(hung_up=True)
                await visit
        assert len(COMPLAINTS.lines) <= 6 * (2 + 2 * minutes), COMPLAINTS.lines
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"
        assert not any(each.open for each in house.providers["stt"]), "a recogniser is left open"

    run(main())
    assert not COMPLAINTS.faults, COMPLAINTS.faults


assert settings.default is not None


@settings(max_examples=settings.default.max_examples // 5)
@given(STEPS, HEALTHY, ENDS)
def test_the_call_stays_up(
    steps: list[tuple[float, Any]], healthy: dict[str, int | None], ends: tuple[bool, bool]
) -> None:
    play(steps, healthy, ends)

"""Speaking: one utterance at a time to all outlets, with pauses, cuts and ends in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from voice import clock
from voice.events import Event, ReplySettled, SpeakingEnded, SpeakingHeard, SpeakingPaused, SpeakingStarted, Turn
from voice.leg import RATE
from voice.making import Made, Making
from voice.playout import Clear, Finish, Send
from voice.speaking import Speaker
from voice.tts.synthesizer import WordMark
from voice.utterance import SpokenUtterance

TURN = Turn("t1", "anna", "hello", 0.0, 1.0)


@dataclass
class Line:
    """An outlet that writes down what it is told. Its far end plays at once and answers when it is asked to."""

    receipts: bool = False
    jitter: float = 0.0
    log: list[tuple[float, Any]] = field(default_factory=list)

    def _note(self, what: Any) -> None:
        self.log.append((round(asyncio.get_running_loop().time(), 6), what))

    def send(self, utterance: SpokenUtterance, sending: Send) -> None:
        self._note(sending)

    def finish(self, finishing: Finish) -> None:
        self._note(finishing)

    def clear(self, clearing: Clear) -> None:
        self._note(clearing)

    def of(self, kind: type) -> list[float]:
        return [at for at, what in self.log if isinstance(what, kind)]


class Stage:
    """A speaker with one outlet, "anna", unless told. Words take 0.5 s."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.events: list[tuple[float, Event]] = []
        self.over: list[str] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self.speaker = Speaker(self.work, self.feed, lambda u: self.over.append(u.id), group)
        self.line = Line()
        self.speaker.open("anna", self.line)
        self.count = 0

    def work(self, utterance: SpokenUtterance, made: Callable[[int], None]) -> Making:
        return Making(utterance, self.synthesize, made)

    async def synthesize(self, text: str) -> AsyncIterator[Made]:
        at = 0
        for n, word in enumerate(text.split()):
            yield Made(RATE // 2, (WordMark(at, at + len(word), n / 2),), bytes(RATE))
            at += len(word) + 1

    def feed(self, event: Event) -> None:
        self.events.append((round(asyncio.get_running_loop().time(), 6), event))
        self.on_event(event)

    def say(self, text: Any, **how: Any) -> SpokenUtterance:
        self.count += 1
        id = f"u{self.count}"
        utterance = SpokenUtterance(id, text, self.speaker.playout(id, how.get("to")), **how)
        self.speaker.say(utterance)
        return utterance

    def kinds(self, *kinds: type) -> list[tuple[float, str]]:
        return [(at, type(e).__name__) for at, e in self.events if isinstance(e, kinds)]


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            stage = Stage(group)
            await scene(stage)
            stage.speaker.close()

    clock.run(main())


def test_one_at_a_time_in_order() -> None:
    async def scene(stage: Stage) -> None:
        said = [stage.say("one two"), stage.say("three", reply_to=TURN), stage.say("four?")]
        assert stage.speaker.current is said[0]
        assert stage.speaker.reply_to(TURN) is said[1]
        await said[2]
        assert stage.kinds(SpeakingStarted, SpeakingEnded) == [
            (0.0, "SpeakingStarted"),
            (1.0, "SpeakingEnded"),
            (1.0, "SpeakingStarted"),
            (1.5, "SpeakingEnded"),
            (1.5, "SpeakingStarted"),
            (2.0, "SpeakingEnded"),
        ]
        assert stage.over == ["u1", "u2", "u3"]
        settled = [e for _, e in stage.events if isinstance(e, ReplySettled | SpeakingEnded)]
        assert settled[1:3] == [ReplySettled("t1"), SpeakingEnded("u2")]
        assert settled[-1] == SpeakingEnded("u3", question=True)
        assert stage.speaker.current is None
        assert stage.speaker.reply_to(TURN) is None

    play(scene)


def test_the_next_one_is_made_ahead_and_the_one_after_is_not() -> None:
    asked: list[str] = []

    async def text(name: str) -> AsyncIterator[str]:
        asked.append(name)
        yield name

    async def scene(stage: Stage) -> None:
        for name in ("a", "b", "c"):
            stage.say(text(name))
        await asyncio.sleep(0.2)
        assert asked == ["a", "b"]
        await asyncio.sleep(0.5)
        assert asked == ["a", "b", "c"]

    play(scene)


def test_a_caller_s_voice_pauses_it_and_no_more_than_that() -> None:
    async def scene(stage: Stage) -> None:
        utterance = stage.say("one two three four")
        await asyncio.sleep(0.7)
        stage.speaker.hold(True)
        stage.speaker.hold(True)
        assert stage.line.of(Clear) == [0.7]
        await asyncio.sleep(1.3)
        stage.speaker.hold(False)
        await utterance
        assert utterance.complete
        assert stage.kinds(SpeakingPaused, SpeakingStarted) == [
            (0.0, "SpeakingStarted"),
            (0.7, "SpeakingPaused"),
            (2.0, "SpeakingStarted"),
        ]
        assert utterance.ended == pytest.approx(2.0 + 1.5)

    play(scene)


def test_words_cut_it_and_all_that_waits() -> None:
    async def scene(stage: Stage) -> None:
        said = [stage.say("one two three"), stage.say("four"), stage.say("five", reply_to=TURN)]
        await asyncio.sleep(0.7)
        stage.speaker.hold(True)
        stage.speaker.hold(True, "anna")
        assert [u.interrupted_by for u in said] == ["anna"] * 3
        assert [u.heard for u in said] == ["one", "", ""]
        assert all(u.done for u in said)
        assert stage.speaker.current is None

    play(scene)


def test_what_is_said_into_held_words_is_ended() -> None:
    async def scene(stage: Stage) -> None:
        stage.speaker.hold(True, "anna")
        utterance = stage.say("one")
        assert utterance.interrupted_by == "anna"
        assert stage.line.log == []

    play(scene)


def test_what_is_said_into_a_voice_waits_for_what_it_becomes() -> None:
    async def scene(stage: Stage) -> None:
        stage.speaker.hold(True)
        utterance = stage.say("one")
        await asyncio.sleep(1)
        assert stage.line.log == []
        stage.speaker.hold(False)
        await utterance
        assert utterance.started == 1.0

    play(scene)


def test_what_is_meant_to_be_said_over_a_voice_is_not_held() -> None:
    async def scene(stage: Stage) -> None:
        stage.speaker.hold(True, "anna")
        urgent = stage.say("one two three", over=True)
        await asyncio.sleep(0.2)
        stage.speaker.interrupt("anna")
        assert not urgent.done
        stage.speaker.hold(False)
        stage.speaker.hold(True, "anna")
        assert urgent.interrupted_by == "anna"

    play(scene)


def test_an_urgent_one_takes_the_place_of_what_is_said() -> None:
    async def scene(stage: Stage) -> None:
        first, second = stage.say("one two three"), stage.say("four")
        await asyncio.sleep(0.7)
        urgent = stage.say("fire", over=True)
        assert (first.interrupted_by, first.heard) == ("over", "one")
        assert stage.speaker.current is urgent
        await second
        assert stage.over == ["u1", "u3", "u2"]

    play(scene)


def test_an_urgent_one_goes_before_what_is_still_being_made() -> None:
    async def slow() -> AsyncIterator[str]:
        await asyncio.sleep(0.3)
        yield "one two. "

    async def scene(stage: Stage) -> None:
        first = stage.say(slow())
        await asyncio.sleep(0.1)
        urgent = stage.say("fire fire", over=True)
        await first
        assert (urgent.ended, first.started) == (pytest.approx(1.1), pytest.approx(1.1))

    play(scene)


def test_one_that_waits_can_be_stopped_and_stopping_twice_is_nothing() -> None:
    async def scene(stage: Stage) -> None:
        first, second = stage.say("one two"), stage.say("three")
        stage.speaker.stop(second, "stopped")
        stage.speaker.stop(second, "again")
        assert (second.interrupted_by, second.done, first.done) == ("stopped", True, False)
        await first
        stage.speaker.stop(first, "late")
        assert first.interrupted_by is None

    play(scene)


def test_a_cut_is_over_when_the_ear_has_answered() -> None:
    async def scene(stage: Stage) -> None:
        stage.line.receipts = True
        utterance = stage.say("one two three four")
        await asyncio.sleep(0.7)
        stage.speaker.receive("anna", 1, RATE * 7 // 10, False)
        stage.speaker.stop(utterance, "stopped")
        await asyncio.sleep(0.05)
        assert not utterance.done
        stage.speaker.receive("anna", 1, RATE * 7 // 10, True)
        assert utterance.done
        assert utterance.heard == "one"
        stage.speaker.receive("anna", 1, RATE, True)

    play(scene)


def test_one_without_receipts_is_given_up_when_told_to() -> None:
    async def scene(stage: Stage) -> None:
        stage.line.receipts = True
        utterance = stage.say("one")
        await asyncio.sleep(3)
        stage.speaker.unconfirmed("nobody")
        assert not utterance.done
        stage.speaker.unconfirmed("u1")
        await utterance
        assert (utterance.confirmed, utterance.complete, utterance.interrupted_by) == (False, False, None)

    play(scene)


def test_nobody_to_hear_it_ends_it() -> None:
    async def scene(stage: Stage) -> None:
        said = [stage.say("one two three"), stage.say("four", to="anna"), stage.say("five")]
        await asyncio.sleep(0.7)
        stage.speaker.shut("anna")
        assert [u.interrupted_by for u in said] == ["hang_up"] * 3
        assert said[0].heard == "one"
        assert stage.say("six").interrupted_by == "hang_up"

    play(scene)


def test_the_addressee_must_be_there() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.say("one", to="bert").interrupted_by == "hang_up"
        bert = Line()
        stage.speaker.open("bert", bert)
        utterance = stage.say("one two", to="bert")
        await asyncio.sleep(0.6)
        stage.speaker.shut("bert")
        assert (utterance.interrupted_by, utterance.heard) == ("hang_up", "one")
        assert stage.line.of(Clear) == [0.6]

    play(scene)


def test_who_comes_late_hears_the_rest() -> None:
    async def scene(stage: Stage) -> None:
        utterance = stage.say("one two three")
        await asyncio.sleep(0.6)
        bert = Line()
        stage.speaker.open("bert", bert)
        await utterance
        first = next(what for _, what in bert.log if isinstance(what, Send))
        assert first.position == 0
        assert first.source >= RATE // 2
        assert len(bert.of(Finish)) == 1

    play(scene)


def test_when_only_latecomers_hear_it_it_ends() -> None:
    async def scene(stage: Stage) -> None:
        said = [stage.say("one two three"), stage.say("four")]
        await asyncio.sleep(0.7)
        stage.speaker.open("bert", Line())
        stage.speaker.shut("anna")
        assert (said[0].interrupted_by, said[0].heard) == ("hang_up", "one")
        assert (await said[1]).complete

    play(scene)


def test_what_an_event_causes_comes_after_it() -> None:
    async def scene(stage: Stage) -> None:
        said: list[SpokenUtterance] = []

        def on_event(event: Event) -> None:
            if isinstance(event, SpeakingHeard) and not said:
                stage.speaker.stop(stage.speaker.current, "enough")  # type: ignore[arg-type]
                said.append(stage.say("four"))

        stage.on_event = on_event
        first = stage.say("one two three")
        await first
        assert first.heard == "one"
        await said[0]
        names = [type(e).__name__ for _, e in stage.events]
        assert names.index("SpeakingEnded") < names.index("SpeakingStarted", 3)

    play(scene)


def test_closing_ends_everything_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.line.receipts = True
        said = [stage.say("one two three"), stage.say("four")]
        await asyncio.sleep(0.5)
        stage.speaker.close()
        assert [u.interrupted_by for u in said] == ["hang_up", "hang_up"]
        assert stage.over == ["u1", "u2"]

    play(scene)

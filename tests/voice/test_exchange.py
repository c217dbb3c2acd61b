"""The exchange: what is alike in every channel, tried with a bare one: who takes the floor, who is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from voice import clock
from voice.channel import Caller, Channel, random_id
from voice.ear import Ear
from voice.ear_signals import Listen, VoiceOff, VoiceOn
from voice.endpointing import FixedSilence
from voice.events import Deafness, DigitPressed, Event, ReplySettled, Turn, TurnEnded
from voice.exchange import AFTERMATH, Exchange
from voice.floor import Blocker, FloorChanged, FloorTimes
from voice.leg import RATE
from voice.making import Made, Synthesize
from voice.playout import Clear, Finish, Send
from voice.stt.recognizer import Final, Partial
from voice.tts.synthesizer import WordMark
from voice.utterance import SpokenUtterance

LONG = "here is a long line of words"
"""Seven words of half a second."""


class Bare(Exchange):
    """A channel whose words take half a second each; what is broken cannot be said."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.spoken: list[str] = []

    def _synthesizer(self) -> Synthesize:
        return self._speak

    async def _speak(self, text: str) -> AsyncIterator[Made]:
        self.spoken.append(text)
        if "broken" in text:
            raise OSError("no voice")
        at = 0
        for n, word in enumerate(text.split()):
            yield Made(RATE // 2, (WordMark(at, at + len(word), n / 2),), bytes(RATE))
            at += len(word) + 1


class Nowhere:
    """An outlet that leads nowhere."""

    receipts = False
    jitter = 0.0

    def send(self, utterance: SpokenUtterance, sending: Send) -> None: ...
    def finish(self, finishing: Finish) -> None: ...
    def clear(self, clearing: Clear) -> None: ...


class Person:
    """A caller whose ear is fed by hand."""

    def __init__(self, channel: Bare, name: str) -> None:
        self.channel = channel
        self.ear = Ear(name, lambda: random_id("turn"), FixedSilence())
        channel.enter(Caller(name, name), self.ear, Nowhere())

    def feed(self, *inputs: Any) -> None:
        for each in inputs:
            for action in self.ear.handle(each, asyncio.get_running_loop().time()):
                if not isinstance(action, Listen) and isinstance(action, Event):
                    self.channel.tell(action)

    async def say(self, text: str) -> None:
        """A turn of one second, understood at its end, and the silence that ends it."""
        self.feed(VoiceOn())
        await asyncio.sleep(0.2)
        self.feed(Partial(""))
        await asyncio.sleep(0.8)
        self.feed(Partial(text), VoiceOff())
        await asyncio.sleep(0.6)
        self.feed(Partial(text), Final(text))


def play(scene: Callable[[Bare, Person], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        async with Bare(**options) as channel, asyncio.timeout(600):
            await scene(channel, Person(channel, "anna"))

    clock.run(main())


def test_it_is_a_channel() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        as_protocol: Channel = channel
        assert (await as_protocol.say("hello")).complete
        assert as_protocol.callers["anna"].name == "anna"
        as_protocol.send_panel("task", {})

    play(scene)


def test_ids_are_new_everywhere() -> None:
    assert random_id("turn").startswith("turn-")
    assert len({random_id("turn") for _ in range(1000)}) == 1000


def test_a_channel_must_say_how_it_speaks() -> None:
    async def main() -> None:
        async with Exchange():
            pass

    with pytest.raises(NotImplementedError):
        clock.run(main())


def test_a_turn_reaches_its_reader_and_is_owed_a_reply() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        await anna.say("what time is it")
        turn = await anext(channel.turns())
        assert turn.text == "what time is it"
        assert channel.floor.blocker is Blocker.REPLY
        await channel.say("ten", reply_to=turn)
        assert channel.floor.open

    play(scene)


@pytest.mark.parametrize(
    ("text", "known", "cut"),
    [("what about it", True, True), ("okay", True, False), ("stop", True, True), ("what about it", False, False)],
)
def test_words_that_are_sure_and_take_the_floor_cut_us(text: str, known: bool, cut: bool) -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        anna.ear.trusting = known
        utterance = channel.say(LONG)
        await asyncio.sleep(1.2)
        anna.feed(VoiceOn())
        await asyncio.sleep(0.3)
        anna.feed(Partial(text))
        assert utterance.done == cut
        assert (utterance.interrupted_by == "anna") == cut

    play(scene)


@pytest.mark.parametrize(
    ("line", "after", "answer"),
    [
        ("it is done", 0.1, False),
        ("it is done", AFTERMATH - 0.3, False),
        ("it is done", AFTERMATH + 0.1, True),
        ("is it done?", 0.1, True),
        ("is it done?", 3.0, True),
    ],
)
def test_whether_a_mere_yes_is_an_answer(line: str, after: float, answer: bool) -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        told: list[Any] = []
        channel.listen(lambda event, at: told.append(event))
        await channel.say(line)
        await asyncio.sleep(after)
        await anna.say("yes")
        assert any(isinstance(e, TurnEnded) for e in told) == answer

    play(scene)


def test_an_unheard_line_does_not_make_a_yes_a_backchannel() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        channel.stop(channel.say("it is done"))
        await anna.say("yes")
        assert (await anext(channel.turns())).text == "yes"

    play(scene)


def test_the_reply_that_is_late_is_the_one_that_is_cut() -> None:
    async def never() -> AsyncIterator[str]:
        await asyncio.sleep(1e6)
        yield "late"

    async def scene(channel: Bare, anna: Person) -> None:
        await anna.say("what time is it")
        turn = await anext(channel.turns())
        reply = channel.say(never(), reply_to=turn)
        behind = channel.say("something else")
        await reply
        assert reply.interrupted_by == "failed"
        await behind
        assert behind.complete
        assert asyncio.get_running_loop().time() == pytest.approx(1.6 + 4.0 + 1.0)

    play(scene, times=FloorTimes(reply=4.0), apology="")


def test_who_presses_keys_has_the_floor_and_we_go_on_from_the_same_word() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        spoken = channel.say(LONG)
        await asyncio.sleep(1.2)
        channel.tell(DigitPressed("anna", "1"))
        await asyncio.sleep(2)
        channel.tell(DigitPressed("anna", "2"))
        assert (spoken.heard, channel.floor.blocker) == ("here is", Blocker.DIGITS)
        await spoken
        assert spoken.complete
        assert asyncio.get_running_loop().time() == pytest.approx(1.2 + 2 + 3 + 2.5)

    play(scene)


def test_a_reply_waits_for_the_last_key() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        await anna.say("my number is")
        channel.tell(DigitPressed("anna", "1"))
        reply = await channel.say("thanks", reply_to=await anext(channel.turns()))
        assert (reply.complete, reply.started) == (True, pytest.approx(1.6 + 3))

    play(scene)


@pytest.mark.parametrize("broken", [True, False])
def test_an_excuse_takes_the_place_of_the_reply_and_is_made_once(broken: bool) -> None:
    async def reply() -> AsyncIterator[str]:
        await asyncio.sleep(1)
        if broken:
            raise RuntimeError("the model broke")
        await asyncio.sleep(1000)
        yield "never"

    async def scene(channel: Bare, anna: Person) -> None:
        told: list[tuple[float, str]] = []
        channel.listen(
            lambda e, at: told.append((at, e.view.blocker or "open")) if isinstance(e, FloorChanged) else None
        )
        await anna.say("hello")
        turn = await anext(channel.turns())
        channel.say(reply(), reply_to=turn)
        await asyncio.sleep(40)
        reasons = [why for _, why in told]
        assert reasons[reasons.index("reply_owed") :] == ["reply_owed", "agent_speaking", "question_pending", "open"]

    play(scene, apology="well no sorry?")


def test_an_excuse_that_cannot_be_made_is_not_excused_again() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        await anna.say("hello")
        turn = await anext(channel.turns())
        failed = channel.say("broken", reply_to=turn)
        await failed
        await asyncio.sleep(40)
        assert channel.spoken == ["broken", "broken sorry"]
        assert channel.floor.open

    play(scene, apology="broken sorry")


def test_nobody_is_apologised_to_who_has_left() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        bert = Person(channel, "bert")
        said: list[Any] = []
        channel.listen(lambda event, at: said.append(event))
        await bert.say("what time is it")
        turn = await anext(channel.turns())
        channel.leave("bert")
        channel.leave("bert")
        await asyncio.sleep(30)
        assert not any(isinstance(e, ReplySettled) for e in said)
        channel.settle(turn)
        assert channel.floor.open

    play(scene)


def test_settling_and_stopping_after_the_end_are_nothing() -> None:
    async def main() -> None:
        channel = Bare()
        async with channel:
            Person(channel, "anna")
            utterance = channel.say(LONG)
        channel.settle(Turn("t", "anna", "x", 0, 0))
        channel.stop(utterance)
        assert utterance.interrupted_by == "hang_up"
        with pytest.raises(RuntimeError, match="async with"):
            channel.say("x")

    clock.run(main())


def test_what_is_not_ours_is_not_stopped() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        channel.stop("something else")  # type: ignore[arg-type]

    play(scene)


def test_a_caller_who_does_not_hear_is_no_taker() -> None:
    async def scene(channel: Bare, anna: Person) -> None:
        Person(channel, "bert")
        anna.feed(VoiceOn())
        await asyncio.sleep(0.3)
        anna.feed(Partial("what about it"))
        assert channel.say("hello").interrupted_by == "anna"
        channel.deafen("anna", Deafness.HELD)
        assert (await channel.say("hello")).complete

    play(scene)


def test_a_cancelled_body_is_cancelled() -> None:
    async def main() -> None:
        async def body() -> None:
            async with Bare() as channel:
                Person(channel, "anna")
                await channel.say(LONG)

        task = asyncio.create_task(body())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())

"""What is really spoken: hooks and agents that rewrite, refuse, fail or dawdle, at a real desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from delivery.desk import Refuse
from delivery.ledger import Delivery, LedgerError, SpeakAs, Status
from delivery.receipt import Receipt
from delivery.wording import HOOK_TIMEOUT, MAX_WORDING, WORDING_TIMEOUT, unchanged, worded
from tests.delivery.house import Agent, Anna, House, delivery, near, play
from voice.clock import run

# -- hooks


def test_a_hook_rewrites_what_is_spoken_and_that_is_kept() -> None:
    asked = []

    async def before(delivery: Delivery) -> str:
        asked.append(delivery.id)
        return delivery.content.replace("secret", "known")

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", "The secret boat is here now.", speak_as=SpeakAs.AGENT)
        await anna.hears("The known boat")
        await anna.say("what is the time")
        await anna.hears("is here now.")
        assert (await Receipt("a", house.ledger)).heard == "The known boat is here now."

    play(script, before=before)
    assert asked == ["a"]


@pytest.mark.parametrize(
    ("answer", "reason"), [(Refuse("not for a caller"), "not for a caller"), ("  ", "nothing to say")]
)
def test_a_hook_refuses(answer: Exception | str, reason: str) -> None:
    async def before(delivery: Delivery) -> str:
        if delivery.id == "b":
            return delivery.content
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.REFUSED
        assert reason in outcome.reason
        line = await anna.hears("b4")
        assert near(line.started, 1.0)

    told = play(script, before=before)
    assert [s.status for s in told.settled] == [Status.REFUSED, Status.HEARD]


def test_a_reason_that_no_ledger_could_keep_is_cleaned() -> None:
    async def before(delivery: Delivery) -> str:
        raise Refuse("bad \ud800 text")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        assert (await Receipt("a", house.ledger)).reason == "bad ? text"

    play(script, before=before)


def test_a_hook_that_raises_is_tried_again_then_the_delivery_is_set_aside_and_the_next_goes_on() -> None:
    tries: list[float] = []

    async def before(delivery: Delivery) -> str:
        if delivery.id == "b":
            return delivery.content
        tries.append(asyncio.get_running_loop().time())
        raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("b4")
        assert near(line.started, 1.0)
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert outcome.reason == "given up after 3 tries: KeyError: 'x'"

    play(script, before=before)
    assert len(tries) == 3


def test_a_hook_that_fails_once_costs_a_second() -> None:
    tries: list[str] = []

    async def before(delivery: Delivery) -> str:
        tries.append(delivery.id)
        if len(tries) == 1:
            raise LedgerError("the hook's own")
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await asyncio.sleep(5)
        await house.put("a")
        line = await anna.hears("a4")
        assert near(line.started, 6.0)
        assert (await house.entry("a")).attempts == 1

    play(script, before=before)


def test_a_slow_hook_holds_its_delivery_and_keeps_the_order() -> None:
    async def before(delivery: Delivery) -> str:
        await asyncio.sleep(4.0 if delivery.id == "a" else 0.0)
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("a4")
        assert near(line.started, 4.0)
        await anna.hears("b4")

    play(script, before=before)


def test_a_hook_that_never_answers_does_not_hold_the_others_for_ever() -> None:
    async def before(delivery: Delivery) -> str:
        if delivery.id == "a":
            await asyncio.get_running_loop().create_future()
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("b4", timeout=HOOK_TIMEOUT + 10)
        assert near(line.started, HOOK_TIMEOUT)
        assert "did not answer within 30 s" in (await house.entry("a")).reason

    play(script, before=before)


def test_the_hook_after_sees_the_end_and_may_fail_or_dawdle(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[str] = []

    async def after(settled: Any) -> None:
        ends.append(settled.delivery.id)
        if settled.delivery.id == "a":
            await asyncio.sleep(20)
            raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        await Receipt("b", house.ledger)
        await asyncio.sleep(1)
        assert ends == ["a", "b"]
        await asyncio.sleep(30)

    play(script, after=after)
    assert "the hook after delivery a failed" in caplog.text


def test_watchers_that_fail_cost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        assert (await Receipt("a", house.ledger)).status is Status.HEARD

    play(script, watcher=fail, spoken=fail)
    assert "KeyError" in caplog.text


# -- the agent's own words


def test_the_agent_puts_it_into_its_own_words() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        await anna.hears("Well: the boat came in.")
        assert (await Receipt("a", house.ledger)).heard == "Well: the boat came in."

    agent = Agent("the boat came in.")
    play(script, words=agent)
    assert agent.asked == ["a"]


@pytest.mark.parametrize(
    ("agent", "at"),
    [(Agent(KeyError("x")), 1.0), (Agent("late", seconds=WORDING_TIMEOUT + 1), WORDING_TIMEOUT)],
    ids=["fails", "slow"],
)
def test_an_agent_that_fails_or_dawdles_keeps_nothing_back(agent: Agent, at: float) -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        line = await anna.hears("a4")
        assert line.heard == "a0 a1 a2 a3 a4"
        assert near(line.started, at)

    play(script, words=agent)


def test_an_agent_that_says_nothing_keeps_nothing_back() -> None:
    class Silent(Agent):
        async def word(self, deliveries: Any, resume_from: str = "") -> Any:
            yield " \n"

    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        await anna.hears("a0 a1 a2 a3 a4")

    play(script, words=Silent())


@pytest.mark.parametrize("words", ["...", " \n", "\u2026 !"])
def test_an_agent_that_says_nothing_with_many_dots_keeps_nothing_back(words: str) -> None:
    async def word(deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        yield words

    mute = Agent()
    mute.word = word  # type: ignore[method-assign]
    assert run(worded(delivery("a", "Boats float.", speak_as=SpeakAs.AGENT), unchanged, mute)) == "Boats float."


class Endless(Agent):
    """Its model does not come to an end."""

    def __init__(self, piece: str) -> None:
        super().__init__()
        self.piece, self.closed = piece, False

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        try:
            while True:
                yield self.piece
        finally:
            self.closed = True


@pytest.mark.parametrize(
    ("piece", "end"),
    [("One sentence. Or ", "sentence."), ("word ", "word"), ("x", "x" * MAX_WORDING), ("Why? 3.5 ", "Why?")],
)
def test_an_agent_that_does_not_come_to_an_end_is_cut_after_a_sentence(piece: str, end: str) -> None:
    agent = Endless(piece)
    text = run(worded(delivery("a", speak_as=SpeakAs.AGENT), unchanged, agent))
    assert agent.closed
    assert len(text) <= MAX_WORDING
    assert text.endswith(end)
    assert len(text) > MAX_WORDING - len(piece) - 1

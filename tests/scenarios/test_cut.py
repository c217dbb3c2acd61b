"""A result that is cut is owed from its last heard word, and a click cuts nothing: D7, D22."""

from __future__ import annotations

import pytest

from delivery import Immediate, Status
from orchestration.simulation import SimulatedCall
from tests.scenarios.phone import ROOM, WORD, Phone, dial
from tests.scenarios.scenes import check_manners, near, play, said, statuses, times_heard
from tests.voice.doubles import noise
from voice.events import SpeakingPaused

COUNT = "one two three four five six seven eight nine ten."
RESUMING = "As I was saying: "


# -- D7: the caller barges in on a result


def test_d07_caller_barges_in() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into planes")
        cut = await call.hears("Technically planes")
        begun, _ = await call.interrupt("what time is it")
        noon = await call.hears("noon")
        rest = await call.hears("As I was saying")
        assert cut.ended is not None
        assert cut.ended - begun <= 0.1
        assert cut.interrupted
        assert noon.ended is not None
        assert near(rest.started, noon.ended + 1.0)
        await call.hears("careful use.")
        heard = cut.heard + " " + rest.heard.removeprefix(RESUMING)
        assert " ".join(heard.split()) == (
            "My analysts say: Technically planes are sound. "
            "Commercially planes pay off after nine years of patient and careful use."
        )
        await call.silence(60)
        assert sum("planes" in line for line in said(call)) == 2  # offered once, and no more
        check_manners(call)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d07_the_receipt_says_how_far_it_was_heard_and_ends_only_when_all_of_it_was() -> None:
    async def script(call: SimulatedCall) -> None:
        receipt = await call.runtime.deliver(call.room, COUNT)
        await call.hears("three")
        await call.interrupt("what time is it")
        await call.hears("noon")
        entry = await receipt.entry()
        assert (entry.status.terminal, COUNT[: entry.heard_chars], entry.reason) == (False, "one two three", "caller")
        rest = await call.hears("ten.")
        assert rest.heard == f"{RESUMING}four five six seven eight nine ten."
        outcome = await receipt
        assert (outcome.status, outcome.heard, outcome.remainder) == (Status.HEARD, COUNT, "")

    play(script)


def test_d07_each_cut_makes_it_shorter_and_the_third_sets_it_aside_to_be_asked_for() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        for part in ("Technically", "sound", "pay off"):
            await call.hears(part, timeout=90)
            await call.interrupt("what time is it")
            await call.hears("noon")
        await call.silence(30)
        assert await statuses(call) == [Status.DEAD]
        assert set(times_heard(call, "Technically sound. Commercially").values()) == {1}
        await call.say("what did you find")
        await call.hears("careful use.")

    play(script)


@pytest.mark.parametrize(
    ("on_interrupt", "second", "status"),
    [
        ("resume", f"{RESUMING}four five six seven eight nine ten.", Status.HEARD),
        ("repeat", COUNT, Status.HEARD),
        ("drop", None, Status.DROPPED),
    ],
)
def test_d07_what_becomes_of_it_is_the_producers_choice(on_interrupt: str, second: str | None, status: Status) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, COUNT, on_interrupt=on_interrupt)
        await call.hears("three")
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.silence(30)
        assert said(call)[2:] == ([] if second is None else [second])
        assert await statuses(call) == [status]

    play(script)


def test_d07_an_immediate_one_that_is_cut_does_not_come_back_over_the_caller() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, COUNT, strategy=Immediate())
        await call.hears("three")
        _, stopped = await call.interrupt("what time is it")
        await call.hears("noon")
        rest = await call.hears("ten.")
        assert rest.started > stopped
        assert rest.heard == f"{RESUMING}four five six seven eight nine ten."

    play(script)


def test_d07_on_a_real_cascade_no_word_is_lost_or_heard_twice() -> None:
    async def script(phone: Phone) -> None:
        await phone.runtime.deliver(ROOM, COUNT)
        await phone.hears("one two three")
        begun, _ = await phone.say("what time is it")
        assert phone.leg.last_sound() - begun <= 0.1 + phone.leg.network
        await phone.hears("ten.")
        words = [word for word in phone.leg.text.split() if word in COUNT.split()]
        assert words == COUNT.split()
        assert await phone.statuses() == [Status.HEARD]

    dial(script, network=0.03)


def test_d07_a_mm_hm_is_no_barge_in() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, COUNT)
        line = await call.hears("three")
        await call.caller.backchannel("mm-hm")
        await call.hears("ten.")
        assert not line.interrupted
        await call.silence(10)
        assert said(call) == [COUNT]
        assert await statuses(call) == [Status.HEARD]

    play(script)


# -- D22: one click of 20 ms while the agent speaks


def test_d22_one_click_while_the_agent_speaks() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, COUNT)
        line = await call.hears("three")
        await call.caller.click()
        await call.hears("ten.")
        await call.silence(1)
        assert len(line.spans) == 1
        assert line.ended is not None
        assert near(line.ended, line.started + 10 * 0.4)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d22_one_click_on_a_real_cascade() -> None:
    async def script(phone: Phone) -> None:
        await phone.runtime.deliver(ROOM, COUNT)
        begun = await phone.hears("one two three")
        await phone.leg.play(noise(0.02))
        await phone.hears("ten.")
        assert near(phone.leg.last_sound(), begun + 10 * WORD)
        assert not any(isinstance(what, SpeakingPaused) for _, what in phone.told)
        assert phone.leg.cleared == []

    dial(script)


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_d22_a_noise_that_is_longer_pauses_it_and_it_goes_on_from_the_same_word(seconds: float) -> None:
    async def script(phone: Phone) -> None:
        await phone.runtime.deliver(ROOM, COUNT)
        await phone.hears("one two three")
        await phone.leg.play(noise(seconds))
        fell_silent = phone.now
        await phone.hears("ten.")
        assert [word for _, word in phone.leg.heard()] == COUNT.split()
        assert phone.leg.cleared
        resumed = next(stream.begun for stream in phone.leg.streams.values() if stream.begun > fell_silent)
        assert resumed - fell_silent <= 0.6 + 0.06 + phone.leg.jitter  # the silence that proves it was nothing
        assert await phone.statuses() == [Status.HEARD]

    dial(script)

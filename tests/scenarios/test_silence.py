"""Is it silent? Nothing begins over a caller, over ourselves, or where nobody hears: D1 to D4, D8 to D10, D24."""

from __future__ import annotations

import asyncio

import pytest

from delivery import Queued, Status, Strategy, WaitForIdle
from orchestration.simulation import SimulatedCall
from tests.scenarios.phone import ROOM, Phone, dial, sleep_until
from tests.scenarios.scenes import check_manners, house, near, play, said, statuses
from tests.voice.doubles import Recognizer, noise, quiet
from voice.events import Deafness
from voice.floor import Blocker, FloorState
from voice.leg import Hearing

BOTH = pytest.mark.parametrize("strategy", [WaitForIdle(1.0), Queued(1.0)], ids=["wait_for_idle", "queued"])
LONG = "tell me " * 49 + "please."
"""99 words: forty seconds without a breath."""


# -- D1: the caller starts to speak inside the silence buffer


@BOTH
def test_d01_caller_starts_inside_the_buffer(strategy: Strategy) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", strategy=strategy)
        await call.silence(0.8)
        _, stopped = await call.interrupt("what time is it")
        noon = await call.hears("noon")
        result = await call.hears("boat is here")
        assert noon.ended is not None
        assert noon.started > stopped
        assert near(result.started, noon.ended + 1.0)
        check_manners(call)
        assert await statuses(call) == [Status.HEARD]

    play(script)


@pytest.mark.parametrize("sound", ["mm-hm", "<cough>"])
def test_d01_even_a_sound_that_is_no_turn_starts_the_wait_anew(sound: str) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The train is here.")
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.hears("train is here.")
        await call.silence(0.8)
        _, ended = await (call.caller.noise(0.3) if sound == "<cough>" else call.caller.backchannel(sound))
        result = await call.hears("boat is here")
        assert ended + 1.0 <= result.started <= ended + 1.0 + 0.6 + 0.02  # the end of it is sure only a silence later
        check_manners(call)

    play(script)


def test_d01_a_pause_inside_a_turn_is_no_silence() -> None:
    async def script(call: SimulatedCall) -> None:
        talk = call.caller.start_saying("what time is it", pauses=[("what", 0.5), ("time", 0.55)])
        await call.silence(0.2)
        await call.runtime.deliver(call.room, "The boat is here.")
        _, stopped = await talk
        assert not call.lines
        noon = await call.hears("noon")
        assert near(noon.started, stopped + 0.6)
        await call.hears("boat is here")
        assert said(call) == ["It is noon.", "The boat is here."]

    play(script, house(WaitForIdle(buffer=0.0)))


def test_d01_who_begins_in_the_very_moment_cuts_the_result_before_it_was_a_word_and_loses_nothing() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.silence(0.97)  # a voice is known for one after 80 ms: this one only when the result has begun
        begun, _ = await call.interrupt("what time is it")
        await call.hears("noon")
        await call.hears("boat is here")
        cut = call.lines[0]
        assert cut.spans[-1][1] <= begun + 0.08 + 0.02
        assert [line for line in said(call) if line] == ["It is noon.", "The boat is here."]
        assert await statuses(call) == [Status.HEARD]

    play(script)


# -- D2: the caller talks on and on


@BOTH
def test_d02_caller_talks_on_and_on(strategy: Strategy) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", strategy=strategy)  # it may ask after 30 s
        _, stopped = await call.interrupt(LONG)
        line = await call.hears("boat is here.")
        pardon = await call.hears("Pardon?")
        assert line.heard == "I have something for you. The boat is here."
        assert near(line.started, stopped + 0.6)  # the first end of a turn after 30 s; no buffer: it asks
        assert line.ended is not None
        assert near(pardon.started, line.ended)
        check_manners(call)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d02_without_max_wait_it_only_waits() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", max_wait=None)
        _, stopped = await call.interrupt(LONG)
        pardon = await call.hears("Pardon?")
        line = await call.hears("boat is here")
        assert pardon.ended is not None
        assert near(line.started, pardon.ended + 1.5)  # that was a question
        assert pardon.started > stopped
        assert len(call.lines) == 2

    play(script)


def test_d02_who_goes_on_over_the_opener_is_answered_and_told_later() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", max_wait=1.0)
        for _ in range(3):
            await call.interrupt("tell me a story")  # over the opener, from the second time on
            await call.hears("I have")
        await call.hears("boat is here")
        await call.hears("many years.")
        assert sum("something for you." in each for each in said(call)) == 1
        check_manners(call)
        assert await statuses(call) == [Status.HEARD]

    play(script)


# -- D3: a cascade channel (detector, recogniser, voice), and the caller is talking


def test_d03_cascade_and_the_caller_is_talking() -> None:
    async def script(phone: Phone) -> None:
        talk = asyncio.create_task(phone.say("what time is it " * 10))
        await sleep_until(3.0)
        await phone.runtime.deliver(ROOM, "boat", max_wait=None)
        await talk
        stopped = phone.now
        answer = await phone.hears("Pardon?")
        result = await phone.hears("boat")
        assert stopped < answer < result
        assert near(result, answer + 0.3 + 1.5 + phone.leg.jitter)  # that was a question
        assert await phone.statuses() == [Status.HEARD]

    dial(script)


# -- D4: five seconds of our own sound are still at the ear


@pytest.mark.parametrize("network", [0.0, 0.15])
@pytest.mark.parametrize("jitter", [0.04, 0.4])
def test_d04_our_own_sound_still_plays_at_the_ear(jitter: float, network: float) -> None:
    async def script(phone: Phone) -> None:
        first = await phone.runtime.deliver(ROOM, "boat " * 17, strategy="immediate")
        second = await phone.runtime.deliver(ROOM, "train", strategy=WaitForIdle(buffer=0.5))
        assert (await first).status is Status.HEARD
        until = phone.leg.last_sound()
        assert until > 5.1
        begun = await phone.hears("train")
        assert (await second).status is Status.HEARD
        assert until + 0.5 <= begun  # silent for the buffer at the ear itself ...
        assert begun <= until + 0.5 + 2 * network + jitter + 0.1  # ... counted from its last receipt
        assert phone.state(until - 0.1) is FloorState.AGENT_AUDIBLE

    dial(script, jitter=jitter, network=network)


def test_d04_without_a_receipt_it_is_not_taken_for_heard() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.ear.receipts = True  # the far end promises receipts, and none comes
        receipt = await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(buffer=0.5))
        outcome = await receipt
        assert outcome.status is Status.DEAD
        assert "unconfirmed" in outcome.reason

    play(script)


# -- D8: a result is ready when the agent asks something


@pytest.mark.parametrize("buffer", [0.0, 0.8, 2.5])
def test_d08_result_is_ready_when_the_agent_asks(buffer: float) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("tea or coffee")
        await call.runtime.deliver(call.room, "The boat is here.")
        question = await call.hears("tea or coffee?")
        line = await call.hears("boat is here")
        assert question.ended is not None
        assert near(line.started, question.ended + max(1.5, buffer))

    play(script, house(WaitForIdle(buffer=buffer)))


def test_d08_the_answer_to_the_question_comes_first() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("tea or coffee")
        await call.runtime.deliver(call.room, "The boat is here.")
        question = await call.hears("tea or coffee?")
        await call.silence(1.2)  # later than most answers come
        await call.interrupt("tea please")
        tea = await call.hears("Tea it is.")
        line = await call.hears("boat is here")
        assert not question.interrupted
        assert tea.ended is not None
        assert near(line.started, tea.ended + 1.0)
        check_manners(call)

    play(script)


def test_d08_a_question_whose_sound_is_still_being_made_is_a_question() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        question = await call.hears("How can I help?")
        line = await call.hears("boat is here")
        assert near(question.started, 2.0)
        assert question.ended is not None
        assert near(line.started, question.ended + 1.5 + 2.0)

    play(script, house(WaitForIdle(buffer=0.5), greeting="How can I help?"), tts_delay=2.0)


def test_d08_an_excuse_for_a_reply_that_did_not_come_may_ask_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.silence(1.0)
        await call.runtime.deliver(call.room, "The boat is here.")
        excuse = await call.hears("Could you ask me again?")
        line = await call.hears("boat is here")
        assert excuse.ended is not None
        assert near(line.started, excuse.ended + 1.5)
        assert len(call.lines) == 2

    play(script, house(WaitForIdle(buffer=0.0), thinking=60.0))


# -- D9: a plain `deliver`, no strategy named, while the caller speaks


def test_d09_plain_deliver_while_the_caller_speaks() -> None:
    async def script(call: SimulatedCall) -> None:
        talk = call.caller.start_saying("what time is it")
        await call.silence(0.5)
        receipt = await call.runtime.deliver(call.room, "The boat is here.")
        assert await receipt.status() is Status.QUEUED
        await talk
        await call.hears("boat is here")
        assert said(call) == ["It is noon.", "The boat is here."]
        check_manners(call)
        assert (await receipt).status is Status.HEARD

    play(script)


# -- D10: forty seconds of voice activity without words


def test_d10_forty_seconds_of_noise() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        task = asyncio.create_task(call.caller.noise(40))
        line = await call.hears("boat is here", timeout=45)
        assert 6.0 <= line.started <= 7.1 + 0.02  # six seconds of nothing but noise, and the buffer
        assert not line.interrupted
        await task
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d10_forty_seconds_of_noise_on_a_real_cascade() -> None:
    async def script(phone: Phone) -> None:
        await phone.runtime.deliver(ROOM, "the boat is here")
        humming = asyncio.create_task(phone.leg.play(noise(40)))
        while phone.heard_at("the boat is here") is None:
            assert phone.now < 12, "starved by a noise"
            await sleep_until(phone.now + 0.1)
        await humming
        assert await phone.statuses() == [Status.HEARD]

    dial(script)


def test_d10_a_flat_voice_whose_words_fit_no_grammar_is_no_noise() -> None:
    async def script(phone: Phone) -> None:
        talk = asyncio.create_task(phone.say("compare postgres and sqlite " * 8, flat=True))
        await sleep_until(1.0)
        await phone.runtime.deliver(ROOM, "boat", strategy=WaitForIdle(buffer=0.0))
        _, stopped = await talk
        assert stopped > 11
        assert await phone.hears("boat") > stopped
        assert await phone.statuses() == [Status.HEARD]

    dial(script, stt=Recognizer(rejected=True, confidence=0.1), grammar=True)


def test_d10_a_voice_is_heard_through_the_noise() -> None:
    async def script(call: SimulatedCall) -> None:
        noise = asyncio.create_task(call.caller.noise(20))
        await call.silence(10)
        assert call.floor[-1][1] is FloorState.OPEN
        await noise
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.hears("boat is here")
        check_manners(call)

    play(script)


# -- D24: the caller is on hold


def test_d24_caller_on_hold() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.hold()
        receipt = await call.runtime.deliver(call.room, "The boat is here.")
        await call.silence(120)
        assert not call.lines
        assert await receipt.status() is Status.QUEUED
        resumed = call.now
        call.caller.resume()
        line = await call.hears("boat is here")
        assert near(line.started, resumed + 1.0)
        assert line.heard == "The boat is here."

    play(script)


def test_d24_a_result_that_a_hold_cuts_goes_on_after_it() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "One two three four five six seven eight nine ten.")
        await call.hears("three")
        call.caller.hold()
        await call.silence(30)
        assert len(call.lines) == 1
        call.caller.resume()
        rest = await call.hears("ten.")
        assert rest.heard == "As I was saying: four five six seven eight nine ten."
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d24_a_leg_on_hold_is_named_as_the_reason() -> None:
    async def script(phone: Phone) -> None:
        phone.leg.put(Hearing(Deafness.HELD))
        await phone.runtime.deliver(ROOM, "boat")
        await sleep_until(phone.now + 30)
        floor = phone.channel.floor
        assert (floor.state, floor.blocker) == (FloorState.EMPTY, Blocker.ON_HOLD)
        assert not phone.leg.streams
        phone.leg.put(Hearing(None))
        await phone.leg.play(quiet(0.1))
        await phone.hears("boat")
        assert await phone.statuses() == [Status.HEARD]

    dial(script)

"""Callers of the simulated channel who are held, break off, come back, and hear together."""

from __future__ import annotations

import asyncio

import pytest

from tests.voice.simulated_scenes import LONG, Told, now, pieces, play, times, until
from voice import clock
from voice.events import (
    Deafened,
    Joined,
    Left,
    TurnEnded,
)
from voice.floor import Blocker, FloorState
from voice.simulated import SimulatedCaller, SimulatedChannel

# -- connections


def test_on_hold_nothing_plays() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.0)
        anna.hold()
        await utterance
        assert (utterance.interrupted_by, utterance.heard) == ("hang_up", "Here is")
        assert (channel.floor.state, channel.floor.blocker) == (FloorState.EMPTY, Blocker.ON_HOLD)
        second = await channel.say("Still there?")
        assert (second.interrupted_by, second.heard) == ("hang_up", "")
        assert len(anna.lines) == 1
        assert "anna" in channel.callers
        await until(5.0)
        anna.resume()
        assert channel.floor.open
        assert (await channel.say("Welcome back.")).complete

    play(scene)


def test_a_broken_connection_is_waited_for() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await until(1.0)
        anna.drop()
        assert channel.floor.blocker is Blocker.RECONNECTING
        await until(9.0)
        anna.reconnect()
        anna.reconnect()
        assert channel.floor.open
        assert [type(e) for _, e in told if isinstance(e, Joined | Left | Deafened)] == [Joined, Deafened, Joined]

    play(scene)


def test_who_stays_away_is_gone_and_may_come_anew() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        anna.drop()
        await until(10.5)
        assert times(told, Left) == [pytest.approx(10.0)]
        assert channel.callers == {}
        assert channel.floor.blocker is Blocker.NOBODY
        anna.reconnect()
        assert channel.floor.open
        await anna.say("I am back now")
        assert (await anext(channel.turns())).text == "I am back now"

    play(scene)


def test_who_hangs_up_hears_no_more() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.0)
        talk = anna.start_saying("what about")
        await until(1.2)
        anna.hang_up()
        await utterance
        assert utterance.interrupted_by == "hang_up"
        assert channel.callers == {}
        await talk
        await asyncio.sleep(3)
        assert not times(told, TurnEnded)
        assert channel.floor.state is FloorState.EMPTY

    play(scene)


def test_speech_goes_on_over_a_reconnect() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("one two three four five six")
        await until(0.5)
        anna.drop()
        await until(1.5)
        anna.reconnect()
        await talk
        turn = await anext(channel.turns())
        assert turn.text == "four five six"

    play(scene)


def test_a_receipt_that_never_comes_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with SimulatedChannel() as channel:
            channel.join("anna", receipts=False)
            utterance = await channel.say("On it.")
            assert now() == pytest.approx(0.8 + 2.0 + 0.5)
            assert not utterance.confirmed
            assert not utterance.complete
            assert utterance.interrupted_by is None
            assert utterance.heard == ""
            assert channel.floor.open
            assert "no receipt" in caplog.text

    clock.run(main())


# -- several callers


def test_two_callers_hear_the_same_and_any_of_them_can_stop_it() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        bert = channel.join("bert", jitter=0.3)
        utterance = channel.say(LONG)
        await until(1.0)
        await bert.say("stop")
        await utterance
        assert utterance.interrupted_by == "bert"
        assert [caller.lines[0].heard for caller in (anna, bert)] == ["Here is", "Here"]
        assert utterance.heard == "Here"

    play(scene)


def test_the_addressee_s_ear_counts() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        channel.join("bert", jitter=0.3)
        utterance = channel.say(LONG, to="anna")
        await until(1.0)
        await anna.say("stop")
        assert (await utterance).heard == "Here is"

    play(scene)


def test_an_utterance_ends_when_its_addressee_is_gone() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        bert = channel.join("bert")
        said = [channel.say(LONG, to="bert"), channel.say("Second.", to="bert"), channel.say("Third.")]
        await until(1.0)
        bert.hang_up()
        assert [u.interrupted_by for u in said] == ["hang_up", "hang_up", None]
        assert said[0].heard == "Here is"
        await said[2]
        assert said[2].complete
        assert (await channel.say("For nobody.", to="nobody")).interrupted_by == "hang_up"

    play(scene)


def test_an_utterance_goes_on_for_those_who_stay() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        bert = channel.join("bert")
        utterance = channel.say(LONG)
        await until(1.0)
        bert.hang_up()
        await utterance
        assert utterance.complete

    play(scene)


def test_who_comes_late_hears_the_rest() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(pieces("Here is one.", 2.0, " And here is more."))
        await until(1.0)
        bert = channel.join("bert")
        await utterance
        assert utterance.complete
        assert anna.lines[0].heard == utterance.text
        assert bert.lines[0].started == pytest.approx(2.0)

    play(scene)


def test_one_caller_s_mm_hm_does_not_let_us_go_on_over_another() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        bert = channel.join("bert")
        utterance = channel.say(LONG)
        await until(1.0)
        noise = asyncio.create_task(bert.noise(2.0))
        await anna.backchannel()
        await utterance
        assert utterance.complete
        (_, paused), (resumed, _) = anna.lines[0].spans
        assert (paused, resumed) == (pytest.approx(1.08), pytest.approx(3.6))
        await noise

    play(scene)


def test_a_name_is_taken_once() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        with pytest.raises(ValueError, match="'anna' is in the room already"):
            channel.join("anna")
        other = channel.join("anna", id="anna-2", metadata={"vip": True})
        assert channel.callers["anna-2"] is other.caller
        assert other.caller.metadata == {"vip": True}

    play(scene)

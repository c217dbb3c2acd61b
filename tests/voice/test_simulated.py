"""The simulated channel: what is said is understood, what comes to an ear is known, what makes no sense is refused."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import pytest

from tests.voice.simulated_scenes import LONG, TINY, Told, now, play, states, times, until
from voice import clock
from voice.channel import Channel, Utterance
from voice.events import (
    DigitPressed,
    SpeechStarted,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import Blocker, FloorState
from voice.simulated import Line, NotHeardError, SimulatedCaller, SimulatedChannel

# -- listening


def test_a_turn_has_exact_times() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await until(1.0)
        assert await anna.say("Compare Postgres and SQLite.") == (1.0, pytest.approx(2.6))
        assert now() == pytest.approx(2.6, abs=TINY)
        turn = await anext(channel.turns())
        assert now() == pytest.approx(3.2, abs=TINY)
        assert turn == Turn("turn-1", "anna", "Compare Postgres and SQLite.", 1.0, pytest.approx(2.6))
        assert times(told, SpeechStarted) == [pytest.approx(1.08)]
        assert times(told, WordsHeard) == pytest.approx([1.4, 1.8, 2.2, 2.6])
        assert channel.floor.state is FloorState.AGENT_OWES

    play(scene)


def test_pace_and_pauses() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        spoke = await anna.say("one two three four", pace=5, pauses=[(1, 0.3), ("three", 0.5)])
        assert spoke == (0.0, pytest.approx(1.6))
        turn = await anext(channel.turns())
        assert (turn.text, turn.ended) == ("one two three four", pytest.approx(1.6))
        assert times(told, TurnEnded) == [pytest.approx(2.2)]

    play(scene)


def test_a_pause_longer_than_the_silence_makes_two_turns() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("one two three four", pauses=[(2, 1.0)])
        turns = channel.turns()
        assert [(await anext(turns)).text for _ in range(2)] == ["one two", "three four"]

    play(scene)


def test_a_slow_recogniser() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello there")
        turn = await anext(channel.turns())
        assert now() == pytest.approx(0.8 + 0.6 + 0.3, abs=TINY)
        assert turn.text == "hello there"
        assert times(told, WordsHeard) == pytest.approx([0.7, 1.1])

    play(scene, stt_delay=0.3)


def test_a_recogniser_slower_than_the_ear_waits_for_it() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("one two three four five six seven eight nine ten")
        turn = await anext(channel.turns())
        assert now() == pytest.approx(4.0 + 0.6 + 2.0, abs=TINY)
        assert (turn.text, turn.confidence) == ("one two three", 0.3)

    play(scene, stt_delay=5.1)


def test_words_said_before_the_voice_is_confirmed_are_understood() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("one two three four", pace=25)
        assert (await anext(channel.turns())).text == "one two three four"

    play(scene)


@pytest.mark.parametrize("seconds", [0.02, 0.07])
def test_a_click_is_nothing(seconds: float) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        told.clear()
        await (anna.click() if seconds == 0.02 else anna.noise(seconds))
        await asyncio.sleep(5)
        assert told == []

    play(scene)


def test_noise_is_no_turn_and_does_not_hold_the_floor_for_ever() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.noise(40)
        await asyncio.sleep(5)
        assert states(told)[1:] == [(0.08, "user_holds", "caller_speaking"), (6.08, "open", None)]
        assert len(times(told, TurnDropped)) == 1

    play(scene)


def test_two_throats_in_one_caller_are_refused() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("a longer sentence")
        await asyncio.sleep(0.1)
        assert anna.speaking
        with pytest.raises(RuntimeError, match="anna is speaking already"):
            await anna.say("more")
        await talk
        assert not anna.speaking

    play(scene)


@pytest.mark.parametrize(
    ("text", "pauses", "message"),
    [
        ("", [], "at least one word"),
        ("one two", [(2, 1.0)], "pauses: 2 must be"),
        ("one two", [("three", 1.0)], "pauses: 'three' must be"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(text: str, pauses: list[Any], message: str) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        with pytest.raises(ValueError, match=message):
            await anna.say(text, pauses=pauses)

    play(scene)


def test_keys() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        anna.press("5")
        assert told[-2][1] == DigitPressed("anna", "5")
        assert channel.floor.blocker is Blocker.DIGITS
        with pytest.raises(ValueError, match="digit must be one of"):
            anna.press("x")

    play(scene)


# -- hearing


def test_hears_finds_words_once_and_in_order() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        channel.say("One two one.")
        channel.say("One more.")
        first = await anna.hears("ONE")
        assert now() == pytest.approx(0.4, abs=TINY)
        second = await anna.hears("one")
        assert now() == pytest.approx(1.2, abs=TINY)
        third = await anna.hears("one")
        assert now() == pytest.approx(1.6, abs=TINY)
        assert first is second is anna.lines[0]
        assert third is anna.lines[1]
        assert not third.over
        assert third.ended is None
        with pytest.raises(NotHeardError, match=r"anna did not hear 'one' within 5 s, only:\n .*'One two one.'"):
            await anna.hears("one", timeout=5)

    play(scene)


def test_an_ear_hears_also_without_receipts() -> None:
    async def main() -> None:
        async with SimulatedChannel() as channel:
            anna = channel.join("anna", receipts=False)
            channel.say("On it.")
            line = await anna.hears("on it")
            assert now() == pytest.approx(0.8)
            assert isinstance(line, Line)

    clock.run(main())


# -- the channel itself


def test_a_channel_is_used_inside_its_block() -> None:
    channel = SimulatedChannel()
    assert isinstance(channel, SimulatedChannel)

    async def main() -> None:
        for use in (lambda: channel.floor, lambda: channel.say("x"), lambda: channel.listen(print)):
            with pytest.raises(RuntimeError, match="async with"):
                use()
        async with channel:
            turns = channel.turns()
            utterance = channel.join("anna") and channel.say(LONG)
            await asyncio.sleep(1)
        assert utterance.done
        assert utterance.interrupted_by == "hang_up"
        assert [t async for t in turns] == []
        channel.stop(utterance)

    clock.run(main())


def test_turns_have_one_reader() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello")
        turns = channel.turns()
        await anext(turns)
        with pytest.raises(RuntimeError, match="one reader"):
            await anext(channel.turns())
        await turns.aclose()  # type: ignore[attr-defined]
        await anna.say("again")
        assert (await anext(channel.turns())).text == "again"

    play(scene)


def test_what_is_raised_inside_comes_out_as_it_is() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        anna.start_saying("a b c")
        channel.say(LONG)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        play(scene)


def test_real_callers_are_refused() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        class Real:
            caller = anna.caller

        with pytest.raises(TypeError, match="'anna' is real"):
            await channel.serve(Real())  # type: ignore[arg-type]

    play(scene)


@pytest.mark.parametrize("options", [{"pace": 0}, {"stt_delay": -1}, {"tts_delay": float("inf")}])
def test_options_that_make_no_sense_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SimulatedChannel(**options)  # type: ignore[arg-type]


def test_it_is_a_channel() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        as_protocol: Channel = channel
        as_protocol.send_panel("task", {"x": 1})
        utterance = as_protocol.say("x")
        assert isinstance(utterance, Utterance)
        assert not channel.capabilities.owns_turns

    play(scene)


def test_it_loads_no_numpy() -> None:
    import subprocess

    code = "import sys, voice.simulated; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_an_hour_of_talk_never_overlaps() -> None:
    """Two who never stop interrupting each other; our audio is never at the ear over a caller for long."""

    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        async def agent() -> None:
            async for turn in channel.turns():
                channel.say(LONG, reply_to=turn)

        host = asyncio.create_task(agent())
        for n in itertools.count():
            if now() > 3600:
                break
            await anna.say("tell me more about it please")
            await asyncio.sleep(n % 7)
        host.cancel()
        overlap = [
            (a, b)
            for a, b in itertools.pairwise(sorted((s, e) for line in anna.lines for s, e in line.spans))
            if b[0] < a[1] - TINY
        ]
        assert overlap == []
        assert len(anna.lines) > 300

    play(scene)

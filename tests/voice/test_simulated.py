"""Scripted callers in virtual time: what is said and heard at exact times, barge-in, holds, broken connections."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice import clock
from voice.backchannels import takes_floor
from voice.channel import Channel, Utterance
from voice.events import (
    Deafened,
    DigitPressed,
    Joined,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import Blocker, FloorChanged, FloorState
from voice.simulated import Line, NotHeardError, SimulatedCaller, SimulatedChannel

TINY = 1e-6
Told = list[tuple[float, Any]]
Scene = Callable[[SimulatedChannel, SimulatedCaller, Told], Coroutine[Any, Any, None]]


def play(scene: Scene, **options: Any) -> None:
    """Play a scene with Anna in the room; all that the channel tells is in the third argument."""

    async def main() -> None:
        async with SimulatedChannel(**options) as channel:
            told: Told = []
            channel.listen(lambda event, at: told.append((at, event)))
            anna = channel.join("anna")
            async with asyncio.timeout(4000):
                await scene(channel, anna, told)

    clock.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(at: float) -> None:
    await asyncio.sleep(at - now())


def times(told: Told, kind: type) -> list[float]:
    return [at for at, event in told if isinstance(event, kind)]


def states(told: Told) -> list[tuple[float, str, str | None]]:
    return [(round(at, 6), e.view.state.value, e.view.blocker) for at, e in told if isinstance(e, FloorChanged)]


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


# -- speaking


def test_an_utterance_has_exact_times() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say("On it. Anything else?")
        assert not utterance.done
        assert utterance.started is None
        assert await utterance is utterance
        assert now() == pytest.approx(1.6, abs=TINY)
        assert (utterance.started, utterance.ended) == (0.0, pytest.approx(1.6))
        assert (utterance.heard, utterance.remainder) == ("On it. Anything else?", "")
        assert utterance.complete
        assert utterance.confirmed
        assert utterance.interrupted_by is None
        heard = [(round(at, 3), e.chars) for at, e in told if isinstance(e, SpeakingHeard)]
        assert heard == [(0.4, 2), (0.8, 6), (1.2, 15), (1.6, 21)]
        (line,) = anna.lines
        assert (line.started, line.ended, line.heard, line.interrupted) == (0.0, utterance.ended, utterance.text, False)
        assert (channel.floor.state, channel.floor.blocker) == (FloorState.USER_HOLDS, Blocker.QUESTION)
        until_ = [e.until for _, e in told if isinstance(e, SpeakingScheduled)]
        assert until_[-1] == pytest.approx(1.6)

    play(scene)


def test_a_far_ear_hears_later() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        anna.ear.jitter = 0.2
        utterance = await channel.say("On it.")
        assert (utterance.started, now()) == (pytest.approx(0.7), pytest.approx(1.5))
        assert anna.lines[0].started == pytest.approx(0.7)

    play(scene, tts_delay=0.5)


def test_utterances_wait_for_each_other() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        said = [channel.say(text) for text in ("One two.", "Three.", "Four five six.")]
        for utterance in said:
            await utterance
        assert [line.heard for line in anna.lines] == ["One two.", "Three.", "Four five six."]
        starts = [(u.started, u.ended) for u in said]
        assert starts == [(pytest.approx(a), pytest.approx(b)) for a, b in ((0, 0.8), (0.8, 1.2), (1.2, 2.4))]

    play(scene)


async def pieces(*script: str | float | Exception) -> AsyncIterator[str]:
    """A text as a model makes it: pieces, and seconds between them."""
    for piece in script:
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, Exception):
            raise piece
        else:
            await asyncio.sleep(piece)


def test_a_streamed_text_is_spoken_while_it_comes() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(pieces("On ", "it. ", 0.5, "Any", "thing else", "?"))
        await anna.hears("on it")
        assert utterance.text.startswith("On it.")
        await utterance
        assert (utterance.text, utterance.complete) == ("On it. Anything else?", True)
        assert now() == pytest.approx(1.6, abs=TINY)
        assert not times(told, SpeakingPaused)

    play(scene)


def test_a_text_that_pauses_is_a_pause_at_the_ear() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = await channel.say(pieces("Let me see", 4.0, " it is ten."))
        assert utterance.complete
        assert times(told, SpeakingPaused) == [pytest.approx(0.4 + 1.2)]
        assert times(told, SpeakingStarted) == pytest.approx([0.4, 4.0])
        assert [(round(a, 3), round(b, 3)) for a, b in anna.lines[0].spans] == [(0.4, 1.6), (4.0, 5.2)]

    play(scene)


def test_a_text_that_breaks_off_fails_after_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = await channel.say(pieces("The answer is", ValueError("model on fire")))
        assert utterance.interrupted_by == "failed"
        assert utterance.heard == "The answer is"
        assert not utterance.complete
        assert "model on fire" in caplog.text

    play(scene)


@pytest.mark.parametrize("text", ["", "  ", "...", "—"])
def test_nothing_to_say_is_said_at_once(text: str) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = await channel.say(text)
        assert utterance.complete
        assert now() == 0.0
        assert utterance.started is None
        assert anna.lines == []

    play(scene)


def test_a_reply_settles_its_turn_when_it_is_over() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello")
        turn = await anext(channel.turns())
        await channel.say("Hi there.", reply_to=turn)
        assert channel.floor.open
        assert [e for _, e in told if isinstance(e, ReplySettled)] == [ReplySettled(turn.id)]
        assert "agent_owes" not in [state for _, state, _ in states(told)[-2:]]

    play(scene)


def test_a_turn_can_be_settled_without_a_word() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello")
        turn = await anext(channel.turns())
        channel.settle(turn)
        channel.settle(turn)
        assert channel.floor.open

    play(scene)


# -- barge-in


LONG = "Here is a long answer that goes on for a good while and then some."


@pytest.mark.parametrize("words", ["mm-hm", "okay", "Yeah, I see."])
def test_a_backchannel_only_pauses_us(words: str) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.1)
        begun, _ = await anna.backchannel(words)
        await utterance
        assert utterance.complete
        (line,) = anna.lines
        (_, paused), (resumed, _) = line.spans
        assert paused == pytest.approx(begun + 0.08)
        assert resumed == pytest.approx(begun + 0.4)  # the first word says so
        again = now() - resumed
        assert again == pytest.approx(6.0 - 0.8, abs=TINY)  # from the start of the word that was cut at 1.18
        assert not times(told, TurnEnded)

    play(scene)


def test_what_begins_like_a_backchannel_and_goes_on_cuts_us() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.1)
        begun, _ = await anna.say("Yeah but what of trains")
        await utterance
        assert utterance.interrupted_by == "anna"
        (_, paused), (resumed, cut) = anna.lines[0].spans
        assert (paused, resumed, cut) == pytest.approx((begun + 0.08, begun + 0.4, begun + 0.8))

    play(scene)


def test_nothing_begins_in_a_backchannel() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await channel.say("Well then.")
        anna.start_saying("okay")
        await asyncio.sleep(0.2)
        utterance = channel.say(LONG)
        await utterance
        assert anna.lines[1].started >= max(times(told, TurnDropped))

    play(scene)


def test_a_pause_for_an_mm_hm_is_shorter_than_600_ms() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        channel.say(LONG)
        await until(1.1)
        await anna.backchannel()
        await asyncio.sleep(1)
        (_, paused), (resumed, _) = anna.lines[0].spans
        assert resumed - paused < 0.6

    play(scene)


def test_noise_only_pauses_us() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.1)
        await anna.noise(0.5)
        await utterance
        assert utterance.complete
        assert len(anna.lines[0].spans) == 2
        assert "open" not in [state for at, state, _ in states(told) if 0.1 < at < 1.6]

    play(scene)


def test_noise_without_end_pauses_us_for_six_seconds() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.1)
        noise = asyncio.create_task(anna.noise(60))
        await utterance
        assert utterance.complete
        assert now() == pytest.approx(1.18 + 6 + (6.0 - 0.8), abs=TINY)
        await noise

    play(scene)


def test_a_click_does_not_even_pause_us() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.1)
        await anna.click()
        await utterance
        assert len(anna.lines[0].spans) == 1
        assert now() == pytest.approx(6.0)

    play(scene)


@pytest.mark.parametrize(
    ("words", "cut_after"), [("stop", 0.4), ("Wait a second", 0.4), ("what about cost", 0.4), ("Postgres please", 0.8)]
)
def test_words_cut_us_as_soon_as_they_are_known(words: str, cut_after: float) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(LONG)
        await until(1.0)
        talk = anna.start_saying(words)
        await utterance
        assert now() == pytest.approx(1.0 + cut_after, abs=TINY)
        assert utterance.interrupted_by == "anna"
        assert not utterance.complete
        assert (utterance.heard, utterance.remainder) == ("Here is", LONG[7:])
        assert anna.lines[0].ended == pytest.approx(1.08)
        assert anna.lines[0].heard == "Here is"
        assert anna.lines[0].interrupted
        await talk
        assert (await anext(channel.turns())).text == words
        assert SpeakingEnded(utterance.id, question=False) in [e for _, e in told]

    play(scene)


def test_what_waits_behind_a_cut_is_ended_too_and_the_reply_comes_first() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        said = [channel.say(text) for text in (LONG, "Second.", "Third.")]
        await until(1.0)
        await anna.say("stop it")
        turn = await anext(channel.turns())
        reply = channel.say("All right.", reply_to=turn)
        assert [u.interrupted_by for u in said] == ["anna"] * 3
        assert [u.heard for u in said[1:]] == ["", ""]
        assert said[1].started is None
        await reply
        assert [line.heard for line in anna.lines] == ["Here is", "All right."]

    play(scene)


def test_yes_after_a_question_is_an_answer() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await channel.say("Shall I book it?")
        await asyncio.sleep(0.5)
        await anna.say("yes")
        assert (await anext(channel.turns())).text == "yes"

    play(scene)


def test_yes_into_a_question_is_an_answer() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say("I found one. Shall I book it for you now?")
        await until(2.5)
        await anna.say("yes")
        assert (await anext(channel.turns())).text == "yes"
        assert utterance.interrupted_by == "anna"

    play(scene)


@pytest.mark.parametrize(("after", "answer"), [(0.3, False), (1.5, False), (3.0, True)])
def test_okay_after_a_statement_is_an_answer_only_much_later(after: float, answer: bool) -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await channel.say("It is done.")
        await asyncio.sleep(after)
        await anna.say("okay")
        await asyncio.sleep(1)
        assert bool(times(told, TurnEnded)) == answer

    play(scene)


def test_okay_while_a_reply_is_made_is_no_turn_and_costs_no_reply() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("what is the time in Rome")
        turn = await anext(channel.turns())
        reply = channel.say(pieces(1.0, "It is ten."), reply_to=turn)
        await asyncio.sleep(0.2)
        await anna.backchannel("okay")
        await reply
        assert reply.complete
        assert len(times(told, TurnEnded)) == 1

    play(scene)


def test_a_reply_does_not_start_over_noise_but_after_it() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        noise = asyncio.create_task(anna.noise(1.0))
        await until(0.5)
        utterance = await channel.say("Hello there.")
        assert utterance.complete
        assert utterance.started == pytest.approx(1.6)
        await noise

    play(scene)


def test_an_utterance_does_not_start_over_a_caller() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("what about the cost of it")
        await until(0.2)
        early = channel.say("Hello there.")
        await early
        assert now() == pytest.approx(0.4)
        assert (early.interrupted_by, early.heard, early.started) == ("anna", "", None)
        late = await channel.say("Hello there.")
        assert now() == pytest.approx(0.4)
        assert (late.interrupted_by, late.heard) == ("anna", "")
        await talk
        assert anna.lines == []

    play(scene)


def test_an_utterance_meant_to_is_said_over_a_caller() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("what about the cost of all that then please")
        await until(1.0)
        urgent = await channel.say("Your house is on fire.", over=True)
        assert urgent.complete
        assert urgent.started == pytest.approx(1.0)
        assert len(anna.lines[0].spans) == 1
        await talk

    play(scene)


def test_what_is_said_over_a_caller_survives_the_end_of_their_turn() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("what about it")
        await until(1.0)
        urgent = channel.say("Your house is really very much on fire now.", over=True)
        turn = await anext(channel.turns())
        reply = channel.say("It depends.", reply_to=turn)
        await urgent
        assert urgent.complete
        await reply
        assert reply.complete
        assert [line.heard for line in anna.lines] == [urgent.text, reply.text]
        await talk

    play(scene)


def test_new_speech_stops_what_was_said_over_a_caller() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        talk = anna.start_saying("what about it")
        await until(1.0)
        urgent = channel.say("Your house is really very much on fire now, and so on.", over=True)
        await until(2.5)
        await anna.say("stop")
        assert (await urgent).interrupted_by == "anna"
        await talk

    play(scene)


def test_an_urgent_utterance_cuts_what_is_being_said() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        said = [channel.say(LONG), channel.say("Second.")]
        await until(1.0)
        urgent = channel.say("Fire!", over=True)
        assert said[0].interrupted_by == "over"
        assert said[0].heard == "Here is"
        await urgent
        await said[1]
        assert [line.heard for line in anna.lines] == ["Here is", "Fire!", "Second."]

    play(scene)


def test_an_urgent_utterance_goes_before_what_has_not_begun() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        slow = channel.say(pieces(2.0, "Here I am."))
        await until(1.0)
        await channel.say("Fire!", over=True)
        await slow
        assert [line.heard for line in anna.lines] == ["Fire!", "Here I am."]

    play(scene)


# -- stopping


def test_an_utterance_can_be_stopped() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        said = [channel.say(LONG), channel.say("Second."), channel.say("Third.")]
        await until(1.0)
        channel.stop(said[1])
        channel.stop(said[0], "priority")
        assert [u.interrupted_by for u in said[:2]] == ["priority", "stopped"]
        await said[2]
        assert [line.heard for line in anna.lines] == ["Here is", "Third."]
        channel.stop(said[2])
        assert said[2].interrupted_by is None

    play(scene)


def test_a_stopped_text_is_not_made_any_further() -> None:
    closed = []

    async def text() -> AsyncIterator[str]:
        try:
            while True:
                yield "word "
                await asyncio.sleep(0.1)
        finally:
            closed.append(now())

    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        utterance = channel.say(text())
        await until(2.0)
        channel.stop(utterance)
        await utterance
        await asyncio.sleep(0.05)
        assert closed == [pytest.approx(2.0)]

    play(scene)


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


# -- replies that do not come


def test_a_reply_that_does_not_come_is_apologised_for() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello you there")
        await anext(channel.turns())
        line = await anna.hears("sorry")
        assert line.started == pytest.approx(1.8 + 15)
        assert [e.turn for _, e in told if isinstance(e, ReplySettled)] == ["turn-1"]

    play(scene, apology="Sorry.")


def test_a_reply_whose_text_hangs_is_given_up() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello you there")
        turn = await anext(channel.turns())
        reply = channel.say(pieces(100.0, "too late"), reply_to=turn)
        await anna.hears("sorry")
        assert reply.interrupted_by == "failed"
        assert [e.turn for _, e in told if isinstance(e, ReplySettled)] == ["turn-1"]
        await asyncio.sleep(200)
        assert len(anna.lines) == 1

    play(scene, apology="Sorry.")


def test_a_reply_that_fails_is_apologised_for_once() -> None:
    async def scene(channel: SimulatedChannel, anna: SimulatedCaller, told: Told) -> None:
        await anna.say("hello you there")
        turn = await anext(channel.turns())
        channel.say(pieces("Well,", ValueError("no")), reply_to=turn)
        await anna.hears("sorry")
        await asyncio.sleep(30)
        assert [line.heard for line in anna.lines] == ["Well,", "Sorry."]
        assert channel.floor.open

    play(scene, apology="Sorry.")


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
        assert channel.capabilities.verbatim

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


# -- whatever happens

SAID = ["hello there", "mm-hm", "stop", "what about the cost of it", "okay", "yes please"]
LINES = ["On it.", LONG, "Shall I? Really?", ""]
STEP = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(SAID)),
    st.tuples(st.just("noise"), st.sampled_from([0.02, 0.3, 2.0, 9.0])),
    st.tuples(st.sampled_from(["hold", "drop", "back", "gone"]), st.none()),
    st.tuples(st.sampled_from(["line", "over", "stream"]), st.sampled_from(LINES)),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.3, 1.0, 4.0])),
)


class Improvisation:
    """Two callers and an agent who do anything at any time."""

    def __init__(self, channel: SimulatedChannel) -> None:
        self.channel = channel
        self.callers = [channel.join("anna"), channel.join("bert", jitter=0.1)]
        self.said: list[Utterance] = []
        self.urgent: set[str] = set()
        self.voices: list[tuple[float, float]] = []
        """From when to when somebody who was connected spoke words."""

    async def run(self, script: list[tuple[int, tuple[str, Any]]]) -> None:
        answering = asyncio.create_task(self.answer())
        async with asyncio.TaskGroup() as group:
            for who, (what, detail) in script:
                self.act(group, self.callers[who], what, detail)
                await asyncio.sleep(detail if what == "wait" else 0.01)
            for caller in self.callers:
                caller.reconnect()
        await asyncio.sleep(60)
        answering.cancel()

    async def answer(self) -> None:
        async for turn in self.channel.turns():
            self.said.append(self.channel.say(pieces(0.3, "All right. ", 1.0, "Let me see."), reply_to=turn))

    def act(self, group: asyncio.TaskGroup, caller: SimulatedCaller, what: str, detail: Any) -> None:
        match what:
            case "say" | "noise" if not caller.speaking:
                group.create_task(self.speak(caller, detail))
            case "hold":
                caller.hold()
            case "drop":
                caller.drop()
            case "back":
                caller.reconnect()
            case "gone":
                caller.hang_up()
            case "line":
                self.said.append(self.channel.say(detail))
            case "over":
                self.said.append(self.channel.say(detail, over=True))
                self.urgent.add(self.said[-1].id)
            case "stream":
                self.said.append(self.channel.say(pieces(detail, 0.7, " And more.")))
            case "stop" if self.said:
                self.channel.stop(self.said[-1])

    async def speak(self, caller: SimulatedCaller, what: str | float) -> None:
        if isinstance(what, float):
            await caller.noise(what)
        else:
            begun, ended = await caller.say(what)
            self.voices.append((begun, ended))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), STEP), max_size=25))
def test_whatever_happens(script: list[tuple[int, tuple[str, Any]]]) -> None:
    async def main() -> None:
        async with SimulatedChannel(apology="") as channel:
            told: Told = []
            channel.listen(lambda event, at: told.append((at, event)))
            play = Improvisation(channel)
            await play.run(script)
            assert [at for at, _ in told] == sorted(at for at, _ in told)
            for utterance in play.said:
                assert utterance.done
                assert utterance.heard + utterance.remainder == utterance.text
                assert utterance.complete == (utterance.interrupted_by is None)
                assert utterance.confirmed
            assert channel.floor.open
            ended = [e.utterance for _, e in told if isinstance(e, SpeakingEnded)]
            assert sorted(ended) == sorted(u.id for u in play.said)
            for caller in play.callers:
                spans = sorted((begin, end, line.utterance.id) for line in caller.lines for begin, end in line.spans)
                for (_, end, _), (begin, _, _) in itertools.pairwise(spans):
                    assert end <= begin + TINY, "two utterances at one ear at once"
            # nothing begins over a voice that has been known for a moment, unless it was meant to
            known = known_voices(told)
            begins = [(at, e.utterance) for at, e in told if isinstance(e, SpeakingStarted)]
            begun: set[str] = set()
            for at, id in begins:
                over = any(begin < at - 0.2 and at < end for begin, end in known)
                if over and id in begun:  # it goes on for a listener
                    assert not takes_floor([e.text for t, e in told if isinstance(e, WordsHeard) and t <= at][-1])
                elif id not in play.urgent:
                    assert not over
                begun.add(id)

    clock.run(main())


def known_voices(told: Told) -> list[tuple[float, float]]:
    """From when to when the floor was held by a caller who spoke."""
    spans, since = [], None
    for at, event in told:
        if isinstance(event, FloorChanged):
            speaking = event.view.blocker is Blocker.CALLER_SPEAKING
            if speaking and since is None:
                since = at
            elif not speaking and since is not None:
                spans.append((since, at))
                since = None
    return spans


def test_what_a_caller_does_after_the_channel_closed_reaches_nobody() -> None:
    heard: list[object] = []

    async def main() -> None:
        async with SimulatedChannel() as channel:
            channel.join("anna")
            channel.listen(lambda event, at: heard.append(event))
        told = len(heard)
        channel.tell(SpeechStarted("anna"))
        await asyncio.sleep(30)
        assert len(heard) == told

    clock.run(main())

"""Who takes the floor on the simulated channel, and who only nods, coughs or clicks."""

from __future__ import annotations

import asyncio

import pytest

from tests.voice.simulated_scenes import LONG, TINY, Told, now, pieces, play, states, times, until
from voice.events import (
    SpeakingEnded,
    TurnDropped,
    TurnEnded,
)
from voice.simulated import SimulatedCaller, SimulatedChannel


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

"""How the simulated channel speaks: exact times, streams, stops, and replies that do not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.voice.simulated_scenes import LONG, TINY, Told, now, pieces, play, states, times, until
from voice.events import (
    ReplySettled,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingScheduled,
    SpeakingStarted,
)
from voice.floor import Blocker, FloorState
from voice.simulated import SimulatedCaller, SimulatedChannel

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

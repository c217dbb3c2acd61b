"""A speech-to-speech model in a room, with real sound in the frames, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.voice.doubles import FakeLeg, Synthesizer, noise, quiet, spoken
from tests.voice.realtime.double import ALL, Model, Session
from tests.voice.realtime.room import HOST, Room, now, play
from voice.backoff import Backoff
from voice.channel import APOLOGY, Capabilities
from voice.events import Deafness, Dropped, SpeakingPaused, SpeechStarted, TurnDropped, TurnEnded
from voice.floor import Blocker, FloorState
from voice.leg import Hearing
from voice.realtime.native import NativeVoice
from voice.realtime.session import (
    CallerSaid,
    FunctionCalled,
    Injection,
    Instructions,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
)

LONG = "here is a long answer that goes on for a good while and then some"
"""14 words of 0.3 s."""
TALKER = {"tell me": LONG}


# -- a call


@pytest.mark.parametrize("words", ["before", "with", "after"])
@pytest.mark.parametrize("fast", [1.0, 5.0, 50.0])
def test_what_is_said_is_understood_and_answered(words: str, fast: float) -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare postgres and sqlite", 3)
        (turn,) = room.turns
        assert (turn.text, turn.caller) == ("compare postgres and sqlite", "anna")
        assert room.times(TurnEnded) == [pytest.approx(1.2 + 0.3, abs=0.03)]
        (reply,) = room.replies
        await reply
        assert (reply.complete, reply.heard.strip()) == (True, "you said compare postgres and sqlite")
        assert room.anna.text == "you said compare postgres and sqlite"
        assert reply.started == pytest.approx(1.5 + 0.2 + room.anna.jitter, abs=0.05)
        assert room.channel.floor.open

    play(scene, Model(words=words, fast=fast))


def test_the_channel_says_what_its_model_can() -> None:
    async def scene(room: Room) -> None:
        assert isinstance(room.channel, NativeVoice)
        assert room.channel.capabilities is ALL

    play(scene)


def test_the_session_begins_with_the_first_instructions() -> None:
    async def scene(room: Room) -> None:
        await room.anna.play(quiet(3))
        assert room.model.sessions == []
        room.channel.instruct(HOST)
        await room.anna.say("compare them", 2)
        room.channel.instruct(Instructions("You are a host."))
        assert room.model.session.told == [HOST]
        room.channel.instruct(Instructions("You are another."))
        assert room.model.session.told == [HOST, Instructions("You are another.")]
        assert room.anna.text == "you said compare them"

    play(scene, instructions=None)


def test_a_model_that_has_nothing_to_say_is_not_waited_for_nor_excused() -> None:
    async def nothing(session: Session, heard: str) -> None:
        return None

    async def scene(room: Room) -> None:
        await room.anna.say("well then", 0.4)
        assert room.channel.floor.state is FloorState.AGENT_OWES
        await room.anna.play(quiet(6))
        assert room.channel.floor.open
        (reply,) = room.replies
        assert (reply.done, reply.text) == (True, "")
        assert room.anna.text == ""

    play(scene, Model(nothing))


def test_sound_without_words_is_heard_too() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 4)
        (reply,) = room.replies
        assert (reply.complete, reply.text) == (True, "")
        assert room.anna.text == "you said compare them"

    play(scene, Model(words="never"))


# -- barge-in


@pytest.mark.parametrize("words", ["before", "with"])
@pytest.mark.parametrize("fast", [1.0, 5.0])
def test_who_cuts_in_is_heard_and_the_model_knows_what_they_heard(words: str, fast: float) -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 2.5)
        begun = now()
        await room.anna.say("wait stop please", 3)
        first, second = room.replies
        paused = min(at for at in room.times(SpeakingPaused) if at > begun)
        assert paused - begun <= 0.08 + 0.041  # the onset, and two frames
        assert (first.interrupted_by, first.complete) == ("anna", False)
        ear = [word for at, word in room.anna.heard() if at < begun + 0.2]
        assert 3 <= len(ear) < 14
        assert abs(len(first.heard.split()) - len(ear)) <= (2 if words == "before" and fast == 1 else 1)
        assert room.model.session.cuts == [first.heard.strip()]
        assert [t.text for t in room.turns] == ["tell me", "wait stop please"]
        assert second.complete
        assert room.anna.text.endswith("you said wait stop please")

    play(scene, Model(answers=TALKER, words=words, fast=fast))


def test_an_mm_hm_cuts_nothing_and_is_not_answered() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1.5)
        await room.anna.say("mm-hm", 6)
        (reply,) = room.replies
        assert (reply.complete, room.anna.text) == (True, LONG)
        assert [e.why for _, e in room.told if isinstance(e, TurnDropped)] == [Dropped.BACKCHANNEL]
        assert room.unasked == []
        assert room.model.session.heard == ["tell me", "mm-hm"]

    play(scene, Model(answers=TALKER))


def test_a_model_that_an_mm_hm_cut_short_goes_on_with_what_it_was_saying() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1.5)
        await room.anna.say("mm-hm", 6)
        (reply,), (rest,) = room.replies, room.unasked
        assert room.anna.text.startswith("here is a")
        assert room.anna.text.endswith("as i was saying")
        assert (reply.complete, reply.interrupted_by, rest.complete) == (False, "stopped", True)

    play(scene, Model(answers={**TALKER, "mm-hm": "as i was saying"}, fast=1.0))


def test_noise_without_words_pauses_and_settles() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1.5)
        await room.anna.play([*noise(0.4), *quiet(6)])
        (reply,) = room.replies
        assert (reply.complete, room.anna.text) == (True, LONG)
        (dropped,) = [at for at, e in room.told if isinstance(e, TurnDropped)]
        (heard,) = [at for at in room.times(SpeechStarted) if at > 2]
        assert dropped - heard <= 0.4 + 0.5
        assert room.model.session.cuts == []

    play(scene, Model(answers=TALKER))


def test_a_voice_that_the_model_makes_nothing_of_settles_too() -> None:
    async def scene(room: Room) -> None:
        room.model.session._end_turn = lambda: None  # type: ignore[method-assign]
        await room.anna.say("gibber", 8)
        assert len(room.times(TurnDropped)) + len(room.times(TurnEnded)) == 1
        assert room.times(TurnDropped) == [pytest.approx(0.3 + 4.0, abs=0.05)]
        assert room.channel.floor.open

    play(scene, Model(partials=False))


def test_words_that_come_when_nobody_waits_for_them_any_more_are_a_turn() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 9)
        assert [t.text for t in room.turns] == ["compare them"]
        assert room.anna.text == "you said compare them"
        assert len(room.times(TurnDropped)) == 1

    play(scene, Model(partials=False, silence=5.0))


# -- functions


async def look_up(session: Session, heard: str) -> None:
    await session.speak("one moment")
    result = await session.call("look_up", what=heard)
    await session.speak(f"it is {result}")


def test_a_function_is_run_within_the_reply() -> None:
    async def at_once(session: Session, heard: str) -> None:
        await session.speak(f"it is {await session.call('look_up')}")

    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 4)
        (reply,) = room.replies
        assert (reply.complete, room.anna.text, room.called) == (True, "it is done", ["look_up"])
        assert room.unasked == []

    play(scene, Model(at_once))


def test_a_function_that_is_called_after_some_words_goes_on_as_an_utterance_of_its_own() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 4)
        (reply,), (rest,) = room.replies, room.unasked
        assert (reply.heard.strip(), rest.heard.strip()) == ("one moment", "it is done")
        assert room.anna.text == "one moment it is done"

    play(scene, Model(look_up))


def test_a_function_that_is_called_in_the_middle_of_words_is_run_within_the_reply() -> None:
    async def script(session: Session, heard: str) -> None:
        saying = asyncio.ensure_future(session.speak("one moment please"))
        await asyncio.sleep(0.01)
        result = await session.call("look_up")
        await saying
        await session.speak(f"it is {result}")

    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 5)
        (reply,) = room.replies
        assert (reply.complete, room.unasked) == (True, [])
        assert room.anna.text == "one moment please it is done"

    play(scene, Model(script, fast=2.0))


def test_functions_that_are_called_together_are_run_together() -> None:
    async def script(session: Session, heard: str) -> None:
        a, b = await asyncio.gather(session.call("one"), session.call("two"))
        await session.speak(f"{a} and {b}")

    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 4)
        assert (room.called, room.anna.text) == (["one", "two"], "done and done")
        assert len(room.replies) + len(room.unasked) == 1

    play(scene, Model(script))


def test_who_cuts_in_stops_no_function_and_its_result_is_told_late() -> None:
    async def script(session: Session, heard: str) -> None:
        if heard == "look":
            result = await session.call("look_up")
            await session.speak(f"it is {result}")
        else:
            await session.speak(f"you said {heard}")

    async def scene(room: Room) -> None:
        async def slow(name: str) -> str:
            await asyncio.sleep(4)
            return "sunny"

        room.tool = slow
        await room.anna.say("look", 1)
        await room.anna.say("and hurry please", 8)
        assert room.model.session.results == {"call-1": "sunny"}
        assert room.anna.text == "you said and hurry please it is sunny"

    play(scene, Model(script))


# -- what is injected


def test_a_line_is_spoken_when_the_floor_lets_us() -> None:
    async def scene(room: Room) -> None:
        line = room.channel.say("the boats are here")
        await room.anna.play(quiet(3))
        assert (line.complete, line.heard) == (True, "the boats are here")
        assert room.anna.text == "the boats are here"
        assert room.model.session.injected == [("the boats are here", Injection.IDLE)]

    play(scene)


def test_a_line_waits_for_the_reply_and_comes_after_it() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1)
        line = room.channel.say("the boats are here")
        await room.anna.play(quiet(6))
        assert line.complete
        assert room.anna.text == f"{LONG} the boats are here"
        ((_, how),) = room.model.session.injected
        assert how is Injection.IDLE  # by then the model is silent

    play(scene, Model(answers=TALKER))


def test_what_is_said_over_everybody_is_said_now() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1)
        line = room.channel.say("fire", over=True)
        await room.anna.play(quiet(6))
        assert line.complete
        (reply,) = room.replies
        assert reply.interrupted_by == "over"
        assert room.model.session.injected == [("fire", Injection.NOW)]
        assert room.anna.text.split()[-1] == "fire"
        assert len(room.anna.text.split()) < 8

    play(scene, Model(answers=TALKER, fast=1.0))


def test_a_refused_line_is_offered_again_and_then_left_to_who_wanted_it() -> None:
    async def scene(room: Room) -> None:
        room.model.session.listening = True
        line = room.channel.say("the boats are here")
        await room.anna.play([])
        await asyncio.sleep(0.8)
        room.model.session.listening = False
        await asyncio.sleep(3)
        assert line.complete
        assert len(room.model.session.refused) == 2
        room.model.session.listening = True
        line = await room.channel.say("the trains are here")
        assert (line.interrupted_by, line.heard_chars, line.started) == ("refused", 0, None)
        assert room.channel.floor.open

    play(scene)


def test_a_line_that_a_caller_cuts_is_heard_as_far_as_it_was() -> None:
    async def scene(room: Room) -> None:
        line = room.channel.say("the boats are here and the trains too")
        await room.anna.play(quiet(0.4))
        await room.anna.say("stop it please", 4)
        assert line.interrupted_by == "anna"
        assert line.heard in ("the", "the boats")
        assert room.model.session.cuts == [line.heard]
        assert room.anna.text.endswith("you said stop it please")

    play(scene)


@pytest.mark.parametrize("has", ["now", "idle", "queue"])
def test_a_model_is_given_lines_in_the_way_that_it_takes_them(has: str) -> None:
    async def scene(room: Room) -> None:
        assert (await room.channel.say("one line")).complete
        assert (await room.channel.say("two lines", over=True)).complete
        assert {how.value for _, how in room.model.session.injected} == {has}

    play(scene, Model(capabilities=Capabilities(owns_turns=True, injection=frozenset({has}))))


def test_a_model_that_takes_no_lines_leaves_them_to_a_synthesizer() -> None:
    async def scene(room: Room) -> None:
        assert (await room.channel.say("one line")).complete
        assert room.anna.text == "one line"
        assert room.model.session.injected == []
        await room.anna.say("compare them", 3)
        assert room.anna.text == "one line you said compare them"

    play(scene, Model(capabilities=Capabilities(owns_turns=True)), tts=Synthesizer())


def test_a_model_that_takes_no_lines_and_nobody_else_cannot_say_them() -> None:
    async def scene(room: Room) -> None:
        line = await room.channel.say("one line")
        assert (line.interrupted_by, line.heard) == ("failed", "")

    play(scene, Model(capabilities=Capabilities(owns_turns=True)))


def test_a_streamed_text_that_is_no_reply_is_gathered_into_a_line() -> None:
    async def words() -> AsyncIterator[str]:
        for word in ["the", "boats", "are", "here"]:
            yield f"{word} "
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        yield "and the trains"

    async def scene(room: Room) -> None:
        line = await room.channel.say(words())
        assert (line.complete, line.heard) == (True, "the boats are here and the trains")
        assert [text for text, _ in room.model.session.injected] == ["the boats are here ", "and the trains"]
        assert room.anna.text == "the boats are here and the trains"

    play(scene)


def test_words_of_ours_around_the_model_s_own_are_lines_in_their_place() -> None:
    async def scene(room: Room) -> None:
        async def text() -> Any:
            yield "well "
            async for part in room.channel.reply():
                yield part
            yield "that is all"

        room._words = text  # type: ignore[method-assign]
        await room.anna.say("compare them", 5)
        (reply,) = room.replies
        assert reply.complete
        assert reply.text == "well you said compare them that is all"
        assert sorted(room.anna.text.split()) == sorted(reply.text.split())
        assert room.anna.text.endswith("that is all")

    play(scene)


def test_a_text_that_breaks_off_is_an_apology() -> None:
    async def scene(room: Room) -> None:
        async def text() -> Any:
            yield "well then"
            raise OSError("the agent broke")

        room._words = text  # type: ignore[method-assign]
        await room.anna.say("compare them", 9)
        (reply,) = room.replies
        assert reply.interrupted_by == "failed"
        assert room.anna.text == f"well then {APOLOGY}"

    play(scene)


def test_what_is_not_asked_for_by_the_reply_to_a_turn_is_not_heard() -> None:
    async def scene(room: Room) -> None:
        async def text() -> Any:
            yield "ask me tomorrow"

        room._words = text  # type: ignore[method-assign]
        await room.anna.say("compare them", 5)
        assert room.anna.text == "ask me tomorrow"
        assert room.unasked == []

    play(scene)


def test_a_turn_that_nobody_answers_is_not_answered_by_the_model_either() -> None:
    async def scene(room: Room) -> None:
        room._host.cancel()
        await asyncio.sleep(0)

        async def settle() -> None:
            async for turn in room.channel.turns():
                room.channel.settle(turn)

        host = asyncio.create_task(settle())
        await room.anna.say("compare them", 4)
        assert (room.anna.text, room.unasked) == ("", [])
        assert room.model.session.cuts == [""]
        assert room.channel.floor.open
        host.cancel()

    play(scene)


# -- unasked


def test_what_the_model_says_unasked_is_an_utterance_of_its_own() -> None:
    async def scene(room: Room) -> None:
        room.model.session.say("hello there")
        await room.anna.play(quiet(2))
        (greeting,) = room.unasked
        assert (greeting.complete, greeting.heard.strip(), room.anna.text) == (True, "hello there", "hello there")

    play(scene)


def test_a_second_reply_comes_after_the_first() -> None:
    async def script(session: Session, heard: str) -> None:
        await session.speak(f"you said {heard}")
        await asyncio.sleep(2)
        await session.speak("one more thing")

    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 6)
        assert room.anna.text == "you said compare them one more thing"
        assert [u.heard.strip() for u in (*room.replies, *room.unasked)] == ["you said compare them", "one more thing"]

    play(scene, Model(script))


def test_a_reply_that_comes_in_the_same_breath_as_the_end_of_the_turn_is_the_reply() -> None:
    async def scene(room: Room) -> None:
        def at_once() -> None:
            session = room.model.session
            session.emit(CallerSaid("compare them"))
            session.emit(ReplyStarted())
            session.emit(ReplyText("on it"))
            session.emit(ReplyAudio(b"".join(spoken("on it"))))
            session.emit(ReplyEnded())

        room.model.session._end_turn = at_once  # type: ignore[method-assign]
        await room.anna.say("compare them", 0.3)
        room.model.session._end_turn = lambda: None  # type: ignore[method-assign]
        await room.anna.play(quiet(2))
        assert room.anna.text == "on it"
        assert (len(room.replies), room.unasked) == (1, [])

    play(scene)


def test_nothing_unasked_is_said_over_a_caller() -> None:
    async def scene(room: Room) -> None:
        asyncio.get_running_loop().call_later(0.5, room.model.session.say, "hello there")
        await room.anna.say("what i want to say is rather long", 4)
        assert room.anna.text == "you said what i want to say is rather long"
        assert room.unasked == []

    play(scene, Model(yields=False))


def test_without_anybody_to_ask_the_channel_speaks_for_itself_and_runs_nothing() -> None:
    async def script(session: Session, heard: str) -> None:
        await session.speak(f"it is {await session.call('look_up')}")

    async def scene(room: Room) -> None:
        room.channel.unasked = room.channel._say_unasked
        room.model.session.say("hello there")
        await room.anna.play(quiet(2))
        assert room.anna.text == "hello there"
        room.model.session._start(script(room.model.session, ""))
        await room.anna.play(quiet(4))
        assert room.model.session.results["call-1"].startswith("error")
        assert room.anna.text.startswith("hello there it is error")

    play(scene)


def test_what_the_model_says_can_be_read_only_by_an_utterance() -> None:
    async def scene(room: Room) -> None:
        with pytest.raises(RuntimeError, match="text of an utterance"):
            await anext(room.channel.reply())

    play(scene)


# -- the session


def test_a_session_that_is_lost_in_mid_reply_is_opened_again_and_the_caller_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1.5)
        room.model.session.lose()
        await room.anna.play(quiet(8))
        (reply,) = room.replies
        assert reply.interrupted_by == "failed"
        assert 0 < len(reply.heard.split()) < 14
        assert room.anna.text.endswith(APOLOGY)
        assert len(room.model.sessions) == 2
        assert room.model.session.told == [HOST]
        await room.anna.say("compare them", 4)
        assert room.anna.text.endswith("you said compare them")
        assert "opened again" in caplog.text

    play(scene, Model(answers=TALKER, fast=1.0))


def test_what_is_being_said_when_the_session_is_lost_is_said_to_the_next_one() -> None:
    async def scene(room: Room) -> None:
        asyncio.get_running_loop().call_later(0.5, room.model.session.lose)
        room.model.broken = 1
        await room.anna.say("compare postgres and sqlite please", 5)
        assert [t.text for t in room.turns] == ["compare postgres and sqlite please"]
        assert room.anna.text == "you said compare postgres and sqlite please"

    play(scene)


def test_what_is_said_while_there_is_no_session_is_heard_by_the_next_one() -> None:
    async def scene(room: Room) -> None:
        room.model.broken = 2
        room.model.session.lose()
        await room.anna.say("compare them", 6)
        assert [t.text for t in room.turns] == ["compare them"]
        assert room.anna.text == "you said compare them"

    play(scene)


def test_a_turn_that_is_lost_with_its_session_is_apologised_for() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare them", 0.4)
        assert len(room.turns) == 1
        room.model.session.lose()
        await room.anna.play(quiet(8))
        assert room.anna.text == APOLOGY

    play(scene, Model(think=3.0))


def test_lines_wait_for_a_session_and_are_owed_without_one() -> None:
    async def scene(room: Room) -> None:
        room.model.broken = 2
        room.model.session.lose()
        line = await room.channel.say("the boats are here")
        assert line.complete
        room.model.broken = 1000
        room.model.session.lose()
        line = await room.channel.say("the trains are here")
        assert (line.interrupted_by, line.heard) == ("failed", "")
        assert line.voiceless  # type: ignore[attr-defined]

    play(scene)


def test_without_a_session_a_synthesizer_speaks() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1.0)
        room.model.broken = 1000
        room.model.session.lose()
        await room.anna.play(quiet(8))
        assert room.anna.text.endswith(APOLOGY)

    play(scene, Model(answers=TALKER), tts=Synthesizer())


def test_a_key_that_is_refused_is_said_once_and_tried_again_rarely(caplog: pytest.LogCaptureFixture) -> None:
    model = Model()
    model.key_refused = True

    async def scene(room: Room) -> None:
        await room.anna.play(quiet(25))
        assert len(room.model.opened_at) == 3
        assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1
        room.model.key_refused = False
        await room.anna.play(quiet(10))
        await room.anna.say("compare them", 4)
        assert room.anna.text == "you said compare them"

    play(scene, model)


def test_a_model_that_asks_to_be_left_alone_is() -> None:
    model = Model()
    model.busy_for = 60.0

    async def scene(room: Room) -> None:
        await room.anna.play(quiet(59))
        assert len(room.model.opened_at) == 1
        room.model.busy_for = None
        await room.anna.play(quiet(2))
        assert len(room.model.sessions) == 1

    play(scene, model)


def test_a_session_that_never_closes_is_followed_by_another() -> None:
    async def scene(room: Room) -> None:
        room.model.hangs = True
        room.model.session.lose()
        await room.anna.play(quiet(6))
        room.model.hangs = False
        assert len(room.model.sessions) == 2

    play(scene)


def test_a_session_that_keeps_breaking_is_not_opened_without_end() -> None:
    async def scene(room: Room) -> None:
        for _ in range(200):
            await asyncio.sleep(0.1)
            if room.model.sessions and not room.model.session.closed:
                room.model.session.lose()
        assert len(room.model.opened_at) < 12

    play(scene, backoff=Backoff(tries=3))


def test_an_adapter_that_raises_what_it_should_not_costs_a_session(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        room.model.session.emit(TypeError("broken adapter"))
        await room.anna.play(quiet(2))
        assert len(room.model.sessions) == 2
        assert "broken adapter" in caplog.text
        room.model.session.emit(None)
        await room.anna.play(quiet(2))
        assert len(room.model.sessions) == 3

    play(scene)


def test_events_that_make_no_sense_are_ignored() -> None:
    async def scene(room: Room) -> None:
        room.model.session.emit(ReplyEnded())
        room.model.session.emit("nonsense")  # type: ignore[arg-type]
        await room.anna.say("compare them", 4)
        assert room.anna.text == "you said compare them"

    play(scene)


def test_closing_the_channel_in_mid_call_leaves_nothing_behind() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1)
        room.model.session.emit(FunctionCalled("late", "look_up"))

    model = play(scene, Model(answers=TALKER))
    assert model.session.closed


# -- callers


def test_who_hangs_up_and_comes_back_talks_on_in_the_same_session() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("tell me", 1)
        room.anna.end(hung_up=True)
        await asyncio.sleep(3)
        (reply,) = room.replies
        assert reply.interrupted_by == "hang_up"
        assert room.channel.floor.blocker is Blocker.NOBODY
        again = room.join(FakeLeg("anna"))
        await again.play(quiet(0.5))
        await again.say("compare them", 3)
        assert again.text == "you said compare them"
        assert len(room.model.sessions) == 1

    play(scene, Model(answers=TALKER))


def test_music_on_hold_is_not_heard_by_the_model() -> None:
    async def scene(room: Room) -> None:
        await room.anna.play(quiet(0.5))
        room.anna.put(Hearing(Deafness.HELD))
        await room.anna.say("la la la", 2)
        room.anna.put(Hearing(None))
        await room.anna.play(quiet(2))
        assert room.model.session.heard == []
        assert room.turns == []

    play(scene)


def test_a_muted_microphone_ends_the_turn() -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare them")
        await asyncio.sleep(4)
        assert [t.text for t in room.turns] == ["compare them"]
        assert room.anna.text == "you said compare them"
        frames = room.model.session.frames
        await asyncio.sleep(20)
        assert room.model.session.frames - frames <= 5 / 0.02

    play(scene)


def test_two_callers_are_heard_one_after_the_other() -> None:
    async def scene(room: Room) -> None:
        bert = room.join(FakeLeg("bert"))
        await asyncio.sleep(0)

        async def both() -> None:
            await asyncio.sleep(0.4)
            await bert.say("what about trains", 5)

        await asyncio.gather(room.anna.say("compare postgres and sqlite", 6), both())
        assert [(t.caller, t.text) for t in room.turns] == [
            ("anna", "compare postgres and sqlite"),
            ("bert", "what about trains"),
        ]
        assert room.anna.text == bert.text
        assert "you said what about trains" in bert.text

    play(scene)


def test_the_second_of_two_callers_may_speak_alone() -> None:
    async def scene(room: Room) -> None:
        bert = room.join(FakeLeg("bert"))
        await asyncio.gather(room.anna.play(quiet(2)), bert.play(quiet(2)))
        await asyncio.gather(room.anna.play(quiet(4)), bert.say("what about trains", 3))
        assert [(t.caller, t.text) for t in room.turns] == [("bert", "what about trains")]
        assert bert.text == "you said what about trains"

    play(scene)

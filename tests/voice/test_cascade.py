"""The cascade with real sound in the frames, in virtual time: what callers say is understood, what we say is heard."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from tests.voice.doubles import (
    FakeLeg,
    Recognizer,
    Synthesizer,
    Vad,
    log_of,
    noise,
    quiet,
    spoken,
    times_of,
    word_of,
)
from voice import clock
from voice.cascade import CascadeChannel
from voice.channel import UNHEARD
from voice.ear_signals import EarTimes
from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Joined,
    Left,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingStarted,
    SpeechStarted,
    TurnDropped,
    TurnEnded,
)
from voice.exchange import REGRET
from voice.floor import Blocker, FloorChanged, FloorState
from voice.leg import FRAME_SECONDS, Frame, Hearing, Pressed
from voice.stt.recognizer import Hints

TINY = 1e-6
LONG = "here is a long answer that goes on for a good while and then some."
"""15 words of 0.3 s."""
Told = list[tuple[float, Any]]
Scene = Callable[["Room"], Coroutine[Any, Any, None]]


class Room:
    """A channel, a caller called Anna, and all that the channel told."""

    def __init__(self, channel: CascadeChannel, group: asyncio.TaskGroup) -> None:
        self.channel = channel
        self.told: Told = log_of(channel)
        self._group = group
        self.visits: dict[str, asyncio.Task[None]] = {}

    def join(self, leg: FakeLeg) -> FakeLeg:
        self.visits[leg.caller.id] = self._group.create_task(self.channel.serve(leg))
        return leg

    def times(self, kind: type) -> list[float]:
        return times_of(self.told, kind)


def play(scene: Scene, *, leg: dict[str, Any] | None = None, stt: Recognizer | None = None, **options: Any) -> None:
    """Play a scene; Anna's leg is made with `leg`."""

    async def main() -> None:
        channel = CascadeChannel(
            stt=stt or Recognizer(),
            tts=options.pop("tts", None) or Synthesizer(),
            vad=options.pop("vad", None) or Vad(),
            **options,
        )
        async with channel, asyncio.TaskGroup() as group, asyncio.timeout(600):
            room = Room(channel, group)
            room.anna = room.join(FakeLeg("anna", **(leg or {})))  # type: ignore[attr-defined]
            await asyncio.sleep(0)
            await scene(room)
            for visit in room.visits.values():
                visit.cancel()

    clock.run(main())


def anna_of(room: Room) -> FakeLeg:
    leg: FakeLeg = room.anna  # type: ignore[attr-defined]
    return leg


def now() -> float:
    return asyncio.get_running_loop().time()


# -- a call


def test_what_is_said_is_understood_and_answered() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare postgres and sqlite", 0.7)
        turn = await anext(room.channel.turns())
        assert turn.text == "compare postgres and sqlite"
        assert (turn.caller, turn.started, turn.ended) == ("anna", 0.0, pytest.approx(1.2, abs=0.02))
        (ended,) = room.times(TurnEnded)
        assert ended == pytest.approx(1.2 + 0.6, abs=TINY)
        said = now()
        reply = room.channel.say("on it. anything else", reply_to=turn)
        await anna.play(quiet(2))
        await reply
        assert (reply.complete, reply.heard) == (True, "on it. anything else")
        assert anna.text == "on it. anything else"
        first = min(stream.begun for stream in anna.streams.values())
        assert first - said <= anna.jitter + 0.002
        assert reply.started == pytest.approx(first, abs=TINY)
        assert room.channel.floor.open

    play(scene)


@pytest.mark.parametrize(("jitter", "network"), [(0.0, 0.0), (0.04, 0.0), (0.04, 0.05), (0.2, 0.1)])
def test_sound_is_never_far_ahead_of_the_ear(jitter: float, network: float) -> None:
    async def scene(room: Room) -> None:
        await room.channel.say(LONG)
        anna = anna_of(room)
        assert anna.text == LONG
        assert anna.most_ahead <= jitter + 0.06 + TINY

    play(scene, leg={"jitter": jitter, "network": network})


def test_words_count_as_heard_when_they_were_played() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = await room.channel.say("one two three")
        ends = [at for at, _ in anna.heard()]
        told = room.times(SpeakingHeard)
        assert len(told) == 3
        assert all(0 <= t - e <= 0.03 + 0.06 + TINY for t, e in zip(told, ends, strict=True))
        assert utterance.ended == pytest.approx(ends[-1] + 0.03, abs=TINY)

    play(scene, leg={"network": 0.03})


def test_a_leg_without_receipts_is_reckoned() -> None:
    async def scene(room: Room) -> None:
        utterance = await room.channel.say("one two three")
        assert utterance.complete
        assert utterance.ended == pytest.approx(0.04 + 0.9, abs=TINY)
        assert room.times(SpeakingHeard) == pytest.approx([0.34, 0.64, 0.94])

    play(scene, leg={"receipts": False})


def test_a_voice_without_marks_has_its_words_reckoned() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say("aaa bbb ccc ddd eee fff")
        await anna.play(quiet(1.0))
        await anna.say("stop it", 0.5)
        await utterance
        assert utterance.heard == "aaa bbb ccc"

    play(scene, tts=Synthesizer(marks=False))


# -- barge-in


def test_a_barge_in_is_silent_at_the_ear_within_two_frames() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        begun = now()
        await anna.say("what about the cost", 0.8)
        (decided,) = room.times(SpeechStarted)
        assert decided == pytest.approx(begun + 0.08, abs=TINY)
        assert anna.last_sound() - decided <= 2 * FRAME_SECONDS
        assert anna.cleared == [decided]
        await utterance
        assert utterance.interrupted_by == "anna"
        assert utterance.heard == anna.text
        assert utterance.text == utterance.heard + utterance.remainder
        assert utterance.heard == "here is a"
        turn = await anext(room.channel.turns())
        assert turn.text == "what about the cost"

    play(scene)


@pytest.mark.parametrize("network", [0.0, 0.05])
def test_an_mm_hm_pauses_us_and_we_go_on_from_the_same_word(network: float) -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        await anna.say("mm-hm", 0.2)
        await anna.play(quiet(5))
        await utterance
        assert utterance.complete
        assert anna.text == LONG
        assert room.times(TurnEnded) == []
        assert len(room.times(SpeakingPaused)) == 1
        paused, resumed = room.times(SpeakingPaused)[0], room.times(SpeakingStarted)[1]
        assert resumed - paused < 0.6
        # the words whose sound was broken off are sent again, from their beginning
        second = list(anna.streams.values())[1]
        assert word_of(second.frames[0][1])[0] == anna.heard()[3][1]

    play(scene, leg={"network": network})


def test_a_click_changes_nothing() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        await anna.play(noise(0.02))
        await anna.play(quiet(4.0))
        await utterance
        assert utterance.complete
        assert anna.cleared == []
        assert len(anna.streams) == 1
        assert not room.times(SpeechStarted)

    play(scene)


def test_noise_is_paused_for_and_played_over_when_it_lasts() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        await anna.play(noise(12))
        await utterance
        assert utterance.complete
        assert anna.text == LONG
        assert not room.times(TurnEnded)
        (resumed,) = room.times(SpeakingStarted)[1:]
        assert resumed < 1.0 + 4.5, "steady noise is known after three seconds"

    play(scene)


def test_utterances_never_overlap() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        said = [room.channel.say(f"number {n} of all.") for n in range(5)]
        for utterance in said:
            await utterance
        assert anna.text == " ".join(u.text for u in said)
        spans = sorted((s.frames[0][0], s.frames[-1][0] + FRAME_SECONDS) for s in anna.streams.values())
        assert all(a[1] <= b[0] + TINY for a, b in itertools.pairwise(spans))

    play(scene)


def test_what_is_said_over_a_caller_is_heard() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        talk = asyncio.create_task(anna.say("what about the cost of all that then please"))
        await asyncio.sleep(1.0)
        urgent = await room.channel.say("your house is on fire", over=True)
        assert urgent.complete
        assert anna.text == "your house is on fire"
        await talk

    play(scene)


def test_nothing_starts_over_a_caller() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        talk = asyncio.create_task(anna.say("what about the cost"))
        await asyncio.sleep(0.7)
        utterance = await room.channel.say("hello there")
        assert (utterance.interrupted_by, utterance.heard, utterance.started) == ("anna", "", None)
        await talk
        assert anna.streams == {}

    play(scene)


def test_guesses_of_a_grammar_do_not_cut_us_but_whole_sentences_do() -> None:
    stt = Recognizer()
    stt.complete.add("what time is it")

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        first = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        await anna.say("what time is")
        assert not first.done
        await anna.say("it", 0.04)
        assert first.interrupted_by == "anna"
        await anna.play(quiet(1.0))

    play(scene, stt=stt, hints=Hints(grammar="#JSGF V1.0; grammar g; public <s> = what time is it;"))


def test_a_hum_that_a_grammar_guesses_at_only_pauses_us() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        await anna.say("what", 1.0)
        await anna.play(quiet(6.0))
        await utterance
        assert utterance.complete
        assert anna.text == LONG

    play(scene, stt=Recognizer(rejected=True, confidence=0.1), hints=Hints(grammar="#JSGF V1.0; ..."))


# -- text and synthesis


async def pieces(*script: str | float | Exception) -> AsyncIterator[str]:
    for piece in script:
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, Exception):
            raise piece
        else:
            await asyncio.sleep(piece)


def test_the_first_sentence_is_spoken_while_the_rest_is_made() -> None:
    tts = Synthesizer(delay=0.05)

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(pieces("on it.", " i will", 0.3, " look into it.", " bye."))
        await utterance
        assert tts.texts == ["on it.", "i will look into it.", "bye."]
        assert anna.text == "on it. i will look into it. bye."
        assert utterance.started == pytest.approx(0.05 + 0.04, abs=TINY)
        assert len(anna.streams) == 1

    play(scene, tts=tts)


def test_a_text_that_pauses_for_a_tool() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = await room.channel.say(pieces("let me see.", 3.0, " it is ten."))
        assert utterance.complete
        assert anna.text == "let me see. it is ten."
        assert len(room.times(SpeakingPaused)) == 1
        assert len(anna.streams) == 2
        assert room.times(SpeakingStarted)[1] == pytest.approx(3.0 + 0.4 + 0.04, abs=0.4 + TINY)

    play(scene)


@pytest.mark.parametrize(
    ("tts", "why"), [(Synthesizer(fail="boom"), "the voice broke"), (Synthesizer(stall="boom"), "no audio for 5 s")]
)
def test_a_voice_that_fails_ends_the_utterance_after_its_words(
    tts: Synthesizer, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(room: Room) -> None:
        utterance = await room.channel.say("this is fine. boom boom. this is lost.")
        assert utterance.interrupted_by == "failed"
        assert utterance.heard == "this is fine."
        assert why in caplog.text
        assert (await room.channel.say("still here")).complete

    play(scene, tts=tts)


def test_a_reply_that_fails_is_apologised_for() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("hello you there", 0.7)
        turn = await anext(room.channel.turns())
        await room.channel.say(pieces(ValueError("the model is gone")), reply_to=turn)
        await anna.play(quiet(2.0))
        assert anna.text == "sorry about that"
        assert room.channel.floor.open

    play(scene, apology="sorry about that")


# -- listening, when parts break


def test_a_final_that_never_comes(caplog: pytest.LogCaptureFixture) -> None:
    stt = Recognizer(mute=True)

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare them", 3.0)
        turn = await anext(room.channel.turns())
        assert (turn.text, turn.confidence) == ("compare them", 0.3)
        assert room.times(TurnEnded) == [pytest.approx(0.6 + 0.6 + 2.0, abs=TINY)]
        stt.mute = False
        await anna.say("and these", 0.7)
        again = await anext(room.channel.turns())
        assert (again.text, again.confidence) == ("and these", 1.0)
        assert len(stt.streams) == 2
        assert "no final transcript" in caplog.text

    play(scene, stt=stt)


def test_a_recogniser_that_breaks_is_opened_again_and_loses_no_sound(caplog: pytest.LogCaptureFixture) -> None:
    stt = Recognizer(broken=1)

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare postgres", 0.7)
        assert (await anext(room.channel.turns())).text == "compare postgres"
        assert len(stt.streams) == 2
        assert stt.streams[0].closed
        assert "the recogniser broke" in caplog.text

    play(scene, stt=stt)


def test_a_recogniser_that_breaks_in_mid_speech() -> None:
    stt = Recognizer()

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        talk = asyncio.create_task(anna.say("compare postgres and sqlite", 0.7))
        await asyncio.sleep(0.65)
        stt.streams[0].fail()
        await talk
        turn = await anext(room.channel.turns())
        assert turn.text.split()[:2] == ["compare", "postgres"]
        assert turn.text.split()[-1] == "sqlite"
        assert turn.confidence < 0.5

    play(scene, stt=stt)


def test_a_recogniser_that_stays_broken_takes_nothing_else_down(caplog: pytest.LogCaptureFixture) -> None:
    stt = Recognizer(broken=6)

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.play(quiet(10))
        assert len(stt.streams) == 5
        assert "is not understood: " in caplog.text
        stt.broken = 0
        bert = room.join(FakeLeg("bert"))
        await asyncio.sleep(0.1)
        await bert.say("hello you there", 0.7)
        assert (await anext(room.channel.turns())).caller == "bert"
        assert (await room.channel.say("hello both")).complete
        assert (anna.text, bert.text) == ("hello both", "hello both")
        await anna.say("can you hear me", 4.0)
        assert (await anext(room.channel.turns())).text == "can you hear me"


def test_who_cannot_be_understood_is_told_so_now_and_then_and_not_over_their_voice() -> None:
    stt = Recognizer(broken=10_000)

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        for _ in range(12):
            await anna.say("can you hear me", 3.8)
        said = [at for at, word in anna.heard() if word == "Sorry,"]
        assert len(said) == 3
        assert all(b - a >= REGRET - 0.5 for a, b in pairwise(said))
        assert anna.text == " ".join([UNHEARD] * 3)
        starts = room.times(SpeechStarted)
        for begun in starts:
            assert not anna.sounding(begun + 2 * FRAME_SECONDS)
        await anna.play(quiet(30))
        assert len(room.times(SpeechStarted)) == len(starts) == 12
        stt.broken = 0
        await anna.say("and now", 0.7)
        await anna.play(quiet(35))
        await anna.say("and now", 0.7)
        assert (await anext(room.channel.turns())).text == "and now"

    play(scene, stt=stt)


def test_a_noise_or_a_murmur_is_no_reason_to_say_sorry() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        for _ in range(5):
            await anna.say("hm", 5)
        assert len(room.times(TurnDropped)) == 5
        assert anna.text == ""

    play(scene, stt=Recognizer(broken=10_000))


def test_a_detector_that_breaks_is_opened_again() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare postgres", 0.7)
        assert (await anext(room.channel.turns())).text == "compare postgres"

    play(scene, vad=Vad(failures=2))


def test_a_detector_that_stays_broken_is_replaced_by_loudness(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.play(quiet(1))
        await anna.say("compare postgres", 0.7)
        assert (await anext(room.channel.turns())).text == "compare postgres"
        assert "loudness alone decides" in caplog.text

    play(scene, vad=Vad(failures=10**6))


def test_rejected_words_are_a_turn_that_was_not_understood() -> None:
    async def scene(room: Room) -> None:
        await anna_of(room).say("gibber gabber", 0.7)
        assert (await anext(room.channel.turns())).confidence < 0.5

    play(scene, stt=Recognizer(rejected=True, confidence=0.8))


def test_the_recogniser_hears_what_came_before_the_voice_was_noticed() -> None:
    stt = Recognizer()

    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.play(quiet(1.0))
        await anna.say("hello there", 0.7)
        await anext(room.channel.turns())
        lead = stt.streams[0].frames.index(spoken("hello")[0])
        assert lead * FRAME_SECONDS == pytest.approx(0.3, abs=0.03)
        # every frame once, in order
        words = [word_of(f)[0] for f in stt.streams[0].frames]
        assert words[lead : lead + 30] == ["hello"] * 15 + ["there"] * 15

    play(scene, stt=stt)


def test_a_muted_microphone_ends_the_speech() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare them")
        await asyncio.sleep(3)
        (ended,) = room.times(TurnEnded)
        assert ended == pytest.approx(0.58 + 0.3 + 0.6, abs=0.021)

    play(scene)


def test_a_complete_sentence_ends_the_turn_sooner() -> None:
    stt = Recognizer()
    stt.complete.add("compare them")

    async def scene(room: Room) -> None:
        await anna_of(room).say("compare them", 0.7)
        assert room.times(TurnEnded) == [pytest.approx(0.6 + 0.25, abs=TINY)]

    play(scene, stt=stt)


def test_what_is_expected_can_be_changed() -> None:
    stt = Recognizer()

    async def scene(room: Room) -> None:
        await asyncio.sleep(0.01)
        assert stt.streams[0].hints.phrases == ("tea",)
        room.channel.expect(Hints(phrases=("coffee",)))
        bert = room.join(FakeLeg("bert"))
        await asyncio.sleep(0.01)
        assert [s.hints.phrases for s in stt.streams] == [("coffee",), ("coffee",)]
        assert bert.caller.id in room.channel.callers

    play(scene, stt=stt, hints=Hints(phrases=("tea",)))


def test_frames_of_another_length_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        for pcm in (b"", b"x", bytes(641), bytes(10_000)):
            anna.put(Frame(pcm))
        await anna.say("compare them", 0.7)
        assert (await anext(room.channel.turns())).text == "compare them"
        assert len([r for r in caplog.records if "ignored" in r.message]) == 1

    play(scene)


def test_times_of_the_ear_can_be_chosen() -> None:
    async def scene(room: Room) -> None:
        await anna_of(room).say("compare them", 0.7)
        assert room.times(SpeechStarted) == [pytest.approx(0.2)]

    play(scene, ear_times=EarTimes(onset=0.2))


# -- presence


def test_on_hold_nobody_hears_and_nothing_is_taken_for_speech() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        anna.put(Hearing(Deafness.HELD))
        await anna.say("music on hold", 1.0)
        await utterance
        assert utterance.interrupted_by == "hang_up"
        assert (room.channel.floor.state, room.channel.floor.blocker) == (FloorState.EMPTY, Blocker.ON_HOLD)
        assert not room.times(SpeechStarted)
        heard = anna.text
        assert (await room.channel.say("for nobody")).interrupted_by == "hang_up"
        anna.put(Hearing(None))
        anna.put(Hearing(None))
        await anna.play(quiet(0.1))
        assert room.channel.floor.open
        assert (await room.channel.say("welcome back")).complete
        assert anna.text == heard + " welcome back"
        assert len(room.times(Joined)) == 2

    play(scene)


def test_a_broken_connection_is_waited_for_and_taken_up() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        anna.end(hung_up=False)
        await utterance
        assert (utterance.interrupted_by, utterance.heard) == ("hang_up", "here is a")
        assert room.channel.floor.blocker is Blocker.RECONNECTING
        await room.visits["anna"]
        await asyncio.sleep(5)
        again = room.join(FakeLeg("anna"))
        await asyncio.sleep(0.01)
        assert room.channel.floor.open
        await again.say("where were we", 0.7)
        assert (await anext(room.channel.turns())).text == "where were we"
        assert [type(e) for _, e in room.told if isinstance(e, Joined | Deafened | Left)] == [Joined, Deafened, Joined]

    play(scene)


def test_who_does_not_come_back_has_left() -> None:
    async def scene(room: Room) -> None:
        anna_of(room).end(hung_up=False)
        await asyncio.sleep(10.5)
        assert room.times(Left) == [pytest.approx(10.0)]
        assert room.channel.callers == {}

    play(scene)


def test_who_hangs_up_has_left_at_once() -> None:
    async def scene(room: Room) -> None:
        await anna_of(room).play(quiet(1))
        anna_of(room).end(hung_up=True)
        await room.visits["anna"]
        assert room.times(Left) == [pytest.approx(1.0)]
        assert room.channel.floor.blocker is Blocker.NOBODY

    play(scene)


def test_words_of_who_hangs_up_are_nobody_s_turn() -> None:
    async def scene(room: Room) -> None:
        await anna_of(room).say("compare them")
        anna_of(room).end(hung_up=True)
        await asyncio.sleep(5)
        assert not room.times(TurnEnded)
        assert room.channel.floor.state is FloorState.EMPTY

    play(scene)


def test_a_leg_that_fails_is_a_broken_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        anna_of(room).put(OSError("socket on fire"))
        await asyncio.sleep(0.1)
        assert room.visits["anna"].done()
        assert room.channel.floor.blocker is Blocker.RECONNECTING
        assert "socket on fire" in caplog.text

    play(scene)


def test_a_second_leg_of_a_caller_replaces_the_first() -> None:
    async def scene(room: Room) -> None:
        anna, first = anna_of(room), room.visits["anna"]
        utterance = room.channel.say(LONG)
        await anna.play(quiet(1.0))
        second = room.join(FakeLeg("anna"))
        await asyncio.sleep(0.01)
        assert first.done()
        assert first.exception() is None
        await utterance
        assert utterance.interrupted_by == "hang_up"
        assert (await room.channel.say("hello again")).complete
        assert second.text == "hello again"
        assert room.times(Left) == []
        await anna.say("ghost", 1.0)
        assert not room.times(SpeechStarted)

    play(scene)


def test_who_is_served_no_more_has_left() -> None:
    async def scene(room: Room) -> None:
        room.visits["anna"].cancel()
        await asyncio.sleep(0.01)
        assert len(room.times(Left)) == 1

    play(scene)


def test_closing_the_channel_ends_the_visits() -> None:
    async def main() -> None:
        channel = CascadeChannel(stt=Recognizer(), tts=Synthesizer(), vad=Vad())
        with pytest.raises(RuntimeError, match="async with"):
            await channel.serve(FakeLeg("anna"))
        async with channel:
            visit = asyncio.create_task(channel.serve(FakeLeg("anna")))
            await asyncio.sleep(0.5)
            utterance = channel.say(LONG)
            await asyncio.sleep(0.5)
        await visit
        assert utterance.interrupted_by == "hang_up"
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())


# -- several callers


def test_callers_hear_each_other_and_the_agent() -> None:
    async def scene(room: Room) -> None:
        anna, bert = anna_of(room), room.join(FakeLeg("bert", jitter=0.1))
        await asyncio.sleep(0)
        frames = spoken("hello bert")
        await anna.play(frames)
        await anna.play(quiet(0.7))
        await anext(room.channel.turns())
        assert [pcm for _, pcm in bert.peers][: len(frames)] == frames
        assert {caller for caller, _ in bert.peers} == {"anna"}
        assert anna.peers == []
        utterance = await room.channel.say("hello you two")
        assert utterance.complete
        assert anna.text == bert.text == "hello you two"
        assert utterance.ended == pytest.approx(max(anna.last_sound(), bert.last_sound()), abs=TINY)

    play(scene)


def test_a_held_caller_is_not_heard_by_the_others() -> None:
    async def scene(room: Room) -> None:
        anna, bert = anna_of(room), room.join(FakeLeg("bert"))
        anna.put(Hearing(Deafness.HELD))
        await anna.say("music")
        await bert.say("hello")
        assert bert.peers == []
        assert anna.peers == []

    play(scene)


def test_any_caller_can_interrupt_and_all_ears_fall_silent() -> None:
    async def scene(room: Room) -> None:
        anna, bert = anna_of(room), room.join(FakeLeg("bert"))
        await asyncio.sleep(0)
        utterance = room.channel.say(LONG)
        await asyncio.gather(anna.play(quiet(1.0)), bert.play(quiet(1.0)))
        await bert.say("stop it please", 0.8)
        await utterance
        assert utterance.interrupted_by == "bert"
        assert anna.cleared == bert.cleared == [pytest.approx(1.08)]

    play(scene)


def test_an_ear_that_gives_no_receipts_at_all(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        utterance = await room.channel.say("one two")
        assert not utterance.confirmed
        assert utterance.heard == ""
        assert "no receipt" in caplog.text
        assert room.times(SpeakingEnded) == [pytest.approx(0.04 + 0.6 + 2.0 + 0.5, abs=TINY)]
        assert room.channel.floor.open

    play(scene, leg={"silent": True})


# -- the rest


def test_keys_and_panels() -> None:
    async def scene(room: Room) -> None:
        anna, bert = anna_of(room), room.join(FakeLeg("bert"))
        anna.put(Pressed("7"))
        anna.put(Pressed("?"))
        await asyncio.sleep(0.01)
        assert [e for _, e in room.told if isinstance(e, DigitPressed)] == [DigitPressed("anna", "7")]
        assert room.channel.floor.blocker is Blocker.DIGITS
        room.channel.send_panel("floor", {"state": "open"})
        room.channel.send_panel("secret", {"x": 1}, to="bert")
        assert [kind for kind, _ in anna.panel] == ["floor"]
        assert [kind for kind, _ in bert.panel] == ["floor", "secret"]

    play(scene)


def test_a_listener_that_fails_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        def bad(event: Any, at: float) -> None:
            raise ValueError("listener on fire")

        stop = room.channel.listen(bad)
        assert (await room.channel.say("one two")).complete
        assert "listener on fire" in caplog.text
        stop()
        stop()
        caplog.clear()
        assert (await room.channel.say("one two")).complete
        assert not caplog.records

    play(scene)


def test_the_floor_follows_what_happens() -> None:
    async def scene(room: Room) -> None:
        anna = anna_of(room)
        await anna.say("compare them", 0.7)
        turn = await anext(room.channel.turns())
        await room.channel.say("shall i", reply_to=turn)
        await room.channel.say("really?")
        await anna.play(quiet(2))
        states = [e.view.blocker or "open" for _, e in room.told if isinstance(e, FloorChanged)]
        assert states == [
            "open",
            "caller_speaking",
            "caller_paused",
            "reply_owed",
            "agent_speaking",
            "open",
            "speech_planned",
            "agent_speaking",
            "question_pending",
            "open",
        ]

    play(scene)


def test_an_idle_call_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        await anna_of(room).play(quiet(30))

    with caplog.at_level(logging.INFO):
        play(scene)
    assert caplog.records == []

"""What a scheduler makes of a message that was cut: what was heard, what is owed, when it is given up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from delivery.ledger import OnInterrupt, Status
from delivery.pending import SPEAKING, UNATTENDED
from delivery.scheduler import LONGEST_PAUSE, MOST_VOICELESS, VOICELESS
from delivery.strategies import Queued, WaitForIdle
from tests.delivery.stage import ANNA, LAST, WORD, Stage, answered, begun

# -- interruptions


def test_what_was_not_heard_is_owed_from_the_last_word_heard_after_the_reply() -> None:
    stage = Stage().join()
    stage.submit("a", words=6)
    stage.submit("b")
    begun(stage, "a0", "a1", "a2")
    stage.speech()
    assert stage.interrupted[0].heard == "a0 a1 a2"
    assert stage.interrupted[0].remainder == " a3 a4 a5"
    assert (stage.entries["a"].status, stage.entries["a"].reason) == (Status.QUEUED, ANNA)
    answered(stage)
    at = stage.now
    stage.until(30)
    assert stage.said[1] == (at + 1.0, "As I was saying: a3 a4 a5")
    assert stage.texts[2] == "b0 b1 b2 b3"
    assert [id for _, id in stage.prepares] == ["a", "b"]


def test_an_interruption_before_the_first_word_counts_nothing() -> None:
    stage = Stage().join()
    stage.submit("a")
    for _ in range(5):
        begun(stage)
        stage.speech()
        answered(stage)
    stage.until(stage.now + 30)
    assert stage.status("a") is Status.HEARD
    assert stage.entries["a"].attempts == 0
    assert set(stage.texts) == {"a0 a1 a2 a3"}


def test_the_words_that_lead_back_count_nothing_either() -> None:
    stage = Stage().join()
    stage.submit("a", on_interrupt=OnInterrupt.RESUME)
    begun(stage, "a0", "a1")
    stage.speech()
    answered(stage)
    for _ in range(4):
        begun(stage, "As", "I")
        stage.speech()
        answered(stage)
    stage.until(stage.now + 30)
    assert stage.status("a") is Status.HEARD
    assert stage.entries["a"].attempts == 1


def test_repeat_begins_anew() -> None:
    stage = Stage().join()
    stage.submit("a", on_interrupt=OnInterrupt.REPEAT)
    begun(stage, "a0", "a1")
    stage.speech()
    assert stage.interrupted[0].remainder == "a0 a1 a2 a3"
    assert stage.interrupted[0].heard == "a0 a1"
    answered(stage)
    stage.until(30)
    assert stage.texts == ["a0 a1 a2 a3"] * 2


def test_drop_ends_it() -> None:
    stage = Stage().join()
    stage.submit("a", on_interrupt=OnInterrupt.DROP)
    begun(stage, "a0", "a1")
    stage.speech()
    assert stage.settled["a"].status is Status.DROPPED
    assert stage.settled["a"].remainder == " a2 a3"


@pytest.mark.parametrize("by", ["hang_up", "stopped", "failed", VOICELESS, "unconfirmed", "over"])
def test_only_a_caller_who_heard_some_of_it_drops_it(by: str) -> None:
    stage = Stage().join()
    stage.submit("a", on_interrupt=OnInterrupt.DROP)
    begun(stage)
    stage.speech()
    answered(stage)
    begun(stage, "a0")
    stage.cut(stage.current, by)
    stage.until(30)
    assert stage.status("a") is Status.HEARD


def test_after_three_interruptions_it_is_set_aside() -> None:
    stage = Stage().join()
    stage.submit("a", words=10)
    heard = []
    while "a" not in stage.settled:
        begun(stage, *(() if not heard else ("As", "I", "was", "saying:")), f"a{len(heard)}")
        stage.speech()
        answered(stage)
        heard.append(stage.entries["a"].heard_chars)
    assert heard == [2, 5, 8]
    assert stage.settled["a"].status is Status.DEAD
    assert stage.settled["a"].reason == "given up after 3 tries: interrupted by anna"
    assert stage.entries["a"].attempts == 3


def test_tries_of_an_earlier_process_count() -> None:
    stage = Stage().join()
    stage.submit("a", heard_chars=2, attempts=2)
    begun(stage, "As", "I", "was", "saying:", "a1")
    stage.speech()
    assert stage.settled["a"].status is Status.DEAD


@pytest.mark.parametrize("by", ["hang_up", "stopped", "over", "priority"])
def test_cuts_that_are_nobodys_fault_do_not_count(by: str) -> None:
    stage = Stage().join()
    stage.submit("a", words=10)
    for _ in range(4):
        while not stage.playing:
            stage.until(stage.now + 0.1)
        stage.until(stage.now + 5.5 * WORD)
        stage.cut(stage.current, by)
    stage.until(stage.now + 30)
    assert stage.status("a") is Status.HEARD
    assert stage.entries["a"].attempts == 0


def test_the_end_of_a_message_takes_nothing_back() -> None:
    stage = Stage().join()
    stage.submit("a")
    begun(stage, "a0", "a1")
    stage.cut(stage.current, "hang_up", chars=0)
    stage.until(10)
    assert stage.texts[1] == "As I was saying: a2 a3"


def test_what_is_not_confirmed_is_queued_again_and_counts() -> None:
    stage = Stage().join()
    stage.submit("a")
    begun(stage)
    stage.cut(stage.current, "unconfirmed")
    assert stage.entries["a"].status is Status.QUEUED
    assert stage.entries["a"].attempts == 1
    stage.until(30)
    assert stage.status("a") is Status.HEARD


def test_a_voice_that_is_away_for_some_seconds_does_not_use_up_the_tries() -> None:
    stage = Stage().join()
    stage.submit("a")
    while stage.now < 4:
        if stage.playing:
            stage.cut(stage.current, "failed")
        stage.until(stage.now + 0.1)
    assert stage.entries["a"].attempts == 2
    stage.until(30)
    assert stage.status("a") is Status.HEARD


def test_a_voice_that_fails_every_time_sets_it_aside() -> None:
    stage = Stage().join()
    stage.submit("a")
    while "a" not in stage.settled:
        if stage.playing:
            stage.cut(stage.current, "failed")
        stage.until(stage.now + 0.1)
    assert stage.settled["a"].reason == "given up after 3 tries: failed"


def test_what_no_voice_could_be_had_for_stays_owed_and_is_tried_less_and_less() -> None:
    stage = Stage().join()
    stage.submit("a")
    tried: list[float] = []
    while stage.now < 3600:
        if stage.playing:
            tried.append(stage.now)
            stage.cut(stage.current, VOICELESS)
        stage.until(stage.now + 0.5)
    assert stage.entries["a"].attempts == 0
    waits = [b - a for a, b in pairwise(tried)]
    assert 3600 / LONGEST_PAUSE <= len(tried) <= 3600 / LONGEST_PAUSE + 10
    assert max(waits) <= LONGEST_PAUSE + 1.5
    stage.until(3600 + LONGEST_PAUSE + 30)
    assert stage.status("a") is Status.HEARD


def test_a_text_that_no_voice_ever_speaks_is_set_aside_at_last() -> None:
    stage = Stage().join()
    stage.submit("a")
    while "a" not in stage.settled:
        if stage.playing:
            stage.cut(stage.current, VOICELESS)
        stage.until(stage.now + 1.0)
    assert stage.settled["a"].reason == "given up after 3 tries: failed"
    assert stage.now > MOST_VOICELESS * LONGEST_PAUSE * 0.9


def test_a_channel_that_turns_it_away_at_once_is_not_asked_again_at_once() -> None:
    stage = Stage(turned_away="hang_up").join()
    stage.submit("a", WaitForIdle(0.0))
    stage.until(3.5)
    assert stage.times == [0.0, 1.0, 2.0, 3.0]
    stage.turned_away = ""
    stage.until(30)
    assert stage.status("a") is Status.HEARD


def test_a_full_stop_that_was_not_heard_is_not_spoken_on_its_own() -> None:
    stage = Stage().join()
    stage.submit("a", content="It is done .")
    begun(stage, "It", "is", "done")
    stage.cut(stage.current, ANNA)
    assert stage.status("a") is Status.HEARD


# -- what it remembers


def test_what_was_heard_is_written_every_half_second_and_whole_parts_at_once() -> None:
    stage = Stage().join()
    stage.submit("a", Queued(1.0), content="one two three", words=0)
    stage.submit("b", Queued(1.0), content="four five", words=0)
    stage.until(20)
    written = [(at, m.id, m.status, m.heard_chars) for at, m in stage.moves if m.status is not Status.RESERVED]
    assert written == [
        (1.0, "a", Status.SPEAKING, 0),
        (1.0, "b", Status.SPEAKING, 0),
        (1.5, "a", Status.SPEAKING, 3),
        (2.0, "a", Status.SPEAKING, 7),
        (2.5, "a", Status.HEARD, 13),
        (3.0, "b", Status.SPEAKING, 4),
        (3.5, "b", Status.HEARD, 9),
    ]


def test_what_has_ended_or_is_here_already_is_not_taken_in_again() -> None:
    stage = Stage().join()
    stage.submit("a")
    stage.submit_again("a")
    stage.submit_again("a", Status.HEARD)
    stage.until(10)
    assert stage.texts == ["a0 a1 a2 a3"]


def test_what_was_heard_to_its_last_word_before_a_crash_is_not_announced_again() -> None:
    stage = Stage().join()
    stage.submit("a", content="All of it.", heard_chars=10)
    assert stage.settled["a"].status is Status.HEARD
    stage.until(5)
    assert stage.said == []


def test_the_waits_say_what_was_waited_for() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", age=10.0)
    stage.until(2.0)
    turn = stage.turn()
    stage.until(3.0)
    stage.reply(turn, 2.0)
    stage.until(30)
    settled = stage.settled["a"]
    assert settled.waited == pytest.approx(10 + 2 + 1 + 2 + 1 + LAST)
    assert settled.waits == pytest.approx(
        {
            UNATTENDED: 10.0,
            "caller_speaking": 2.0,
            "reply_owed": 1.0,
            "agent_speaking": 2.0,
            "buffer": 1.0,
            SPEAKING: LAST,
        }
    )

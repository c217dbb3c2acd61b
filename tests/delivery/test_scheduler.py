"""The scheduler: a timeline for each ruling, then promises that hold whatever happens (`test_scheduler_promises`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from delivery.ledger import Delivery, OnInterrupt, SpeakAs, Status
from delivery.pending import ADDRESSEE, SPEAKING, UNATTENDED
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle
from tests.delivery.stage import ANNA, BERT, WORD, Stage
from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Dropped,
    Left,
    ReplySettled,
    SpeechStarted,
    SpeechStopped,
    TurnDropped,
    WordsHeard,
)
from voice.floor import FloorView

LAST = 4 * WORD
"""Seconds in which four words are said."""


def begun(stage: Stage, *words: str) -> None:
    """Let a message begin and some words of it be heard."""
    while not stage.playing:
        stage.until(stage.now + 0.1)
    playing = stage.playing[stage.current]
    stage.until(playing.begun + len(words) * WORD)
    assert playing.message.text[: playing.chars].split() == list(words)


def answered(stage: Stage, caller: str = ANNA) -> None:
    """The caller's turn ends, and the agent answers for a second."""
    stage.until(stage.now + 0.5)
    stage.reply(stage.turn(caller), 1.0)


# -- the buffer


def test_a_result_waits_for_the_buffer() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(1.0))
    assert stage.scheduler.reason("a") == "buffer"
    stage.until(10)
    assert stage.said == [(1.0, "a0 a1 a2 a3")]
    assert stage.status("a") is Status.HEARD


def test_a_result_that_comes_into_a_long_silence_is_spoken_at_once() -> None:
    stage = Stage().join()
    stage.until(7)
    stage.submit("a", WaitForIdle(1.0))
    assert stage.times == [7.0]


def test_it_is_made_ready_while_the_buffer_runs() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(1.0))
    stage.until(10)
    assert stage.prepares == [(0.0, "a")]
    assert stage.times == [1.0]


def test_speech_inside_the_buffer_starts_it_anew() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(1.0))
    stage.until(0.9)
    stage.speech()
    assert stage.scheduler.reason("a") == "caller_speaking"
    stage.until(1.5)
    turn = stage.turn()
    assert stage.scheduler.reason("a") == "reply_owed"
    stage.until(2.0)
    stage.reply(turn, 1.5)
    stage.until(10)
    assert stage.times == [4.5]


def test_a_noise_inside_the_buffer_starts_it_anew() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(1.0))
    stage.until(0.9)
    stage.speech()
    stage.until(1.2)
    stage.tell(SpeechStopped(ANNA))
    stage.tell(TurnDropped(ANNA, Dropped.NO_WORDS))
    stage.until(10)
    assert stage.times == [2.2]


def test_idle_is_audible_idle() -> None:
    stage = Stage().join()
    stage.speech()
    turn = stage.turn()
    stage.submit("a", WaitForIdle(1.0), fold=False)
    stage.reply(turn, 5.0)
    stage.until(20)
    assert stage.times == [6.0]


def test_after_a_question_the_wait_is_one_and_a_half_seconds_at_least() -> None:
    for buffer, wait in ((0.0, 1.5), (1.0, 1.5), (1.5, 1.5), (2.0, 2.0)):
        stage = Stage().join()
        stage.speech()
        stage.reply(stage.turn(), 1.0, question=True)
        stage.submit("a", WaitForIdle(buffer))
        assert stage.scheduler.reason("a") == "question_pending"
        stage.until(10)
        assert stage.times == [pytest.approx(1.0 + wait)], buffer


def test_a_telephone_key_starts_the_buffer_anew() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(1.0))
    stage.until(0.5)
    stage.tell(DigitPressed(ANNA, "1"))
    stage.until(10)
    assert stage.times == [0.5 + 3.0 + 1.0]


# -- order


def test_one_at_a_time_in_order_each_with_its_buffer() -> None:
    stage = Stage().join()
    for id in "abc":
        stage.submit(id)
    assert stage.scheduler.reason("b") == "queue"
    stage.until(30)
    assert stage.texts == ["a0 a1 a2 a3", "b0 b1 b2 b3", "c0 c1 c2 c3"]
    assert stage.times == [1.0, 1 + LAST + 1, 2 * (1 + LAST) + 1]


def test_the_floor_is_looked_at_again_between_two_results() -> None:
    stage = Stage().join()
    stage.submit("a")
    stage.submit("b")
    stage.until(1 + LAST + 0.5)
    stage.speech()
    answered(stage)
    open_since = stage.now
    stage.until(30)
    assert stage.times == [1.0, open_since + 1.0]


def test_the_more_urgent_one_first() -> None:
    stage = Stage().join()
    stage.submit("a")
    stage.submit("b", priority=1)
    stage.submit("c", WaitForIdle(2.0), priority=2)
    stage.until(30)
    assert [t[0] for t in stage.texts] == ["c", "b", "a"]
    assert stage.times[0] == 2.0


def test_of_two_of_one_priority_the_one_with_the_shorter_buffer_goes_first() -> None:
    stage = Stage().join()
    stage.submit("a", WaitForIdle(3.0))
    stage.submit("b", WaitForIdle(1.0))
    stage.until(30)
    assert stage.times == [1.0, 1.0 + LAST + 3.0]
    assert stage.texts[0].startswith("b")


def test_what_is_not_ready_at_the_edge_is_spoken_when_it_is_and_holds_the_others() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.submit("b")
    stage.until(2.0)
    assert stage.said == []
    assert stage.scheduler.reason("a") == "preparing"
    assert stage.scheduler.deadline() is None
    stage.make_ready("a")
    assert stage.times == [2.0]


def test_what_was_ready_before_does_not_overtake_what_goes_first() -> None:
    stage = Stage().join()
    stage.submit("b", words=6)
    begun(stage, "b0", "b1")
    stage.prepared = False
    stage.submit("a", priority=1)
    stage.speech()
    answered(stage)
    stage.until(stage.now + 5)
    assert stage.texts == ["b0 b1 b2 b3 b4 b5"]
    stage.make_ready("a")
    stage.until(30)
    assert stage.texts[1:] == ["a0 a1 a2 a3", "As I was saying: b2 b3 b4 b5"]


def test_what_cannot_be_made_ready_is_tried_again_and_lets_the_others_go_first() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.submit("b")
    stage.fail("a", after=3.0)
    assert stage.scheduler.reason("a") == "retrying"
    stage.until(0.5)
    stage.make_ready("b")
    stage.until(1.5)
    assert stage.texts == ["b0 b1 b2 b3"]
    assert "a" not in stage.preparing
    stage.until(1.0 + LAST)
    assert "a" in stage.preparing
    stage.make_ready("a")
    stage.until(30)
    assert stage.times == [1.0, 1.0 + LAST + 1.0]


def test_a_ledger_that_is_away_costs_no_tries() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    for _ in range(10):
        stage.fail("a")
        stage.until(stage.now + 1.0)
    stage.make_ready("a")
    stage.until(30)
    assert stage.status("a") is Status.HEARD


def test_a_poisonous_one_is_set_aside_after_its_tries_and_the_next_goes_on() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.submit("b")
    tries = []
    while "a" not in stage.settled:
        tries.append(stage.now)
        stage.fail("a", "KeyError: 'x'")
        for id in list(stage.preparing):
            stage.make_ready(id)
        while "a" not in stage.preparing and "a" not in stage.settled:
            stage.until(stage.now + 0.5)
    assert stage.texts == ["b0 b1 b2 b3"]
    assert len(tries) == 3
    assert stage.settled["a"].status is Status.DEAD
    assert "KeyError: 'x'" in stage.settled["a"].reason
    assert stage.entries["a"].attempts == 3


def test_what_a_hook_refuses_ends_and_the_next_goes_on() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.submit("b")
    stage.refuse("a", "not now")
    assert stage.settled["a"].status is Status.REFUSED
    assert stage.settled["a"].reason == "not now"
    stage.make_ready("b")
    stage.until(5)
    assert stage.times == [1.0]


def test_the_wording_is_what_is_spoken_and_heard() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.make_ready("a", "Something else.")
    stage.until(5)
    assert stage.texts == ["Something else."]
    assert stage.settled["a"].heard == "Something else."


# -- Queued


def test_queued_ones_go_out_as_one_message() -> None:
    stage = Stage().join()
    for id in "abc":
        stage.submit(id, Queued(1.0, separator=" Next: "), words=2)
    stage.until(0.8)
    stage.submit("d", Queued(1.0), words=1)
    stage.until(30)
    assert stage.said == [(1.0, "a0 a1 Next: b0 b1 Next: c0 c1 Next: d0")]
    assert all(s.status is Status.HEARD for s in stage.settled.values())


def test_only_what_is_for_the_same_ear_is_merged() -> None:
    stage = Stage().join().join(BERT)
    stage.submit("a", Queued(1.0), words=1, to=ANNA)
    stage.submit("b", Queued(1.0), words=1, to=BERT)
    stage.submit("c", Queued(1.0), words=1, to=ANNA)
    stage.submit("d", WaitForIdle(1.0), words=1, to=ANNA)
    stage.until(30)
    assert stage.texts == ["a0 c0", "b0", "d0"]


def test_a_burst_into_silence_is_one_message() -> None:
    stage = Stage(prepared=False).join()
    stage.until(5)
    for id in "abc":
        stage.submit(id, Queued(1.0), words=1)
    for id in "abc":
        stage.make_ready(id)
    assert stage.said == [(5.0, "a0 b0 c0")]


def test_a_message_is_not_held_back_by_what_comes_when_its_first_part_is_ready() -> None:
    stage = Stage(prepared=False).join()
    stage.until(5)
    stage.submit("a", Queued(1.0), words=1)
    stage.submit("b", Queued(1.0), words=1)
    stage.make_ready("a")
    stage.submit("c", Queued(1.0), words=1)
    assert set(stage.preparing) == {"b"}
    stage.make_ready("b")
    assert stage.texts == ["a0 b0"]


def test_what_fails_to_get_ready_does_not_hold_the_message_back() -> None:
    stage = Stage(prepared=False).join()
    stage.until(5)
    stage.submit("a", Queued(1.0), words=1)
    stage.submit("b", Queued(1.0), words=1)
    stage.make_ready("a")
    stage.fail("b")
    assert stage.texts == ["a0"]


def test_a_longer_buffer_is_not_cut_short_by_merging() -> None:
    stage = Stage().join()
    stage.submit("a", Queued(1.0), words=1)
    stage.submit("b", Queued(4.0), words=1)
    stage.until(30)
    assert stage.times == [1.0, 1.0 + WORD + 4.0]


def test_a_merged_message_cut_in_the_middle_is_heard_cut_and_untouched_part_by_part() -> None:
    stage = Stage().join()
    for id in "abc":
        stage.submit(id, Queued(1.0), words=2)
    begun(stage, "a0", "a1", "b0")
    assert stage.status("a") is Status.HEARD
    stage.speech()
    assert [stage.status(id) for id in "abc"] == [Status.HEARD, Status.QUEUED, Status.QUEUED]
    assert [(stage.entries[id].heard_chars, stage.entries[id].attempts) for id in "bc"] == [(2, 1), (0, 0)]
    assert [(i.delivery.id, i.heard, i.remainder) for i in stage.interrupted] == [
        ("b", "b0", " b1"),
        ("c", "", "c0 c1"),
    ]
    answered(stage)
    stage.until(30)
    assert stage.texts == ["a0 a1 b0 b1 c0 c1", "As I was saying: b1 c0 c1"]


# -- Immediate


def test_immediate_is_spoken_over_a_caller() -> None:
    stage = Stage().join()
    stage.until(1)
    stage.speech()
    stage.submit("a", Immediate())
    assert stage.times == [1.0]


def test_immediate_cuts_what_the_agent_reads_out_and_the_rest_of_that_follows() -> None:
    stage = Stage().join()
    stage.submit("a", words=6)
    begun(stage, "a0", "a1")
    stage.submit("b", Immediate())
    assert stage.stops == [(2.0, "over")]
    stage.until(30)
    assert stage.times == [1.0, 2.0, 2.0 + LAST + 1.0]
    assert stage.texts[2] == "As I was saying: a2 a3 a4 a5"
    assert stage.entries["a"].attempts == 0


def test_two_immediate_ones_come_one_after_the_other() -> None:
    stage = Stage().join()
    stage.submit("a", Immediate())
    stage.submit("b", Immediate())
    assert stage.scheduler.reason("b") != ""
    stage.until(30)
    assert stage.times == [0.0, LAST]
    assert stage.stops == []


def test_an_urgent_immediate_one_cuts_an_immediate_one() -> None:
    stage = Stage().join()
    stage.submit("a", Immediate(), words=6)
    begun(stage, "a0", "a1")
    stage.submit("b", Immediate(), priority=1)
    stage.until(30)
    assert stage.times == [0.0, 1.0, 1.0 + LAST]
    assert stage.texts[2] == "As I was saying: a2 a3 a4 a5"


def test_immediate_does_not_wait_for_one_whose_buffer_runs() -> None:
    stage = Stage().join()
    stage.submit("a", priority=1)
    stage.until(0.2)
    stage.submit("b", Immediate())
    assert stage.said == [(0.2, "b0 b1 b2 b3")]


def test_immediate_waits_for_somebody_who_hears() -> None:
    stage = Stage()
    stage.submit("a", Immediate())
    stage.until(5)
    assert stage.scheduler.reason("a") == "nobody"
    stage.join()
    assert stage.times == [5.0]
    stage.tell(Deafened(ANNA, Deafness.HELD))
    stage.cut(stage.current, "hang_up")
    stage.until(8)
    assert stage.scheduler.reason("a") == "on_hold"
    stage.join()
    stage.until(20)
    assert stage.times == [5.0, 8.0]


def test_a_caller_who_cuts_an_immediate_one_is_not_talked_over_again() -> None:
    stage = Stage().join()
    stage.submit("a", Immediate())
    begun(stage, "a0", "a1")
    stage.speech()
    stage.cut(stage.current, ANNA)
    assert stage.playing == {}
    answered(stage)
    assert stage.said[1:] == [(stage.now, "As I was saying: a2 a3")]


# -- what outranks


def test_an_urgent_one_does_not_wait_for_the_end_of_a_long_one() -> None:
    stage = Stage().join()
    stage.submit("a", words=40)
    begun(stage, "a0", "a1")
    stage.until(2.2)
    stage.submit("b", priority=1)
    assert stage.stops == [(2.2, "priority")]
    assert stage.said[1] == (2.2, "b0 b1 b2 b3")
    stage.until(60)
    assert stage.texts[2].startswith("As I was saying: a2 a3")
    assert stage.entries["a"].attempts == 0


def test_a_long_one_goes_on_until_the_urgent_one_is_ready() -> None:
    stage = Stage().join()
    stage.submit("a", words=40)
    begun(stage, "a0")
    stage.prepared = False
    stage.submit("b", priority=1)
    stage.until(4.0)
    assert stage.stops == []
    stage.make_ready("b")
    assert stage.stops == [(4.0, "priority")]
    assert stage.times == [1.0, 4.0]


def test_an_urgent_one_does_not_cut_the_agents_reply() -> None:
    stage = Stage().join()
    stage.speech()
    turn = stage.turn()
    stage.submit("b", priority=1, fold=False)
    stage.reply(turn, 5.0)
    stage.until(20)
    assert stage.times == [6.0]


def test_an_urgent_one_cuts_nothing_while_a_caller_makes_a_sound() -> None:
    stage = Stage().join()
    stage.submit("a", words=40)
    begun(stage, "a0")
    stage.tell(SpeechStarted(ANNA))
    stage.submit("b", priority=1)
    assert stage.stops == []
    stage.until(2.0)
    stage.tell(TurnDropped(ANNA, Dropped.BACKCHANNEL))
    assert stage.stops == [(2.0, "priority")]


def test_an_urgent_one_for_somebody_who_is_away_cuts_nothing() -> None:
    stage = Stage().join()
    stage.submit("a", words=40)
    begun(stage, "a0")
    stage.submit("b", priority=1, to=BERT)
    stage.until(5)
    assert stage.stops == []
    stage.join(BERT)
    assert stage.stops == [(5.0, "priority")]


def test_an_urgent_one_waits_again_when_the_caller_takes_the_floor_first() -> None:
    stage = Stage(prompt=False).join()
    stage.submit("a", words=40)
    begun(stage, "a0")
    stage.submit("b", priority=1)
    stage.speech()
    assert len(stage.said) == 1
    answered(stage)
    at = stage.now
    stage.until(30)
    assert stage.said[1] == (at + 1.0, "b0 b1 b2 b3")


# -- time to live


def test_what_is_not_spoken_in_time_expires() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", ttl=3.0)
    stage.until(10)
    assert stage.settled["a"].status is Status.EXPIRED
    assert stage.settled_at["a"] == 3.0
    assert stage.said == []


def test_the_time_to_live_counts_from_when_it_was_put_into_the_ledger() -> None:
    stage = Stage().join()
    stage.submit("a", ttl=3.0, age=2.5)
    stage.submit("b", ttl=3.0, age=4.0)
    assert stage.settled["b"].status is Status.EXPIRED
    stage.until(10)
    assert stage.settled_at["a"] == 0.5


def test_the_time_to_live_is_looked_at_again_when_speaking_would_begin() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a", ttl=3.0)
    stage.submit("b", ttl=9.0)
    stage.now = 5.0  # no timer went off
    stage.make_ready("a")
    assert stage.settled["a"].status is Status.EXPIRED
    assert stage.said == []


def test_what_is_being_spoken_does_not_expire_but_its_rest_does() -> None:
    stage = Stage().join()
    stage.submit("a", ttl=1.5, words=10)
    stage.submit("b", ttl=9.0, words=10)
    begun(stage, "a0", "a1", "a2")
    assert stage.status("a") is Status.SPEAKING
    stage.speech()
    assert stage.settled["a"].status is Status.EXPIRED
    assert stage.settled["a"].heard == "a0 a1 a2"
    stage.until(20)
    assert stage.settled_at["b"] == 9.0


# -- superseding


def test_the_newest_of_a_topic_replaces_the_others() -> None:
    stage = Stage().join()
    stage.submit("a", supersedes="weather")
    stage.submit("b")
    stage.submit("c", supersedes="weather")
    assert stage.settled["a"].status is Status.SUPERSEDED
    assert stage.settled["a"].reason == "by c"
    stage.until(30)
    assert [t[:2] for t in stage.texts] == ["b0", "c0"]


def test_one_that_was_put_earlier_and_comes_later_is_the_one_replaced() -> None:
    stage = Stage().join()
    stage.submit("b", supersedes="weather", seq=7)
    stage.submit("a", supersedes="weather", seq=3)
    assert stage.settled["a"].status is Status.SUPERSEDED


def test_a_newer_one_does_not_cut_an_older_one_but_takes_the_place_of_its_rest() -> None:
    stage = Stage().join()
    stage.submit("a", supersedes="weather")
    begun(stage, "a0")
    stage.submit("b", supersedes="weather")
    stage.until(2.0)
    assert stage.stops == []
    stage.speech()
    assert stage.settled["a"].status is Status.SUPERSEDED
    answered(stage)
    stage.until(30)
    assert stage.texts == ["a0 a1 a2 a3", "b0 b1 b2 b3"]


def test_an_older_one_that_is_heard_to_its_end_was_heard() -> None:
    stage = Stage().join()
    stage.submit("a", supersedes="weather")
    begun(stage, "a0")
    stage.submit("b", supersedes="weather")
    stage.until(30)
    assert [stage.settled[id].status for id in "ab"] == [Status.HEARD, Status.HEARD]


def test_the_part_of_a_message_that_was_replaced_before_it_was_reached_is_not_spoken() -> None:
    stage = Stage().join()
    stage.submit("a", Queued(1.0), words=2)
    stage.submit("b", Queued(1.0), words=2, supersedes="weather")
    stage.submit("c", Queued(1.0), words=2)
    begun(stage, "a0")
    stage.submit("d", Queued(1.0), words=2, supersedes="weather")
    stage.until(2.0)
    assert stage.stops == [(2.0, "superseded")]
    assert stage.settled["b"].status is Status.SUPERSEDED
    stage.until(30)
    assert stage.texts[1:] == ["c0 c1 d0 d1"]
    assert stage.entries["c"].attempts == 0


def test_a_topic_is_one_callers_own() -> None:
    stage = Stage().join().join(BERT)
    stage.submit("a", to=ANNA, supersedes="weather")
    stage.submit("b", to=BERT, supersedes="weather")
    stage.until(30)
    assert [stage.settled[id].status for id in "ab"] == [Status.HEARD, Status.HEARD]


# -- cancelling


def test_what_is_cancelled_while_it_waits_is_not_spoken() -> None:
    stage = Stage().join()
    stage.submit("a")
    stage.withdraw("a")
    stage.until(5)
    assert stage.settled["a"].status is Status.CANCELLED
    assert stage.said == []


def test_what_is_cancelled_while_it_is_made_ready_is_not_spoken() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.withdraw("a")
    stage.submit("b")
    stage.preparing.pop("a")
    stage.hand_ready("a")
    stage.make_ready("b")
    stage.until(5)
    assert stage.texts == ["b0 b1 b2 b3"]


def test_what_is_cancelled_in_mid_speech_stops() -> None:
    stage = Stage().join()
    stage.submit("a")
    begun(stage, "a0", "a1")
    stage.withdraw("a")
    assert stage.stops == [(2.0, "cancelled")]
    assert stage.settled["a"].status is Status.CANCELLED
    assert stage.settled["a"].heard == "a0 a1"
    stage.until(30)
    assert len(stage.said) == 1


def test_what_is_heard_whole_before_the_stop_arrives_was_heard() -> None:
    stage = Stage(prompt=False).join()
    stage.submit("a")
    begun(stage, "a0")
    stage.withdraw("a")
    stage.withdraw("a")
    stage.finish()
    assert stage.settled["a"].status is Status.HEARD


def test_cancelling_one_part_of_a_message_spares_what_stands_before_it_and_brings_what_stands_behind() -> None:
    stage = Stage().join()
    for id in "abc":
        stage.submit(id, Queued(1.0), words=2)
    begun(stage, "a0")
    stage.withdraw("b")
    assert stage.stops == []
    stage.until(2.0)
    assert stage.stops == [(2.0, "cancelled")]
    assert [stage.settled[id].status for id in "ab"] == [Status.HEARD, Status.CANCELLED]
    stage.until(30)
    assert stage.texts == ["a0 a1 b0 b1 c0 c1", "c0 c1"]
    assert stage.entries["c"].attempts == 0


def test_cancelling_the_unknown_does_nothing() -> None:
    stage = Stage().join()
    stage.withdraw("nobody")
    stage.submit("a")
    stage.until(5)
    stage.withdraw("a")
    assert stage.settled["a"].status is Status.HEARD


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


@pytest.mark.parametrize("by", ["hang_up", "stopped", "failed", "unconfirmed", "over"])
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


# -- who hears


def test_what_is_for_somebody_who_is_away_waits_and_the_others_go_on() -> None:
    stage = Stage().join()
    stage.submit("a", to=BERT)
    stage.submit("b")
    assert stage.scheduler.reason("a") == ADDRESSEE
    stage.until(10)
    assert stage.texts == ["b0 b1 b2 b3"]
    stage.join(BERT)
    assert stage.texts[1:] == ["a0 a1 a2 a3"]
    stage.until(20)
    waits = stage.settled["a"].waits
    assert waits == {ADDRESSEE: 10.0, SPEAKING: LAST}


def test_who_hangs_up_in_the_middle_hears_the_rest_on_coming_back() -> None:
    stage = Stage().join()
    stage.submit("a", to=ANNA)
    begun(stage, "a0", "a1")
    stage.cut(stage.current, "hang_up")
    stage.tell(Left(ANNA))
    stage.until(60)
    assert stage.scheduler.reason("a") == "nobody"
    stage.join()
    stage.until(100)
    assert stage.said[1:] == [(61.0, "As I was saying: a2 a3")]


def test_a_held_caller_does_not_hear() -> None:
    stage = Stage().join()
    stage.submit("a", to=ANNA)
    stage.tell(Deafened(ANNA, Deafness.HELD))
    stage.until(30)
    assert stage.said == []
    stage.join()
    stage.until(60)
    assert stage.times == [31.0]


# -- asking for the floor


def talk(stage: Stage, until: float) -> None:
    """A caller who hardly stops: the floor never opens for a second."""
    while stage.now < until:
        stage.speech()
        stage.until(stage.now + 4.0)
        stage.reply(stage.turn(), 1.0)
        stage.until(stage.now + 0.5)


def test_after_max_wait_the_agent_asks_at_the_end_of_a_turn_and_then_waits_for_no_buffer() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", WaitForIdle(1.0), max_wait=10.0)
    for second in range(1, 13):
        stage.until(second)
        stage.tell(WordsHeard(ANNA, "and then"))
    assert stage.asked == []
    turn = stage.turn()
    assert stage.asked == [12.0]
    assert stage.said == []
    stage.reply(turn, 2.0)
    assert stage.times == [14.0]


def test_it_does_not_ask_before() -> None:
    stage = Stage().join()
    stage.submit("a", max_wait=30.0)
    talk(stage, until=27.0)
    assert (stage.asked, stage.said) == ([], [])
    talk(stage, until=32.0)
    assert stage.asked == [31.5]
    assert stage.times == [32.5]


def test_without_max_wait_it_never_asks() -> None:
    stage = Stage().join()
    stage.submit("a", max_wait=None)
    talk(stage, until=200.0)
    assert (stage.asked, stage.said) == ([], [])
    stage.until(210)
    assert stage.status("a") is Status.HEARD


def test_it_asks_for_one_at_a_time() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", max_wait=1.0)
    stage.submit("b", max_wait=1.0)
    stage.until(5)
    turn = stage.turn()
    stage.turn(BERT)
    assert stage.asked == [5.0]
    stage.tell(ReplySettled("t2"))
    stage.reply(turn, 1.0)
    assert [t[:2] for t in stage.texts] == ["a0"]
    stage.until(20)
    assert stage.times[1] == 6.0 + LAST + 1.0


@pytest.mark.parametrize("priority", [0, 1])
def test_what_it_asked_for_comes_first_then_unless_something_outranks_it(priority: int) -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", max_wait=None, priority=priority)
    stage.submit("b", max_wait=1.0)
    stage.until(5)
    stage.reply(stage.turn(), 1.0)
    stage.until(20)
    if priority:
        assert stage.said == [(7.0, "a0 a1 a2 a3"), (7.0 + LAST, "b0 b1 b2 b3")]
    else:
        assert stage.said == [(6.0, "b0 b1 b2 b3"), (6.0 + LAST + 1.0, "a0 a1 a2 a3")]


def test_a_caller_who_takes_the_floor_first_is_asked_again() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", max_wait=1.0)
    stage.until(5)
    stage.turn()
    stage.speech()
    stage.until(8)
    turn = stage.turn()
    assert stage.asked == [5.0, 8.0]
    stage.tell(ReplySettled("t1"))
    stage.reply(turn, 1.0)
    assert stage.times == [9.0]


def test_it_does_not_ask_for_what_could_not_be_spoken() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", to=BERT, max_wait=1.0)
    stage.submit("b", max_wait=1.0)
    stage.carry("b")
    stage.submit("c", Never(), max_wait=1.0)
    stage.until(5)
    stage.turn()
    assert stage.asked == []


def test_what_the_agent_asked_the_floor_for_is_made_ready_meanwhile() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", max_wait=1.0)
    stage.until(5)
    turn = stage.turn()
    assert set(stage.preparing) == {"a"}
    stage.make_ready("a")
    stage.reply(turn, 1.0)
    assert stage.times == [6.0]


# -- folding


def owing(folds: bool) -> tuple[Stage, object]:
    stage = Stage(folds=folds).join()
    stage.speech()
    stage.until(1.0)
    return stage, stage.turn()


def test_a_result_that_lands_while_a_reply_is_owed_follows_it_at_once_if_the_agent_takes_it() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    assert stage.folded == [(1.0, "a")]
    assert stage.said == []
    stage.reply(turn, 2.0)
    assert stage.times == [3.0]


def test_a_result_that_waits_already_is_offered_when_the_turn_ends() -> None:
    stage = Stage(folds=True).join()
    stage.speech()
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.submit("b", speak_as=SpeakAs.AGENT)
    stage.until(1.0)
    stage.reply(stage.turn(), 2.0)
    stage.until(20)
    assert stage.folded == [(1.0, "a")]
    assert stage.times == [3.0, 3.0 + LAST + 1.0]


def test_a_result_that_the_agent_does_not_take_waits_like_any_other() -> None:
    stage, turn = owing(folds=False)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.folded == [(1.0, "a")]
    assert stage.times == [4.0]


@pytest.mark.parametrize(
    "fields",
    [{"fold": False}, {"speak_as": SpeakAs.VERBATIM}, {"to": BERT}, {"strategy": Immediate()}],
    ids=str,
)
def test_what_may_not_be_folded_is_not_offered(fields: dict[str, Any]) -> None:
    stage, _ = owing(folds=True)
    stage.prepared = False
    stage.submit("a", **{"speak_as": SpeakAs.AGENT, **fields})
    assert stage.folded == []


def test_one_result_a_reply_is_folded() -> None:
    stage, turn = owing(folds=True)
    for id in "ab":
        stage.submit(id, speak_as=SpeakAs.AGENT)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.folded == [(1.0, "a")]
    assert stage.times == [3.0, 3.0 + LAST + 1.0]


def test_a_yes_that_comes_when_the_reply_is_over_is_too_late() -> None:
    stage, turn = owing(folds=False)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.reply(turn, 2.0)
    stage.answer_fold("a", True)
    stage.until(20)
    assert stage.times == [4.0]


def test_a_caller_who_takes_the_floor_takes_the_fold_back() -> None:
    stage, _ = owing(folds=True)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.speech()
    stage.folds = False
    stage.tell(ReplySettled("t1"))
    answered(stage)
    at = stage.now
    stage.until(20)
    assert stage.times == [at + 1.0]


def test_a_question_in_the_reply_holds_a_folded_result_back_but_keeps_it() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", WaitForIdle(5.0), speak_as=SpeakAs.AGENT)
    stage.reply(turn, 2.0, question=True)
    stage.until(20)
    assert stage.times == [3.0 + 1.5]


def test_folding_one_of_the_queued_ones_does_not_shorten_the_others_wait() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", Queued(3.0), speak_as=SpeakAs.AGENT, words=1)
    stage.submit("b", Queued(3.0), words=1)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.said == [(3.0, "a0"), (3.0 + WORD + 3.0, "b0")]


# -- carried by a reply


def test_what_the_reply_carries_is_not_spoken_beside_it() -> None:
    stage, turn = owing(folds=True)
    stage.carry("a")
    stage.submit("a", speak_as=SpeakAs.AGENT)
    assert stage.folded == []
    stage.reply(turn, 2.0)
    stage.until(10)
    assert stage.said == []
    stage.carry("a", True)
    assert stage.settled["a"].status is Status.HEARD
    assert stage.settled["a"].remainder == ""


def test_what_the_reply_carried_in_vain_waits_like_any_other() -> None:
    stage = Stage().join()
    stage.submit("a")
    stage.carry("a")
    stage.until(5)
    stage.carry("a", False)
    assert stage.times == [5.0]
    stage.carry("b", False)
    stage.submit("b")
    stage.until(20)
    assert stage.status("b") is Status.HEARD


def test_what_was_heard_in_a_reply_before_it_was_here_is_not_spoken() -> None:
    stage = Stage().join()
    stage.carry("a")
    stage.carry("a", True)
    stage.submit("a")
    assert stage.settled["a"].status is Status.HEARD
    stage.until(5)
    assert stage.said == []


def test_what_the_reply_carries_does_not_expire_meanwhile() -> None:
    stage = Stage().join()
    stage.submit("a", ttl=2.0)
    stage.carry("a")
    stage.until(5.0)
    assert "a" not in stage.settled
    stage.carry("a", True)
    assert stage.settled["a"].status is Status.HEARD


def test_what_the_reply_carries_beyond_its_time_does_not_stop_the_clock_for_others() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", ttl=2.0)
    stage.carry("a")
    stage.until(3.0)
    stage.submit("b")
    stage.reply(stage.turn(), 1.0)
    stage.until(10)
    assert stage.times == [5.0]


def test_what_was_being_made_of_a_result_does_not_matter_when_the_reply_carried_it() -> None:
    stage = Stage(prepared=False).join()
    stage.submit("a")
    stage.carry("a")
    stage.reserve("a", "Short.")
    stage.carry("a", True)
    stage.hand_ready("a")
    assert stage.settled["a"].heard == stage.entries["a"].wording == "a0 a1 a2 a3"


def test_what_the_reply_carried_in_vain_has_expired_meanwhile() -> None:
    stage = Stage().join()
    stage.submit("a", ttl=2.0)
    stage.carry("a")
    stage.until(5.0)
    stage.carry("a", False)
    assert stage.settled["a"].status is Status.EXPIRED
    assert stage.said == []


def test_what_the_reply_carries_is_not_replaced_meanwhile() -> None:
    stage = Stage().join()
    stage.speech()
    for id, heard in (("a", True), ("b", False)):
        stage.submit(id, supersedes=id)
        stage.carry(id)
        stage.submit(f"new {id}", supersedes=id)
        assert id not in stage.settled
        stage.carry(id, heard)
    assert [stage.settled[id].status for id in "ab"] == [Status.HEARD, Status.SUPERSEDED]


def test_what_is_carried_and_spoken_at_once_is_settled_by_its_own_end() -> None:
    stage = Stage().join()
    stage.submit("a")
    begun(stage, "a0")
    stage.carry("a")
    stage.carry("a", True)
    stage.speech()
    assert stage.settled["a"].status is Status.HEARD
    stage.submit("b")
    stage.speech()
    answered(stage)
    begun(stage, "b0")
    stage.carry("b")
    stage.carry("b", False)
    stage.speech()
    answered(stage)
    stage.until(stage.now + 20)
    assert stage.status("b") is Status.HEARD


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


# -- strategies of a user's own


@dataclass(frozen=True)
class Never(Strategy):
    name: ClassVar[str] = "test-never"

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return None


@dataclass(frozen=True)
class Broken(Strategy):
    name: ClassVar[str] = "test-broken"
    answer: float = float("nan")

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return 1 / self.answer if self.answer == 0 else self.answer


@pytest.mark.parametrize("broken", [Broken(), Broken(0.0), Broken("soon")], ids=str)  # type: ignore[arg-type]
def test_a_strategy_that_fails_costs_its_own_delivery_only(broken: Strategy) -> None:
    stage = Stage().join()
    stage.submit("a", broken)
    stage.submit("b")
    assert stage.settled["a"].status is Status.DEAD
    assert stage.settled["a"].reason.startswith("its strategy failed: ")
    stage.until(10)
    assert stage.texts == ["b0 b1 b2 b3"]


def test_a_strategy_that_says_never_is_neither_asked_for_nor_let_in_by_its_rank() -> None:
    stage = Stage().join()
    stage.submit("a", Never(), priority=9, max_wait=0.0)
    stage.submit("b", words=10)
    begun(stage, "b0")
    stage.until(3)
    stage.speech()
    answered(stage)
    stage.until(60)
    assert stage.stops == []
    assert stage.asked == []
    assert stage.status("b") is Status.HEARD
    assert stage.scheduler.known("a")
    assert stage.scheduler.deadline() is None

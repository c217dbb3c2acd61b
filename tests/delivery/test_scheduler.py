"""The scheduler: a timeline for each ruling; `test_scheduler_promises` has what holds whatever happens."""

from __future__ import annotations

from delivery.ledger import SpeakAs, Status
from delivery.strategies import Immediate, Queued
from tests.delivery.stage import ANNA, BERT, LAST, Stage, answered, begun
from voice.events import (
    Deafened,
    Deafness,
    Dropped,
    SpeechStarted,
    TurnDropped,
)

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


def test_what_has_not_begun_when_its_time_is_up_is_not_begun() -> None:
    stage = Stage(mute=True).join()
    stage.submit("a", ttl=3.0)
    stage.submit("b", ttl=9.0)
    stage.until(2.5)
    assert stage.texts == ["a0 a1 a2 a3"]  # the voice is slow
    stage.until(3.0)
    assert stage.stops == [(3.0, "expired")]
    assert stage.settled["a"].status is Status.EXPIRED
    assert stage.settled["a"].heard == ""
    stage.until(3.5)
    assert stage.texts[1:] == ["b0 b1 b2 b3"]


def test_what_has_begun_in_time_is_spoken_to_its_end() -> None:
    stage = Stage().join()
    stage.submit("a", ttl=1.1)
    stage.until(1.2)
    assert stage.stops == []
    stage.until(10)
    assert stage.settled["a"].status is Status.HEARD


def test_the_part_of_a_message_whose_time_is_up_before_it_is_reached_is_not_spoken() -> None:
    stage = Stage().join()
    stage.submit("a", Queued(1.0), words=2, ttl=1.5)
    stage.submit("b", Queued(1.0), words=2, ttl=1.5)
    stage.submit("c", Queued(1.0), words=2)
    stage.until(20)
    assert stage.said == [(1.0, "a0 a1 b0 b1 c0 c1"), (2.0 + 1.0, "c0 c1")]
    assert stage.stops == [(2.0, "expired")]
    assert [stage.settled[id].status for id in "abc"] == [Status.HEARD, Status.EXPIRED, Status.HEARD]
    assert stage.entries["c"].attempts == 0


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


def test_an_older_one_that_has_just_begun_is_not_cut() -> None:
    stage = Stage().join()
    stage.submit("a", supersedes="weather")
    stage.until(1.0)
    assert stage.texts == ["a0 a1 a2 a3"]  # no word of it has been heard
    stage.submit("b", supersedes="weather")
    stage.until(2.0)
    assert stage.stops == []


def test_an_older_one_that_has_not_begun_is_not_begun() -> None:
    stage = Stage(mute=True).join()
    stage.submit("a", supersedes="weather")
    stage.until(1.5)
    stage.submit("b", supersedes="weather")
    assert stage.stops == [(1.5, "superseded")]
    assert stage.settled["a"].status is Status.SUPERSEDED
    assert stage.texts[1:] == ["b0 b1 b2 b3"]
    stage.begin(stage.current)
    stage.until(10)
    assert stage.settled["b"].status is Status.HEARD


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


# -- made ready in time


def test_what_the_agent_has_to_find_words_for_is_made_ready_while_it_still_speaks() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a")
    stage.submit("b", speak_as=SpeakAs.AGENT, priority=1)
    stage.submit("c", speak_as=SpeakAs.AGENT)
    stage.until(1)
    assert not stage.preparing  # the caller speaks, and may go on
    turn = stage.turn()
    assert set(stage.preparing) == {"b"}
    stage.make_ready("b", "in other words")
    stage.reply(turn, 3.0)
    stage.until(5.0)
    assert stage.said == [(5.0, "in other words")]
    assert "c" not in stage.preparing  # verbatim words come before it


def test_those_that_will_be_one_message_are_made_ready_together() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    turn = stage.turn()
    for id in "abc":
        stage.submit(id, Queued(1.0), speak_as=SpeakAs.AGENT, fold=False, to=BERT if id == "b" else None)
    assert set(stage.preparing) == {"a", "c"}
    stage.reply(turn, 1.0)

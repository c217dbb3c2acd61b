"""The line: who is next, from when on, in one message with whom, and what each one waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from delivery.ledger import Delivery, Status
from delivery.pending import ADDRESSEE, LONGEST_TRAIL, SPEAKING
from delivery.strategies import Queued, Strategy, WaitForIdle
from tests.delivery.stage import ANNA, BERT, LAST, WORD, Never, Stage, answered, begun
from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Dropped,
    Left,
    SpeechStopped,
    TurnDropped,
)
from voice.floor import FloorView

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


# -- strategies of a user's own


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


def test_what_a_delivery_waited_for_is_summed_up_however_often_that_changed() -> None:
    stage = Stage().join()
    stage.submit("a", Never(), to=BERT, ttl=100.0)
    for _ in range(2 * LONGEST_TRAIL):
        stage.join(BERT)
        stage.until(stage.now + 0.5)
        stage.tell(Left(BERT))
        stage.until(stage.now + 0.25)
    stage.until(100.0)
    waits = stage.settled["a"].waits
    assert waits[ADDRESSEE] == pytest.approx(100.0 - LONGEST_TRAIL)
    assert waits["buffer"] == pytest.approx(LONGEST_TRAIL)

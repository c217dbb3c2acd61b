"""Results and the agent's replies: asking for the floor, being folded into a reply, being carried by one."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.ledger import SpeakAs, Status
from delivery.replies import FOLDED, FOLDED_CHARS
from delivery.scheduler import Scheduler
from delivery.strategies import Immediate, Queued, WaitForIdle
from tests.delivery.stage import ANNA, BERT, LAST, WORD, Never, Stage, answered, begun
from voice.events import ReplySettled, SpeakingEnded, SpeakingScheduled, SpeakingStarted, WordsHeard

OPENING = Scheduler().opening
ASKING = len(OPENING.split()) * WORD

# -- asking for the floor


def talk(stage: Stage, until: float) -> None:
    """A caller who hardly stops: the floor never opens for a second."""
    while stage.now < until:
        stage.speech()
        stage.until(stage.now + 4.0)
        stage.reply(stage.turn(), 1.0)
        stage.until(stage.now + 0.5)


def test_after_max_wait_it_comes_at_the_end_of_a_turn_and_asks_for_the_floor() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", WaitForIdle(1.0), max_wait=10.0)
    for second in range(1, 13):
        stage.until(second)
        stage.tell(WordsHeard(ANNA, "and then"))
    assert stage.asked == []
    turn = stage.turn()
    assert stage.asked == [12.0]
    assert stage.said == [(12.0, OPENING + "a0 a1 a2 a3")]
    stage.until(20)
    stage.reply(turn, 2.0)
    assert stage.status("a") is Status.HEARD


def test_if_the_reply_begins_before_it_is_ready_it_comes_after_the_reply() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", WaitForIdle(1.0), max_wait=1.0)
    stage.until(2.0)
    turn = stage.turn()
    stage.tell(SpeakingScheduled("reply", 4.0))
    stage.tell(SpeakingStarted("reply"))
    stage.make_ready("a")
    stage.until(4.0)
    assert stage.said == []
    stage.tell(ReplySettled(turn.id))
    stage.tell(SpeakingEnded("reply"))
    assert stage.said == [(4.0, OPENING + "a0 a1 a2 a3")]


def test_it_does_not_ask_while_its_own_question_waits_for_an_answer() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", WaitForIdle(1.0), max_wait=1.0)
    stage.until(2.0)
    stage.reply(stage.turn(), 1.0, question=True)
    stage.make_ready("a")
    stage.until(20)
    assert stage.asked == stage.times == [3.0 + 1.5]


def test_it_does_not_ask_for_what_is_gone_by_then() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", WaitForIdle(1.0), max_wait=1.0)
    stage.until(2.0)
    turn = stage.turn()
    stage.withdraw("a")
    stage.reply(turn, 1.0)
    stage.until(20)
    assert stage.asked == []


def test_it_does_not_ask_before() -> None:
    stage = Stage().join()
    stage.submit("a", max_wait=30.0)
    talk(stage, until=27.0)
    assert (stage.asked, stage.said) == ([], [])
    talk(stage, until=32.0)
    assert stage.asked == stage.times == [31.5]


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
    stage.tell(ReplySettled("t2"))
    assert stage.said == [(5.0, OPENING + "a0 a1 a2 a3")]
    stage.until(5.0 + ASKING + LAST)
    stage.reply(turn, 1.0)
    stage.until(20)
    assert stage.said[1] == (5.0 + ASKING + LAST + 1.0 + 1.0, "b0 b1 b2 b3")


def test_it_asks_for_what_has_waited_too_long_not_for_what_outranks_it() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", max_wait=None, priority=1)
    stage.submit("b", max_wait=1.0)
    stage.until(5)
    turn = stage.turn()
    stage.until(5.0 + ASKING + LAST)
    stage.reply(turn, 1.0)
    stage.until(20)
    assert [text for _, text in stage.said] == [OPENING + "b0 b1 b2 b3", "a0 a1 a2 a3"]


def test_a_caller_who_takes_the_floor_first_is_asked_again() -> None:
    stage = Stage(prepared=False).join()
    stage.speech()
    stage.submit("a", max_wait=1.0)
    stage.until(5)
    stage.turn()
    stage.speech()
    stage.make_ready("a")
    stage.until(8)
    assert stage.asked == []
    stage.turn()
    assert stage.asked == stage.times == [8.0]


def test_a_caller_who_goes_on_after_the_opener_has_missed_nothing() -> None:
    stage = Stage().join()
    stage.speech()
    stage.submit("a", max_wait=1.0)
    stage.until(5)
    stage.turn()
    stage.until(5 + ASKING - WORD)
    stage.cut(next(iter(stage.playing)), ANNA)
    stage.speech()
    assert stage.entries["a"].attempts == 0
    stage.until(12)
    stage.turn()
    assert stage.said[1] == (12.0, OPENING + "a0 a1 a2 a3")


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


def test_a_result_that_waited_before_the_turn_ended_is_no_part_of_the_reply() -> None:
    stage = Stage(folds=True).join()
    stage.speech()
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.until(1.0)
    stage.reply(stage.turn(), 2.0)
    stage.until(20)
    assert stage.folded == []
    assert stage.times == [4.0]


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


def test_some_results_are_folded_into_one_reply_and_the_rest_waits() -> None:
    stage, turn = owing(folds=True)
    for id in "abcde"[: FOLDED + 2]:
        stage.submit(id, speak_as=SpeakAs.AGENT, words=1)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.folded == [(1.0, id) for id in "abcde"[:FOLDED]]
    at = 3.0 + FOLDED * WORD
    assert stage.times == [*(3.0 + n * WORD for n in range(FOLDED)), at + 1.0, at + WORD + 2.0]


def test_what_is_too_long_for_a_reply_beside_others_waits() -> None:
    stage, turn = owing(folds=True)
    for id in "ab":
        stage.submit(id, speak_as=SpeakAs.AGENT, content=id + "x" * (FOLDED_CHARS - 10))
    stage.submit("c", speak_as=SpeakAs.AGENT, content="c0")
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.folded == [(1.0, "a"), (1.0, "c")]
    assert [text[0] for text in stage.texts] == ["a", "c", "b"]


def test_those_that_merge_are_folded_as_one_message() -> None:
    stage, turn = owing(folds=True)
    for id in "ab":
        stage.submit(id, Queued(3.0), speak_as=SpeakAs.AGENT, words=1)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.said == [(3.0, "a0 b0")]


def test_what_is_not_in_words_yet_when_the_reply_ends_waits_like_any_other() -> None:
    stage, turn = owing(folds=True)
    stage.prepared = False
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.reply(turn, 2.0)
    stage.until(3.2)
    stage.make_ready("a", "in other words")
    stage.until(20)
    assert stage.times == [4.0]


def test_a_reply_that_never_came_takes_the_fold_back() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.until(2.0)
    stage.tell(ReplySettled(turn.id))
    stage.until(20)
    assert stage.times == [3.0]


def test_a_reply_that_failed_takes_the_fold_back() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", speak_as=SpeakAs.AGENT)
    stage.tell(SpeakingScheduled("reply", 3.0))
    stage.tell(SpeakingStarted("reply"))
    stage.until(2.0)
    stage.carry("a", False)
    stage.tell(ReplySettled(turn.id))
    stage.tell(SpeakingEnded("reply"))
    stage.until(20)
    assert stage.times == [3.0]


def test_what_a_caller_cut_before_is_not_folded_but_waits_for_silence() -> None:
    stage, turn = owing(folds=True)
    stage.submit("a", speak_as=SpeakAs.AGENT, heard_chars=2, attempts=1)
    stage.submit("b", Immediate(), speak_as=SpeakAs.AGENT, heard_chars=2, attempts=1)
    stage.reply(turn, 2.0)
    stage.until(20)
    assert stage.folded == []


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

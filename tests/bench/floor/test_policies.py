"""What policies do in calls made by hand, and that the bench catches those who talk over."""

from __future__ import annotations

import pytest

from delivery.strategies import Immediate, Queued, WaitForIdle
from tests.bench.floor.caller import Kind
from tests.bench.floor.eyes import LINE, Judge, NoJudge
from tests.bench.floor.metrics import Tally
from tests.bench.floor.mouth import SYNTHESIS, WORD
from tests.bench.floor.ours import RESERVED, Ours
from tests.bench.floor.policies import AtOnce, Silence, SleepOnIdle
from tests.bench.floor.room import GiveWay, Policy, Room
from tests.bench.floor.run import OURS, RIVALS, TIMERS, USUAL, play
from tests.bench.floor.talk import Call, Noise, ReplyPlan, Response, Result, Senses, TurnPlan, draw

SURE = Judge(miss=0.0, false=0.0)
QUIET = Response(None, (), None, gap=0.5, responds=False, acknowledges=False, lapse=50.0, patience=50.0)
HANGOVER = 0.1


def turn(*spans: float) -> TurnPlan:
    return TurnPlan(spans, urgent=False, patience=50.0, gives_way=(0.99,), reaction=0.25)


def call(*turns: TurnPlan, arrives: float, to_result: Response = QUIET, noises: tuple[Noise, ...] = ()) -> Call:
    """Anna speaks from 1.0 s on; the agent's reply of five words is ready half a second after the end of her turn."""
    return Call(
        turns=turns,
        replies=[ReplyPlan(0.5, 5, question=False)],
        on_reply=[QUIET],
        on_result=[to_result],
        results=[Result("d0", arrives, 10, wording=0.0)],
        noises=noises,
        senses=[Senses(onset=0.05, hangover=HANGOVER, dips=(), judgement=0.5, thinking=0.3)],
        length=45.0,
        begins=1.0,
    )


def played(made: Call, policy: Policy, judge: Judge | NoJudge = SURE) -> tuple[Room, Tally]:
    tally = Tally()
    return play(made, policy, judge, tally), tally


def test_ours_waits_for_the_reply_and_a_second_of_silence() -> None:
    room, tally = played(call(turn(2.0), arrives=1.5), Ours(WaitForIdle(buffer=1.0), agent=False))
    reply, result = room.said
    assert reply.started is not None
    turn_over = 3.0 + LINE + HANGOVER + 0.3 + 0.1  # the judge's thinking, and the recogniser's last word
    assert reply.started == pytest.approx(turn_over + 0.5 + LINE)
    assert result.started == pytest.approx(reply.started + 5 * WORD + 1.0 + SYNTHESIS + LINE)
    assert (tally.onsets, tally.collisions, tally.false_idle, tally.raced, tally.lost) == (1, 0, 0, 0, 0)
    assert tally.overheads == [pytest.approx(0.0, abs=RESERVED)]


def test_what_comes_into_a_silence_is_spoken_at_once() -> None:
    room, _ = played(call(turn(2.0), arrives=20.0), Ours(WaitForIdle(buffer=1.0), agent=False))
    assert room.said[1].started == pytest.approx(20.0 + RESERVED + SYNTHESIS + LINE)


def test_who_talks_over_the_caller_is_caught() -> None:
    made = call(turn(8.0), arrives=3.0)
    for policy in (AtOnce(GiveWay(after=0.2), thinks=False), Ours(Immediate(), agent=False)):
        _, tally = played(made, policy)
        assert (tally.collisions, tally.onsets) == (1, 1)


def test_a_timer_takes_a_pause_for_the_end() -> None:
    made = call(turn(2.0, 1.5, 2.0), arrives=1.5)
    room, timer = played(made, Silence(0.5))
    assert timer.false_idle == 1
    assert room.onsets[0].paused
    _, tally = played(made, Ours(WaitForIdle(buffer=0.0)))
    assert (tally.false_idle, tally.collisions) == (0, 0)


def test_a_timer_speaks_before_the_reply_that_is_owed() -> None:
    made = call(turn(2.0), arrives=1.5)
    _, timer = played(made, Silence(0.6))
    assert timer.raced == 1
    room, polite = played(made, Silence(0.6, queues=True))
    assert polite.raced == 0
    assert room.said[0].reply_to


def test_roomkits_sleep_does_not_look_again() -> None:
    """D1: the caller goes on after a pause, while it sleeps."""
    _, tally = played(call(turn(2.0, 0.5, 5.0), arrives=3.3), SleepOnIdle(buffer=1.0))
    assert tally.collisions == 1


def test_roomkits_queue_drops_what_it_could_not_tell_in_time() -> None:
    made = call(turn(30.0), arrives=2.0)
    assert played(made, SleepOnIdle(merges=True))[1].lost == 1
    assert played(made, SleepOnIdle())[1].collisions == 1  # D2: after 15 s over the caller
    assert played(made, Ours(Queued(buffer=1.0)))[1].lost == 0


def test_a_barge_in_costs_others_the_rest_and_us_nothing() -> None:
    barging = Response(0.5, (), None, gap=0.5, responds=False, acknowledges=False, lapse=50.0, patience=50.0)
    made = call(turn(1.0), turn(2.0), turn(1.5), arrives=12.0, to_result=barging)
    _, ours = played(made, Ours(WaitForIdle(buffer=1.0)))
    _, rival = played(made, Silence(1.5, keeps=False, give_way=GiveWay(after=0.08), queues=True))
    assert (rival.lost, ours.lost, ours.repeated) == (1, 0, 0)
    assert len(ours.stops) == ours.barges > 0


def test_the_truth_does_not_depend_on_who_listens() -> None:
    made = draw(5, 5, results=0)
    firsts = []
    for entrant in (*OURS, *TIMERS, *RIVALS):
        room = Room(made, entrant.make(), USUAL)
        room.time.run(made.begins + sum(made.turns[0].spans) + 0.1)
        firsts.append([(v.starts, v.ends) for v in room.caller.voices if v.kind is Kind.TURN])
    assert all(first == firsts[0] for first in firsts)


def test_noise_without_words_ends_no_turn_and_starts_no_reply() -> None:
    made = call(turn(1.0), arrives=30.0, noises=(Noise(10.0, 0.4), Noise(15.0, 9.0)))
    room, _ = played(made, Ours(WaitForIdle(buffer=1.0)))
    assert [u.reply_to is not None for u in room.said] == [True, False]


@pytest.mark.parametrize("judge", [USUAL, NoJudge()], ids=lambda judge: judge.name)
def test_promises_of_ours_hold_in_drawn_calls(judge: Judge | NoJudge) -> None:
    tally = Tally()
    for number in range(6):
        room = play(draw(11, number), Ours(WaitForIdle(buffer=1.0)), judge, tally)
        for utterance in room.said:
            spans = utterance.spans
            assert all(a <= b <= planned + 1e-6 for a, b, planned in spans)
    assert tally.onsets > 20
    assert (tally.lost, tally.repeated, tally.stale) == (0, 0, 0)
    assert len(tally.stops) >= 0.95 * tally.barges


def test_ours_collides_less_than_the_timer_that_is_as_careful() -> None:
    calls = [draw(2, number) for number in range(25)]
    into: dict[str, float] = {}
    for name, make in (("ours", lambda: Ours(WaitForIdle(buffer=1.0, max_wait=None))), ("timer", lambda: Silence(1.0))):
        tally = Tally()
        for made in calls:
            play(made, make(), USUAL, tally)
        into[name] = tally.intrusions / tally.onsets
    assert into["ours"] < into["timer"]

"""The floor: every state and its reason, their precedence, and every timer."""

from __future__ import annotations

import pytest

from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Dropped,
    Event,
    Joined,
    Left,
    LevelMoved,
    ReplySettled,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingPlanned,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import (
    Blocker,
    CallerGone,
    Floor,
    FloorAction,
    FloorChanged,
    FloorState,
    FloorTimes,
    FloorView,
    PlayoutUnconfirmed,
    ReplyOverdue,
)

A, B = "anna", "bert"
TURN = Turn("t1", A, "hello", 1.0, 2.0)


def run(*script: tuple[float, Event], times: FloorTimes | None = None) -> Floor:
    """A floor after these events."""
    floor = Floor(times or FloorTimes())
    for at, event in script:
        floor.handle(event, at)
    return floor


def room(*script: tuple[float, Event]) -> Floor:
    """The same, with Anna in the room from the beginning."""
    return run((0.0, Joined(A)), *script)


def others(actions: list[FloorAction]) -> list[FloorAction]:
    return [a for a in actions if not isinstance(a, FloorChanged)]


# -- states and reasons


def test_a_new_room_is_empty() -> None:
    floor = Floor()
    assert floor.view == FloorView(FloorState.EMPTY, Blocker.NOBODY, 0.0)
    assert floor.deadline() is None


def test_the_floor_opens_when_a_caller_joins() -> None:
    floor = Floor()
    assert floor.handle(Joined(A), 3.0) == [FloorChanged(FloorView(FloorState.OPEN, None, 3.0, 3.0))]
    assert floor.view.open


@pytest.mark.parametrize(
    ("script", "state", "blocker"),
    [
        ([], FloorState.OPEN, None),
        ([(1, SpeechStarted(A))], FloorState.USER_HOLDS, Blocker.CALLER_SPEAKING),
        ([(1, SpeechStarted(A)), (2, SpeechStopped(A))], FloorState.USER_HOLDS, Blocker.CALLER_PAUSED),
        ([(1, DigitPressed(A, "5"))], FloorState.USER_HOLDS, Blocker.DIGITS),
        ([(1, SpeakingStarted("u"))], FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING),
        ([(1, SpeakingPlanned("u"))], FloorState.AGENT_OWES, Blocker.SPEECH),
        ([(1, SpeakingPlanned("u")), (2, TurnEnded(TURN))], FloorState.AGENT_OWES, Blocker.REPLY),
        ([(1, SpeakingPlanned("u")), (2, SpeakingStarted("u"))], FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING),
        ([(1, SpeakingPlanned("u")), (2, SpeakingEnded("u"))], FloorState.OPEN, None),
        ([(1, SpeakingStarted("u")), (2, SpeakingPaused("u"))], FloorState.AGENT_OWES, Blocker.SPEECH),
        ([(1, SpeakingScheduled("u", 9.0))], FloorState.OPEN, None),
        ([(2, TurnEnded(TURN))], FloorState.AGENT_OWES, Blocker.REPLY),
        ([(2, TurnEnded(TURN)), (3, ReplySettled("t1"))], FloorState.OPEN, None),
        ([(2, TurnEnded(TURN)), (3, ReplySettled("t2"))], FloorState.AGENT_OWES, Blocker.REPLY),
        ([(1, SpeakingStarted("u")), (2, SpeakingEnded("u"))], FloorState.OPEN, None),
        ([(1, SpeakingStarted("u")), (2, SpeakingEnded("u", True))], FloorState.USER_HOLDS, Blocker.QUESTION),
        ([(1, Deafened(A, Deafness.HELD))], FloorState.EMPTY, Blocker.ON_HOLD),
        ([(1, Deafened(A, Deafness.RINGING))], FloorState.EMPTY, Blocker.RINGING),
        ([(1, Deafened(A, Deafness.RECONNECTING))], FloorState.EMPTY, Blocker.RECONNECTING),
        ([(1, Deafened(A, Deafness.HELD)), (2, Joined(A))], FloorState.OPEN, None),
        ([(1, Left(A))], FloorState.EMPTY, Blocker.NOBODY),
        ([(1, SpeechStarted(A)), (2, TurnDropped(A, Dropped.NO_WORDS))], FloorState.OPEN, None),
        ([(1, SpeechStarted(B))], FloorState.OPEN, None),
        ([(1, SpeakingHeard("u", 3))], FloorState.OPEN, None),
    ],
)
def test_what_each_event_makes_of_the_floor(
    script: list[tuple[float, Event]], state: FloorState, blocker: Blocker | None
) -> None:
    view = room(*script).view
    assert (view.state, view.blocker) == (state, blocker)


HOLDING = [
    (Deafened(A, Deafness.HELD), FloorState.EMPTY),
    (SpeechStarted(A), FloorState.USER_HOLDS),
    (SpeakingStarted("u"), FloorState.AGENT_AUDIBLE),
    (TurnEnded(Turn("t9", B, "hi", 0, 0)), FloorState.AGENT_OWES),
]


@pytest.mark.parametrize("high", range(4))
@pytest.mark.parametrize("low", range(4))
def test_the_state_of_highest_precedence_shows_whatever_came_first(high: int, low: int) -> None:
    first, second = HOLDING[high], HOLDING[low]
    view = room((1, first[0]), (2, second[0])).view
    if high == low:
        assert view.state is first[1]
    elif FloorState.EMPTY in (first[1], second[1]):
        assert view.state is FloorState.EMPTY
    else:
        assert view.state is min(first[1], second[1], key=list(FloorState).index)


def test_a_question_gives_way_to_what_is_really_going_on() -> None:
    asked = [(1.0, SpeakingStarted("u")), (2.0, SpeakingEnded("u", True))]
    assert room(*asked, (2.1, SpeechStarted(A))).view.blocker is Blocker.CALLER_SPEAKING
    assert room(*asked, (2.1, SpeakingStarted("v"))).view.blocker is Blocker.AGENT_SPEAKING
    assert room(*asked, (2.1, Left(A))).view.blocker is Blocker.NOBODY
    assert room(*asked, (2.1, TurnEnded(TURN))).view.blocker is Blocker.REPLY


def test_since_is_when_the_state_began_not_its_reason() -> None:
    floor = room((1, SpeechStarted(A)), (2, SpeechStopped(A)))
    assert (floor.view.blocker, floor.view.since) == (Blocker.CALLER_PAUSED, 1)


def test_a_change_is_told_once() -> None:
    floor = room((1, SpeechStarted(A)))
    assert floor.handle(WordsHeard(A, "hello"), 1.5) == []
    assert floor.handle(SpeechStarted(A), 1.6) == []


def test_quiet_begins_before_a_pending_question_ends() -> None:
    floor = room((1, SpeakingStarted("u")), (2, SpeakingEnded("u", True)))
    assert floor.view.quiet_since == 2
    floor.expire(10)
    assert floor.view == FloorView(FloorState.OPEN, None, 3.5, 2.0)
    floor.handle(SpeechStarted(A), 11)
    assert floor.view.quiet_since is None


# -- several callers


def test_any_caller_who_speaks_holds_the_floor_and_is_named() -> None:
    floor = room((0, Joined(B)), (1, SpeechStarted(A)), (2, SpeechStopped(A)), (3, SpeechStarted(B)))
    assert (floor.view.caller, floor.view.blocker) == (B, Blocker.CALLER_SPEAKING)
    floor.handle(TurnEnded(Turn("t", B, "x", 3, 4)), 4)
    assert (floor.view.caller, floor.view.blocker) == (A, Blocker.CALLER_PAUSED)


def test_a_room_with_one_who_hears_is_not_empty() -> None:
    floor = room((0, Joined(B)), (1, Deafened(A, Deafness.HELD)))
    assert floor.view.open
    floor.handle(Left(B), 2)
    assert floor.view.blocker is Blocker.ON_HOLD


def test_who_does_not_hear_does_not_hold_the_floor() -> None:
    floor = room((0, Joined(B)), (1, SpeechStarted(A)), (2, Deafened(A, Deafness.HELD)), (3, SpeechStarted(A)))
    assert floor.view.open


def test_what_is_said_unheard_does_not_hold_the_floor_afterwards() -> None:
    floor = room((1, Deafened(A, Deafness.HELD)), (2, SpeechStarted(A)), (2, DigitPressed(A, "1")), (3, Joined(A)))
    assert floor.view.open


def test_the_reason_for_emptiness_is_who_may_hear_soonest() -> None:
    floor = room(
        (0, Joined(B)),
        (0, Joined("c")),
        (1, Deafened(A, Deafness.RINGING)),
        (1, Deafened(B, Deafness.HELD)),
        (1, Deafened("c", Deafness.RECONNECTING)),
    )
    assert floor.view.blocker is Blocker.RECONNECTING
    floor.handle(Left("c"), 2)
    assert floor.view.blocker is Blocker.ON_HOLD
    floor.handle(Left(B), 2)
    assert floor.view.blocker is Blocker.RINGING


# -- timers


@pytest.mark.parametrize(
    ("script", "due", "state"),
    [
        ([(1, SpeakingStarted("u")), (2, SpeakingEnded("u", True))], 3.5, FloorState.OPEN),
        ([(1, DigitPressed(A, "1")), (2, DigitPressed(A, "2"))], 5.0, FloorState.OPEN),
        ([(1, SpeechStarted(A))], 7.0, FloorState.OPEN),
        ([(1, SpeechStarted(A)), (4, WordsHeard(A, "er"))], 10.0, FloorState.OPEN),
        ([(1, SpeechStarted(A)), (4, LevelMoved(A))], 10.0, FloorState.OPEN),
        ([(1, SpeechStarted(A)), (2, SpeechStopped(A))], 7.0, FloorState.OPEN),
        ([(1, SpeakingStarted("u"))], 3.0, FloorState.OPEN),
        ([(1, SpeakingScheduled("u", 4.0)), (2, SpeakingStarted("u"))], 6.0, FloorState.OPEN),
        ([(1, SpeakingStarted("u")), (2, SpeakingScheduled("u", 5.0))], 7.0, FloorState.OPEN),
        ([(2, SpeakingPlanned("u"))], 17.0, FloorState.OPEN),
        ([(1, SpeakingStarted("u")), (2, SpeakingPaused("u"))], 17.0, FloorState.OPEN),
        ([(1, Deafened(A, Deafness.RECONNECTING))], 11.0, FloorState.EMPTY),
    ],
)
def test_nothing_starves_on_a_broken_part(script: list[tuple[float, Event]], due: float, state: FloorState) -> None:
    floor = room(*script)
    assert floor.deadline() == due
    held = floor.view
    floor.expire(due - 0.001)
    assert floor.view == held
    floor.expire(due)
    assert floor.view.state is state
    assert floor.deadline() is None


def test_words_over_noise_hold_the_floor_again() -> None:
    floor = room((1, SpeechStarted(A)))
    floor.expire(8)
    assert floor.view.open
    floor.handle(WordsHeard(A, "wait"), 9)
    assert floor.view.blocker is Blocker.CALLER_SPEAKING


@pytest.mark.parametrize("why", [Deafness.HELD, Deafness.RINGING])
def test_a_held_caller_is_waited_for_without_end(why: Deafness) -> None:
    assert room((1, Deafened(A, why))).deadline() is None


def test_who_does_not_come_back_is_gone_and_nothing_is_owed_them() -> None:
    floor = room((1, TurnEnded(TURN)), (2, Deafened(A, Deafness.RECONNECTING)))
    assert others(floor.expire(12)) == [CallerGone(A)]
    floor.handle(Joined(B), 13)
    assert floor.view.open


def test_who_hangs_up_is_owed_nothing() -> None:
    floor = room((0, Joined(B)), (1, TurnEnded(TURN)), (2, Left(A)))
    assert floor.view.open
    assert floor.deadline() is None


def test_who_comes_back_in_time_is_still_owed_a_reply() -> None:
    floor = room((1, TurnEnded(TURN)), (2, Deafened(A, Deafness.RECONNECTING)), (8, Joined(A)))
    assert floor.view.blocker is Blocker.REPLY
    assert floor.deadline() == 16


def test_an_utterance_without_receipt_is_told() -> None:
    floor = room((1, SpeakingScheduled("u", 4.0)), (2, SpeakingStarted("u")))
    assert others(floor.expire(20)) == [PlayoutUnconfirmed("u")]
    assert floor.handle(SpeakingEnded("u"), 21) == []


def test_a_reply_that_does_not_come_is_given_up() -> None:
    floor = room((2, TurnEnded(TURN)))
    assert others(floor.expire(17)) == [ReplyOverdue(TURN)]
    assert floor.view.blocker is Blocker.REPLY  # an apology is owed now
    floor.handle(ReplySettled("t1"), 18)
    assert floor.view.open


def test_a_reply_that_nobody_apologises_for_does_not_hold_the_floor_for_ever() -> None:
    floor = room((2, TurnEnded(TURN)))
    assert others(floor.expire(100)) == [ReplyOverdue(TURN)]
    assert floor.view == FloorView(FloorState.OPEN, None, 32.0, 32.0)


def test_a_reply_that_is_spoken_is_not_overdue() -> None:
    floor = room((2, TurnEnded(TURN)), (4, SpeakingScheduled("u", 60.0)), (4, SpeakingStarted("u")))
    assert others(floor.expire(50)) == []
    floor.handle(SpeakingPaused("u"), 50)
    assert floor.deadline() == 65
    assert others(floor.expire(65)) == [ReplyOverdue(TURN)]


def test_nobody_is_excused_for_what_was_no_reply() -> None:
    assert others(room((2, SpeakingPlanned("u"))).expire(30)) == []


def test_what_waits_behind_another_utterance_is_owed_as_long_as_that_lasts() -> None:
    floor = room((1, SpeakingStarted("u")), (1, SpeakingScheduled("u", 40.0)), (2, SpeakingPlanned("v")))
    floor.handle(SpeakingEnded("u"), 40)
    assert (floor.view.blocker, floor.deadline()) == (Blocker.SPEECH, 55)


def test_late_timers_are_carried_out_at_their_own_time() -> None:
    script = [(1.0, SpeechStarted(A)), (2.0, SpeechStopped(A))]
    punctual, late = room(*script), room(*script)
    told = []
    for at in (6.9, 7.0, 7.1):
        told += punctual.expire(at)
    assert late.expire(100.0) == told
    assert late.view == punctual.view == FloorView(FloorState.OPEN, None, 7.0, 7.0)


def test_timers_due_before_an_event_come_before_it() -> None:
    floor = room((1, SpeechStarted(A)), (2, SpeechStopped(A)))
    actions = floor.handle(SpeechStarted(A), 30.0)
    states = [(a.view.state, a.view.since) for a in actions if isinstance(a, FloorChanged)]
    assert states == [(FloorState.OPEN, 7.0), (FloorState.USER_HOLDS, 30.0)]


def test_time_that_runs_backwards_is_not_believed() -> None:
    floor = room((5, SpeechStarted(A)))
    floor.handle(SpeechStopped(A), 3)
    assert floor.deadline() == 10


# -- a model that owns its turns


def own(*script: tuple[float, Event]) -> Floor:
    """A floor of a model that decides by itself when to answer; Anna is in the room."""
    floor = Floor(owns_turns=True)
    floor.handle(Joined(A), 0.0)
    for at, event in script:
        floor.handle(event, at)
    return floor


def test_a_model_s_own_reply_is_owed_until_its_first_sound() -> None:
    floor = own((1, SpeechStarted(A)), (2, TurnEnded(TURN)))
    assert floor.view.blocker is Blocker.REPLY
    floor.handle(SpeakingStarted("u"), 3)
    assert floor.view.blocker is Blocker.AGENT_SPEAKING
    floor.handle(SpeakingEnded("u"), 4)
    assert floor.view.open  # nobody has to settle the turn


def test_a_model_that_stays_silent_is_waited_for_five_seconds_and_not_excused() -> None:
    floor = own((2, TurnEnded(TURN)))
    assert floor.deadline() == 7
    assert floor.expire(20) == [FloorChanged(FloorView(FloorState.OPEN, None, 7.0, 7.0))]


def test_what_a_model_still_says_does_not_lengthen_the_wait_for_its_reply() -> None:
    floor = own((1, SpeakingScheduled("u", 30.0)), (1, SpeakingStarted("u")), (2, TurnEnded(TURN)))
    assert floor.view.blocker is Blocker.AGENT_SPEAKING
    floor.handle(SpeakingEnded("u"), 3)
    assert (floor.view.blocker, floor.deadline()) == (Blocker.REPLY, 7)


def test_a_model_may_have_nothing_to_say() -> None:
    assert own((2, TurnEnded(TURN)), (3, ReplySettled("t1"))).view.open


def test_how_long_a_model_is_waited_for_can_be_chosen() -> None:
    floor = Floor(FloorTimes(own_reply=1.0), owns_turns=True)
    floor.handle(Joined(A), 0)
    floor.handle(TurnEnded(TURN), 2)
    assert floor.deadline() == 3

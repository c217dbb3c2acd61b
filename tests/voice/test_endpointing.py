"""How much silence ends a turn."""

from __future__ import annotations

import pytest

from voice.endpointing import AsRecognized, FixedSilence, GivenEnd, SoFar


@pytest.mark.parametrize(
    ("turn", "seconds"),
    [
        (SoFar("compare postgres and"), 0.6),
        (SoFar(""), 0.6),
        (SoFar("", voiced=0.6), 0.35),
        (SoFar("", voiced=0.7), 0.6),
        (SoFar("no", voiced=0.3), 0.6),
        (SoFar("compare postgres and sqlite", complete=True), 0.25),
        (SoFar("mm-hm", backchannel=True), 0.15),
        (SoFar("okay", complete=True, backchannel=True), 0.15),
    ],
)
def test_the_more_is_known_the_sooner_a_turn_ends(turn: SoFar, seconds: float) -> None:
    assert FixedSilence().wait(turn) == seconds


def test_the_silences_can_be_chosen() -> None:
    endpointer = FixedSilence(silence=1.0, complete=0.5, backchannel=0.2)
    turns = (SoFar("x"), SoFar("x", complete=True), SoFar("x", backchannel=True))
    assert [endpointer.wait(t) for t in turns] == [1.0, 0.5, 0.2]
    assert FixedSilence(wordless=0.5).wait(SoFar("", voiced=0.1)) == 0.5
    assert FixedSilence(silence=0.3).wait(SoFar("", voiced=0.1)) == 0.3  # never longer than for words


@pytest.mark.parametrize("name", ["silence", "complete", "backchannel", "wordless"])
@pytest.mark.parametrize("value", [0, -1, 11, float("nan")])
def test_a_silence_that_makes_no_sense_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"FixedSilence.{name} must be seconds"):
        FixedSilence(**{name: value})


@pytest.mark.parametrize(
    ("turn", "seconds"),
    [
        (SoFar("compare postgres and"), None),
        (SoFar("compare postgres and sqlite", complete=True), 0.0),
        (SoFar("compare postgres and sqlite", eager=True), 0.0),
        (SoFar("okay", complete=True, backchannel=True), None),
    ],
)
def test_an_answer_may_be_begun_ahead_of_what_seems_whole(turn: SoFar, seconds: float | None) -> None:
    assert FixedSilence().foresee(turn) == seconds
    assert FixedSilence(eager=0.3).foresee(SoFar("compare")) == 0.3


def test_who_ends_turns_by_itself_is_waited_for() -> None:
    given = GivenEnd(longest=4.0)
    assert given.wait(SoFar("compare them", complete=True)) == given.wait(SoFar("compare", eager=True)) == 4.0
    assert given.wait(SoFar("mm-hm", backchannel=True)) == 0.15
    assert given.wait(SoFar("", voiced=0.2)) == 0.6
    assert given.foresee(SoFar("compare them", complete=True)) is None
    assert given.foresee(SoFar("compare them", eager=True)) == 0.0
    assert given.foresee(SoFar("mm-hm", eager=True, backchannel=True)) is None


@pytest.mark.parametrize("name", ["longest", "backchannel", "wordless"])
def test_a_wait_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"GivenEnd.{name} must be seconds"):
        GivenEnd(**{name: 0})


def test_who_ends_turns_is_whoever_recognises_now() -> None:
    class Recognizer:
        endpoints = True

    one, turn = Recognizer(), SoFar("compare", eager=True)
    endpointer = AsRecognized(one, GivenEnd(longest=4.0), FixedSilence(silence=0.7, eager=0.3))
    assert (endpointer.wait(turn), endpointer.foresee(SoFar("compare"))) == (4.0, None)
    one.endpoints = False
    assert (endpointer.wait(turn), endpointer.foresee(SoFar("compare"))) == (0.7, 0.3)


@pytest.mark.parametrize("provider", [True, False])
def test_this_caller_s_own_recogniser_counts_where_it_is_another(provider: bool) -> None:
    class Recognizer:
        endpoints = provider

    endpointer = AsRecognized(Recognizer(), GivenEnd(longest=4.0), FixedSilence(silence=0.7, eager=0.3))
    assert [endpointer.wait(SoFar("compare", given=given)) for given in (True, False)] == [4.0, 0.7]
    assert [endpointer.foresee(SoFar("compare", given=given)) for given in (True, False)] == [None, 0.3]

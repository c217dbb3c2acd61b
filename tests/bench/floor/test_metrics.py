"""The definitions of the metrics, on timelines made by hand."""

from __future__ import annotations

import math

import pytest

from tests.bench.floor.caller import Kind, Voice
from tests.bench.floor.metrics import (
    Fate,
    Tally,
    collided,
    count_giving_way,
    count_recovery,
    quantile,
    ratio,
)
from tests.bench.floor.mouth import Utterance
from tests.bench.floor.talk import draw

RESPONSE = draw(1, 1).on_reply[0]


def said(*spans: tuple[float, float, float], words: str = "", heard: int = 0, result: str = "d0") -> Utterance:
    """An utterance at the ear from, to, and to when it would have been; `words`: numbers of a result's words."""
    numbers = tuple((result, int(n)) for n in words)
    utterance = Utterance("u", numbers, RESPONSE, 0.0, 0.0, heard=heard, spans=list(spans))
    utterance.started = spans[0][0]
    return utterance


@pytest.mark.parametrize(
    ("at", "speaking", "starts", "hit"),
    [
        (5.0, True, [4.0], True),
        (5.0, False, [4.0], False),
        (5.0, False, [4.0, 5.29], True),
        (5.0, False, [5.31], False),
        (5.0, False, [], False),
    ],
)
def test_a_collision(at: float, speaking: bool, starts: list[float], hit: bool) -> None:
    assert collided(at, speaking, starts) is hit


def gave_way(voice: Voice, *utterances: Utterance) -> Tally:
    tally = Tally()
    count_giving_way(tally, [voice], utterances)
    return tally


def test_a_caller_who_takes_the_floor_is_yielded_to() -> None:
    tally = gave_way(Voice(3.0, 5.0, Kind.TURN), said((1.0, 3.24, 9.0)))
    assert tally.barges == 1
    assert tally.stops == [pytest.approx(0.24)]


def test_an_agent_that_goes_on_does_not_yield() -> None:
    assert (gave_way(Voice(3.0, 5.0, Kind.TURN), said((1.0, 9.0, 9.0)))).stops == []
    late = gave_way(Voice(3.0, 5.0, Kind.TURN), said((1.0, 5.5, 9.0)))
    assert (late.barges, late.stops) == (1, [])


@pytest.mark.parametrize("starts", [0.5, 1.2, 8.5, 9.5])
def test_speech_before_at_once_or_at_the_end_is_no_barge_in(starts: float) -> None:
    assert gave_way(Voice(starts, 12.0, Kind.TURN), said((1.0, 9.0, 9.0))).barges == 0


@pytest.mark.parametrize(
    ("spans", "through"),
    [
        ([(1.0, 9.0, 9.0)], 1),
        ([(1.0, 3.2, 9.0)], 0),
        ([(1.0, 3.2, 9.0), (3.8, 9.8, 9.8)], 1),
        ([(1.0, 3.2, 9.0), (3.9, 9.8, 9.8)], 0),
        ([(1.0, 5.0, 9.0)], 1),  # for something else
    ],
)
def test_backchannels_talked_through(spans: list[tuple[float, float, float]], through: int) -> None:
    tally = gave_way(Voice(3.0, 3.4, Kind.BACKCHANNEL), said(*spans))
    assert (tally.backchannels, tally.talked_through) == (1, through)


def test_another_utterance_is_not_the_same_one_resumed() -> None:
    tally = gave_way(Voice(3.0, 3.4, Kind.BACKCHANNEL), said((1.0, 3.2, 9.0)), said((3.5, 9.0, 9.0)))
    assert tally.talked_through == 0


def recovered(fate: Fate, *utterances: Utterance) -> Tally:
    tally = Tally()
    count_recovery(tally, {"d0": fate}, utterances)
    return tally


def test_the_rest_from_the_last_heard_word_repeats_and_loses_nothing() -> None:
    tally = recovered(Fate(1.0, 4), said((5, 6, 7), words="0123", heard=2), said((9, 10, 10), words="23", heard=2))
    assert (tally.repeated, tally.lost, tally.owed, tally.never) == (0, 0, 0, 0)
    assert tally.delays == [4.0]


def test_all_of_it_again_repeats() -> None:
    tally = recovered(Fate(1.0, 4), said((5, 6, 7), words="0123", heard=2), said((9, 10, 10), words="0123", heard=4))
    assert (tally.repeated, tally.most_repeated, tally.lost) == (2, 2, 0)


def test_what_nobody_means_to_tell_any_more_is_lost() -> None:
    utterance = said((5, 6, 7), words="0123", heard=2)
    assert recovered(Fate(1.0, 4), utterance).lost == 1
    owed = recovered(Fate(1.0, 4, waiting=True), utterance)
    assert (owed.lost, owed.owed) == (0, 1)


def test_what_was_never_begun_waits_for_ever() -> None:
    tally = recovered(Fate(1.0, 4, waiting=True))
    assert (tally.never, tally.owed, tally.late, tally.delays) == (1, 1, 1, [math.inf])


@pytest.mark.parametrize(
    ("fate", "stale"),
    [
        (Fate(1.0, 4, ttl=3.0), 1),
        (Fate(1.0, 4, ttl=4.0), 0),
        (Fate(1.0, 4, replaced_at=4.5), 1),
        (Fate(1.0, 4, replaced_at=4.9), 0),  # it was already on its way
        (Fate(1.0, 4), 0),
    ],
)
def test_what_is_out_of_date_is_stale(fate: Fate, stale: int) -> None:
    assert recovered(fate, said((5, 7, 7), words="0123", heard=4)).stale == stale


def test_what_was_rightly_ended_is_neither_lost_nor_never() -> None:
    tally = recovered(Fate(1.0, 4, replaced_at=2.0, ended=True))
    assert (tally.results, tally.lost, tally.never, tally.delays) == (1, 0, 0, [])


def test_of_nothing_there_is_no_share() -> None:
    assert math.isnan(ratio(0, 0))
    assert math.isnan(quantile([], 0.5))
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0

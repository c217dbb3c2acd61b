"""What was heard of sound whose maker tells no times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.leg import RATE
from voice.realtime.reckoning import PACE, Pace, Reckoning, Stretch

TEXT = "one two three four"


def test_words_share_their_sound_in_proportion() -> None:
    marks, stretch = Reckoning(), Stretch(Pace())
    marks.play(stretch, 0)
    marks.read(stretch, TEXT, 0)
    marks.close(stretch, 19 * 100)
    assert [marks.heard(position) for position in (399, 400, 799, 800, 1400, 1899, 1900)] == [0, 3, 3, 7, 13, 13, 18]
    assert (marks.resume_at(500), marks.next_end(500)) == (400, 800)


def test_words_that_come_after_their_sound_count_all_the_same() -> None:
    marks, stretch = Reckoning(), Stretch(Pace())
    marks.play(stretch, 0)
    marks.close(stretch, 19 * 100)
    assert marks.heard(1900) == 0
    marks.read(stretch, TEXT, 0)
    assert marks.heard(1900) == 18


def test_a_word_may_come_in_pieces() -> None:
    marks, stretch = Reckoning(), Stretch(Pace())
    marks.play(stretch, 0)
    marks.read(stretch, "post", 0)
    marks.read(stretch, "gres ", 4)
    marks.read(stretch, "it is", 9)
    assert stretch.words == [(0, 8), (9, 11), (12, 14)]


@pytest.mark.parametrize("closed", [False, True])
def test_what_is_not_whole_is_reckoned_by_the_pace(closed: bool) -> None:
    marks, stretch = Reckoning(), Stretch(Pace())
    marks.play(stretch, 0)
    marks.read(stretch, TEXT, 0)
    if closed:
        marks.close(stretch, RATE // 2, short=True)
    assert marks.heard(RATE // 2) == 3  # half a second has six characters
    assert marks.heard(round(19 / PACE * RATE)) == 18


def test_the_pace_of_a_voice_is_learnt_from_what_it_said_whole() -> None:
    pace = Pace()
    before = pace.samples(20)
    for _ in range(20):
        marks, stretch = Reckoning(), Stretch(pace)
        marks.play(stretch, 0)
        marks.read(stretch, TEXT, 0)
        stretch.learn()
        assert pace.samples(20) <= before
        marks.close(stretch, 19 * RATE // 24)
        stretch.learn()
    assert pace.samples(24) == pytest.approx(RATE, rel=0.4)
    assert pace.samples(20) < before


@given(st.lists(st.tuples(st.sampled_from(["one ", "two", " three", "."]), st.integers(0, 9)), max_size=20))
def test_marks_never_go_back(pieces: list[tuple[str, int]]) -> None:
    marks, pace, char, sample = Reckoning(), Pace(), 0, 0
    stretch = Stretch(pace)
    marks.play(stretch, 0)
    for text, end in pieces:
        marks.read(stretch, text, char)
        char += len(text)
        if end == 9:
            sample += 5_000
            marks.close(stretch, sample)
            stretch = Stretch(pace)
            marks.play(stretch, sample)
        heard = [marks.heard(position) for position in range(0, sample + 50_000, 997)]
        assert heard == sorted(heard)
        assert heard[-1] <= char

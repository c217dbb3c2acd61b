"""Which words have been heard at which sample."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from voice.marks import Marks

TEXT = "Well, hello there. Good-bye!"


def marked() -> Marks:
    """Two sentences: three words of 100 samples each, then one of 200."""
    marks = Marks()
    marks.begin("Well, hello there.", 0, 0)
    marks.add(0, 4, 0)
    marks.add(6, 11, 100)
    marks.add(12, 17, 200)
    marks.end(300)
    marks.begin("Good-bye!", 19, 300)
    marks.add(0, 4, 300)
    marks.add(5, 8, 400)
    marks.end(500)
    return marks


def test_a_word_is_heard_when_the_next_one_begins() -> None:
    heard = [TEXT[: marked().heard(p)] for p in (0, 99, 100, 199, 200, 299, 300, 499, 500, 900)]
    assert heard == ["", "", "Well,", "Well,", "Well, hello", "Well, hello", TEXT[:18], TEXT[:18], TEXT, TEXT]


def test_a_pause_goes_on_with_the_word_that_was_not_wholly_heard() -> None:
    assert [marked().resume_at(p) for p in (0, 50, 100, 150, 299, 300, 450, 500)] == [
        0,
        0,
        100,
        100,
        200,
        300,
        300,
        500,
    ]


def test_the_next_end_of_a_word() -> None:
    assert [marked().next_end(p) for p in (0, 99, 100, 299, 300, 499, 500)] == [100, 100, 200, 300, 500, 500, None]


def test_a_word_that_is_still_being_made_has_no_end() -> None:
    marks = Marks()
    marks.begin("one two", 0, 0)
    marks.add(0, 3, 0)
    assert (marks.heard(1000), marks.next_end(0), marks.resume_at(1000)) == (0, None, 0)
    marks.add(4, 7, 100)
    assert (marks.heard(1000), marks.next_end(0), marks.resume_at(1000)) == (3, 100, 100)


def test_silence_before_a_word_is_not_gone_back_over() -> None:
    marks = Marks()
    marks.begin("one", 0, 0)
    marks.add(0, 3, 80)
    marks.end(200)
    assert marks.resume_at(40) == 40


def test_without_marks_words_share_the_time_by_their_length() -> None:
    marks = Marks()
    marks.begin("a bcd", 0, 0)
    assert marks.heard(10**6) == 0
    marks.end(600)
    assert [marks.heard(p) for p in (199, 200, 599, 600)] == [0, 1, 1, 5]


def test_marks_that_make_no_sense_are_ignored() -> None:
    marks = Marks()
    marks.begin("one two", 0, 0)
    marks.add(0, 3, 0)
    for start, end, at in ((-1, 2, 50), (4, 99, 50), (5, 5, 50), (6, 4, 50), (0, 3, 60), (4, 7, -5)):
        marks.add(start, end, at)
    marks.add(4, 7, 100)
    marks.end(200)
    assert [marks.heard(p) for p in (0, 99, 100, 199, 200)] == [0, 0, 3, 3, 7]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 8), st.integers(1, 400)), min_size=1, max_size=6), min_size=1, max_size=4
    ),
    st.booleans(),
)
def test_what_is_heard_only_grows_and_ends_at_ends_of_words(
    sentences: list[list[tuple[int, int]]], with_marks: bool
) -> None:
    text, marks, sample, ends = "", Marks(), 0, set()
    for sentence in sentences:
        text += " " if text else ""
        char, words = len(text), " ".join("x" * length for length, _ in sentence)
        marks.begin(words, char, sample)
        at = 0
        for length, samples in sentence:
            if with_marks:
                marks.add(at, at + length, sample)
            sample += samples
            at += length + 1
            ends.add(char + at - 1)
        text += words
        marks.end(sample)
    heard = [marks.heard(p) for p in range(0, sample + 10, 7)] + [marks.heard(sample)]
    assert set(heard) <= ends | {0}
    assert all(a <= b for a, b in itertools.pairwise(heard[:-1]))
    assert marks.heard(sample) == len(text)
    for p in range(0, sample, 31):
        back = marks.resume_at(p)
        assert back <= p
        assert marks.heard(back) == marks.heard(p)
        following = marks.next_end(p)
        assert following is not None
        assert marks.heard(following) > marks.heard(p)

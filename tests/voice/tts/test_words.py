"""Words are found where a reader would find them, and letters remember where they came from."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voice.tts.letters import Letters
from voice.tts.synthesizer import WordMark
from voice.tts.words import Words


def spans(text: str) -> list[str]:
    words = Words(text)
    found = [words.mark(index, index / 10) for index in range(len(text))]
    return [text[mark.start : mark.end] for mark in found if mark]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["Hello", "world"]),
        ("(quite) well-known “fun” – e.g. it's", ["quite", "well-known", "fun", "e.g", "it's"]),
        ("$3.50, 50% of C++ #1", ["$3.50", "50%", "of", "C++", "#1"]),
        ("  naïve\n\tcafé  ", ["naïve", "café"]),
        ("... – !", []),
        ("", []),
    ],
)
def test_a_word_is_what_stands_between_spaces_without_its_punctuation(text: str, expected: list[str]) -> None:
    assert spans(text) == expected
    assert len(Words(text)) == len(expected)


def test_a_word_is_marked_once_and_never_after_a_later_one() -> None:
    words = Words("one two three")
    assert words.mark(5, 0.5) == WordMark(4, 7, 0.5)
    assert words.mark(4, 0.6) is None
    assert words.mark(0, 0.7) is None
    assert words.mark(8, 0.4) == WordMark(8, 13, 0.5), "time does not go back"


def test_before_the_first_word_there_is_none() -> None:
    assert Words("  one").mark(0, 0.0) is None


@example("/_", [(0, 0.0)])
@given(st.text(max_size=80), st.lists(st.tuples(st.integers(0, 90), st.floats(0, 100)), max_size=20))
def test_marks_go_forward_whatever_an_engine_says(text: str, said: list[tuple[int, float]]) -> None:
    words = Words(text)
    end, at = 0, 0.0
    for index, seconds in said:
        mark = words.mark(index, seconds)
        if mark:
            assert end <= mark.start < mark.end <= len(text)
            assert any(character.isalnum() for character in text[mark.start : mark.end])
            assert mark.at >= at
            end, at = mark.end, mark.at


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("naïve café", "naive cafe"),
        ("“it’s” – 5€…", '"it\'s" ,  5 euros ...'),
        ("Straße ﬁne ½", "Strasse fine 1/2"),
        ("漢\t\0", "   "),
    ],
)
def test_letters_are_written_in_ascii(text: str, written: str) -> None:
    assert Letters(text).ascii == written


@given(st.text(max_size=80))
def test_every_letter_knows_its_origin(text: str) -> None:
    letters = Letters(text)
    origins = [letters.origin(index) for index in range(len(letters.ascii))]
    assert origins == sorted(origins)
    assert set(origins) == set(range(len(text)))
    assert letters.ascii.isascii()
    assert letters.ascii.isprintable()

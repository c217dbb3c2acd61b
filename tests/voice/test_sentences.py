"""Parting a text into sentences while it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.sentences import LONGEST, Sentence, Sentences


def parts(*pieces: str) -> list[str]:
    sentences = Sentences()
    return [s.text for piece in pieces for s in sentences.push(piece)] + [s.text for s in sentences.flush()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("On it. Anything else?", ["On it.", "Anything else?"]),
        ("Dr. Smith costs $3.50 e.g. at noon. Fine!", ["Dr. Smith costs $3.50 e.g. at noon.", "Fine!"]),
        ("J. R. R. Tolkien wrote it.", ["J. R. R. Tolkien wrote it."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("What?! No... yes", ["What?!", "No...", "yes"]),
        ("First line\nsecond line", ["First line", "second line"]),
        ("  padded.   ", ["padded."]),
        ("", []),
        ("\n \n", []),
        ("你好。 再见。", ["你好。", "再见。"]),
    ],
)
def test_a_whole_text(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_sentence_is_given_as_soon_as_the_next_one_begins() -> None:
    sentences = Sentences()
    assert sentences.push("On it.") == []
    assert sentences.finished
    assert sentences.push(" Any") == [Sentence(0, "On it.")]
    assert not sentences.finished
    assert sentences.waiting
    assert sentences.flush() == [Sentence(7, "Any")]
    assert not sentences.waiting


def test_a_number_that_is_cut_in_two_is_not_parted() -> None:
    assert parts("It costs 3.", "50 a month. Good.") == ["It costs 3.50 a month.", "Good."]


def test_a_long_sentence_is_parted_at_a_comma() -> None:
    text = "one two three, " * 40
    pieces = parts(text)
    assert all(len(p) <= LONGEST for p in pieces)
    assert all(p.endswith(",") for p in pieces)


def test_a_long_word_is_parted_anywhere() -> None:
    assert [len(p) for p in parts("x" * 500)] == [LONGEST, LONGEST, 20]


@given(st.lists(st.text(alphabet="ab .?!,\n\"'1Dr", max_size=80), max_size=12))
def test_nothing_is_lost_and_every_piece_is_where_it_says(pieces: list[str]) -> None:
    text = "".join(pieces)
    sentences = Sentences()
    found = [s for piece in pieces for s in sentences.push(piece)] + sentences.flush()
    at = 0
    for sentence in found:
        assert text[at : sentence.start].strip() == ""
        assert text[sentence.start : sentence.start + len(sentence.text)] == sentence.text
        assert 0 < len(sentence.text) <= LONGEST
        assert sentence.text == sentence.text.strip()
        at = sentence.start + len(sentence.text)
    assert text[at:].strip() == ""


@given(st.lists(st.sampled_from(["Yes. ", "No! ", "Well, maybe? ", "Three point one. "]), min_size=1), st.data())
def test_how_it_is_cut_does_not_matter(sentences: list[str], data: st.DataObject) -> None:
    text = "".join(sentences)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert parts(*pieces) == [s.strip() for s in sentences]

"""Which words leave the floor where it is, and which take it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.backchannels import BACKCHANNELS, STOPS, is_backchannel, takes_floor

PHRASES = st.sampled_from(sorted(" ".join(p) for p in BACKCHANNELS))


@pytest.mark.parametrize(
    "text",
    ["mm-hm", "Mm-hmm.", "uh huh", "Okay!", "right", "Yeah, yeah.", "I see", "okay, got it", "That’s right.", "oh wow"],
)
def test_signs_of_listening_are_backchannels(text: str) -> None:
    assert is_backchannel(text)
    assert not takes_floor(text)


@pytest.mark.parametrize(
    "text",
    [
        "stop",
        "Wait!",
        "hold on",
        "no",
        "what",
        "okay stop",
        "right but what about cost",
        "really?",
        "okay?",
        "tea please",
        "yes please do",
        "okay so what",
        "that is wrong",
        "could you repeat that",
    ],
)
def test_calls_to_stop_questions_and_sentences_take_the_floor(text: str) -> None:
    assert takes_floor(text)
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["", " ", "...", "hold", "i", "got", "that is", "okay i", "postgres", "yeah that's"])
def test_what_may_become_either_is_left_open(text: str) -> None:
    assert not takes_floor(text)
    assert not is_backchannel(text)


@given(st.lists(PHRASES, min_size=1, max_size=4))
def test_backchannels_in_a_row_are_one(phrases: list[str]) -> None:
    text = " ".join(phrases)
    assert is_backchannel(text)
    words = text.split()
    assert not any(takes_floor(" ".join(words[:n])) for n in range(len(words)))


@given(st.lists(PHRASES, max_size=3), st.sampled_from(sorted(" ".join(p) for p in STOPS)))
def test_no_call_to_stop_hides_behind_backchannels(phrases: list[str], stop: str) -> None:
    assert takes_floor(" ".join([*phrases, stop]))
    assert not is_backchannel(" ".join([*phrases, stop]))


@given(st.text(max_size=60))
def test_nothing_is_both(text: str) -> None:
    assert not (is_backchannel(text) and takes_floor(text))

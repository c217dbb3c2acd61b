"""What every endpointer keeps, whatever it goes by; each one's own silences are in the tests of its file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.endpointing import Endpointer, FixedSilence, GivenEnd, SoFar
from voice.smart_turn import SmartTurn

ENDPOINTERS: list[Endpointer] = [
    FixedSilence(),
    FixedSilence(silence=1.0, complete=0.9, eager=0.3),
    GivenEnd(),
    GivenEnd(longest=2.0),
    SmartTurn(),
    SmartTurn(threshold=0.9, silence=0.5, longest=1.0),
]
TURNS = st.builds(
    SoFar,
    text=st.sampled_from(["", " ", "mm-hm", "compare postgres and", "stop"]),
    complete=st.booleans(),
    voiced=st.floats(0, 60),
    eager=st.booleans(),
    over=st.none() | st.floats(0, 1),
)


@pytest.fixture(scope="module", params=ENDPOINTERS, ids=repr)
def endpointer(request: pytest.FixtureRequest) -> Endpointer:
    found: Endpointer = request.param
    return found


@given(turn=TURNS, backchannel=st.booleans())
def test_a_turn_ends_sometime_and_never_before_it_is_silent(
    endpointer: Endpointer, turn: SoFar, backchannel: bool
) -> None:
    seconds = endpointer.wait(replace(turn, backchannel=backchannel))
    assert 0 < seconds <= 10


@given(turn=TURNS)
def test_the_agent_goes_on_at_once_after_a_sign_of_listening(endpointer: Endpointer, turn: SoFar) -> None:
    sign = replace(turn, backchannel=True)
    assert endpointer.wait(sign) <= endpointer.wait(turn)
    assert endpointer.foresee(sign) is None


@given(turn=TURNS, over=st.floats(0, 1), more=st.floats(0, 1))
def test_the_more_it_seems_over_the_sooner_it_ends(
    endpointer: Endpointer, turn: SoFar, over: float, more: float
) -> None:
    less, more = sorted((over, more))
    assert endpointer.wait(replace(turn, over=more)) <= endpointer.wait(replace(turn, over=less))


@given(turn=TURNS)
def test_what_the_recogniser_knows_never_makes_it_last_longer(endpointer: Endpointer, turn: SoFar) -> None:
    plain = replace(turn, complete=False, eager=False)
    for known in (replace(plain, complete=True), replace(plain, eager=True)):
        assert endpointer.wait(known) <= endpointer.wait(plain)


@given(turn=TURNS, voiced=st.floats(0, 60))
def test_a_short_sound_without_words_holds_nobody_up(endpointer: Endpointer, turn: SoFar, voiced: float) -> None:
    short, long = sorted((turn.voiced, voiced))
    noise = replace(turn, text="", complete=False, voiced=short)
    assert endpointer.wait(noise) <= endpointer.wait(replace(noise, voiced=long))


@given(turn=TURNS)
def test_an_answer_is_begun_ahead_in_silence_or_not_at_all(endpointer: Endpointer, turn: SoFar) -> None:
    ahead = endpointer.foresee(turn)
    assert ahead is None or 0 <= ahead <= 10

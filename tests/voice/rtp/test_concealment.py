"""What is made up for lost sound goes on as the voice went, without a click, and is gone after 60 ms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.audio import FLOOR, level
from voice.rtp.comfort import LOUDEST_NOISE, ComfortNoise, noise_level
from voice.rtp.concealment import Concealer

RATES = pytest.mark.parametrize("rate", [8000, 16_000])


def voice(rate: int, hertz: float, seconds: float) -> np.ndarray:
    """A buzz with harmonics that grow weaker, as vowels have."""
    at = np.arange(round(rate * seconds)) / rate
    sound = sum(np.sin(2 * np.pi * hertz * k * at + k) * 4000 / k for k in range(1, 12))
    return np.rint(sound).astype(np.int16)


@RATES
@pytest.mark.parametrize("hertz", [70, 100, 140.5, 190])
def test_a_voice_goes_on_through_a_lost_frame(rate: int, hertz: float) -> None:
    whole = voice(rate, hertz, 0.4)
    frame = rate // 50
    concealer = Concealer(rate)
    played = []
    for n in range(20):
        good = whole[n * frame : (n + 1) * frame]
        played.append(concealer.conceal(frame) if n == 10 else concealer.heard(good))
    sound = np.concatenate(played).astype(float)
    assert (sound[: 10 * frame] == whole[: 10 * frame]).all()
    lost = slice(10 * frame, 10 * frame + frame // 2)
    assert np.corrcoef(sound[lost], whole[lost].astype(float))[0, 1] > 0.9
    # No click: no step larger than those of the voice itself.
    assert np.abs(np.diff(sound)).max() <= np.abs(np.diff(whole.astype(float))).max() * 1.3
    assert (sound[11 * frame + rate // 250 :] == whole[11 * frame + rate // 250 :]).all()


@RATES
def test_it_fades_to_nothing_within_60_ms(rate: int) -> None:
    concealer = Concealer(rate)
    concealer.heard(voice(rate, 120, 0.2))
    loud = [level(concealer.conceal(rate // 50).tobytes()) for _ in range(6)]
    assert loud[0] > loud[1] > loud[2] > FLOOR
    assert loud[3:] == [FLOOR] * 3


def test_neither_the_periods_nor_what_follows_are_joined_with_a_click() -> None:
    at = np.arange(1600)
    concealer = Concealer(8000)
    # A voice over a steep slope, so that a period does not end where it began: 3200 lie between.
    concealer.heard((4000 * np.sin(2 * np.pi * at / 80) + 20_000 - 40.0 * at[::-1] % 24_000).astype(np.int16))
    made = concealer.conceal(160)
    after = concealer.heard(np.full(160, -15_000, np.int16))
    assert np.abs(np.diff(made[:150].astype(int))).max() < 1000
    assert np.abs(np.diff(np.concatenate((made, after)).astype(int))).max() < 2500
    assert (after[40:] == -15_000).all()


def test_before_anything_was_heard_there_is_silence() -> None:
    assert not Concealer(8000).conceal(160).any()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400), st.integers(0, 9)), max_size=30))
def test_whatever_is_lost_as_much_comes_out_and_no_louder_than_it_went_in(steps: list[tuple[bool, int, int]]) -> None:
    concealer = Concealer(8000)
    loudest = 0
    for good, length, seed in steps:
        sound = np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)
        out = concealer.heard(sound) if good else concealer.conceal(length)
        assert out.dtype == np.int16
        assert len(out) == length
        loudest = max(loudest, int(np.abs(sound.astype(int)).max()) if good else 0)
        assert np.abs(out.astype(int)).max() <= loudest


def test_comfort_noise_is_as_loud_as_asked_and_never_louder_than_comfort() -> None:
    noise = ComfortNoise(seed=1)
    for asked in (40, 55, 70):
        assert level(noise.make(asked, 16_000).tobytes()) == pytest.approx(-asked, abs=0.5)
    assert not noise.make(127, 160).any()
    assert noise_level(b"\x00") == LOUDEST_NOISE
    assert noise_level(bytes([63, 1, 2])) == 63
    assert noise_level(b"") is None
    assert noise_level(b"\xff") is None
    assert (ComfortNoise(2).make(50, 99) == ComfortNoise(2).make(50, 99)).all()

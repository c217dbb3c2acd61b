"""The resampler neither aliases nor depends on how its input was cut; levels and mixes are what arithmetic says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voice.audio import DELAY, FLOOR, Resampler, level, mix, silence

PAIRS = [(8000, 16000), (16000, 8000), (22050, 16000), (44100, 16000), (48000, 16000), (16000, 48000), (24000, 16000)]
PAIRS += [(16000, 24000), (11025, 16000)]
LOUD = 0.9


def tone(hertz: float, rate: int, seconds: float = 0.5, loud: float = LOUD) -> bytes:
    at = np.arange(round(rate * seconds)) / rate
    return (np.sin(2 * np.pi * hertz * at) * loud * 32767).astype("<i2").tobytes()


def spectrum(pcm: bytes, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and their loudness (dB to a full-scale sine), from the settled middle of the sound."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    samples = samples[len(samples) // 4 : len(samples) * 3 // 4]
    window = np.blackman(len(samples))
    loud = np.abs(np.fft.rfft(samples * window)) / window.sum() * 2 / 32768
    return np.fft.rfftfreq(len(samples), 1 / rate), 20 * np.log10(loud + 1e-9)


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_tone_comes_through_alone(from_rate: int, to_rate: int) -> None:
    low = min(from_rate, to_rate) / 2
    worst = -math.inf
    for wanted in (200, 1000, 0.7 * low, low - 100, low + 100, 1.4 * low, from_rate / 2 - 100):
        hertz = 8 * round(wanted / 8)  # in the middle of a bin of the spectrum
        if hertz >= from_rate / 2:
            continue
        frequencies, loud = spectrum(Resampler(from_rate, to_rate).process(tone(hertz, from_rate)), to_rate)
        worst = max(worst, loud[np.abs(frequencies - hertz) > 60].max())
        if hertz <= 0.7 * low:
            assert loud.max() == pytest.approx(20 * math.log10(LOUD), abs=0.2)
    assert worst <= -70


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_it_lags_by_what_it_says(from_rate: int, to_rate: int) -> None:
    click = np.zeros(from_rate // 10, "<i2")
    click[from_rate // 50] = 30_000
    resampler = Resampler(from_rate, to_rate)
    out = np.abs(np.frombuffer(resampler.process(click.tobytes()), "<i2").astype(int))
    assert out.argmax() / to_rate - (from_rate // 50) / from_rate == pytest.approx(resampler.delay, abs=1 / to_rate)
    assert 0.001 <= resampler.delay <= 0.003


@given(
    st.sampled_from(PAIRS),
    st.lists(st.integers(0, 700), max_size=12),
    st.integers(0, 2**32 - 1),
)
@example((22050, 16000), [1] * 12, 0)
def test_the_cuts_do_not_matter(pair: tuple[int, int], cuts: list[int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32768, sum(cuts) + 100, "<i2").tobytes()
    whole, cut = Resampler(*pair), Resampler(*pair)
    pieces, at = [], 0
    for length in [*cuts, 100]:
        pieces.append(cut.process(noise[2 * at : 2 * (at + length)]))
        at += length
    assert b"".join(pieces) == whole.process(noise)
    assert cut.flush() == whole.flush()


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_flushed_it_has_given_everything_and_is_as_new(from_rate: int, to_rate: int) -> None:
    resampler = Resampler(from_rate, to_rate)
    sound = tone(300, from_rate, 0.1)
    first = resampler.process(sound) + resampler.flush()
    assert len(first) / 2 / to_rate == pytest.approx(0.1 + DELAY, abs=2 / to_rate)
    assert resampler.process(sound) + resampler.flush() == first


def test_the_loudest_sound_is_clipped_and_does_not_wrap() -> None:
    square = np.where(np.arange(4800) // 24 % 2, 32767, -32768).astype("<i2").tobytes()
    out = np.frombuffer(Resampler(48000, 16000).process(square), "<i2")
    assert out.max() == 32767
    assert out.min() == -32768
    turns = np.abs(np.diff(np.sign(out[100:]))).sum() / 2
    assert turns == pytest.approx((len(out) - 100) / 8, abs=2)  # a sample that wrapped would add two


def test_one_rate_needs_no_work() -> None:
    resampler = Resampler(16000, 16000)
    assert resampler.process(b"\1\2\3\4") == b"\1\2\3\4"
    assert resampler.flush() == b""
    assert resampler.delay == 0


@pytest.mark.parametrize("rates", [(0, 16000), (16000, -8000), (16000, 400_000), (22050.5, 16000)])
def test_impossible_rates_are_refused_by_name(rates: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="_rate must be between 4000 and 192000 Hz"):
        Resampler(*rates)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="whole 16-bit samples"):
        Resampler(8000, 16000).process(b"\0\0\0")


def test_levels() -> None:
    assert level(np.full(320, -32768, "<i2").tobytes()) == 0
    assert level(tone(1000, 16000, loud=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level(tone(1000, 16000, loud=0.1)) == pytest.approx(-23.01, abs=0.05)
    assert level(silence(0.02)) == level(b"") == FLOOR
    assert level(np.array([1, -1] * 160, "<i2").tobytes()) == pytest.approx(-90.3, abs=0.1)


def samples(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def test_mixing_adds_and_clips() -> None:
    assert mix([samples(100, -100), samples(23, -23)]) == samples(123, -123)
    assert mix([samples(30000, -30000)] * 3) == samples(32767, -32768)
    assert mix([samples(1, 2, 3), samples(10)]) == samples(11, 2, 3)
    assert mix([samples(7)]) == samples(7)
    assert mix([]) == b""


def test_silence_is_as_long_as_asked() -> None:
    assert silence(0.02) == bytes(640)
    assert silence(0) == b""

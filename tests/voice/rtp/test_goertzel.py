"""Keys of 40 ms with 40 ms between are found, once each, in bad sound too; shorter or lopsided ones and voices not."""

from __future__ import annotations

import numpy as np
import pytest

from voice.rtp.dtmf import DIGITS
from voice.rtp.g711 import A_LAW, MU_LAW
from voice.rtp.goertzel import HIGH, LOW, PAD, KeyFinder

RATE = 8000


def tone(digit: str, seconds: float, low: float = 0.2, high: float = 0.2, off: float = 0.0) -> np.ndarray:
    """A key's two tones, `off` from the right pitch (a part of it)."""
    row = next(n for n, keys in enumerate(PAD) if digit in keys)
    at = np.arange(round(RATE * seconds)) / RATE
    first = np.sin(2 * np.pi * LOW[row] * (1 + off) * at) * low
    second = np.sin(2 * np.pi * HIGH[PAD[row].index(digit)] * (1 + off) * at + 1) * high
    return np.rint((first + second) * 32767).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(RATE * seconds), np.int16)


def found(*pieces: np.ndarray) -> str:
    sound = np.concatenate((*pieces, silence(0.06)))
    finder = KeyFinder(1)
    frames = sound[: len(sound) // 160 * 160].reshape(-1, 1, 160)
    return "".join(digit for frame in frames for _, digit in finder.find(frame))


@pytest.mark.parametrize("start", [0.0, 0.003, 0.0075, 0.01, 0.0166])
@pytest.mark.parametrize("law", [MU_LAW, A_LAW], ids=["mu", "a"])
def test_every_key_of_40_ms_is_found_once_wherever_it_begins(start: float, law: object) -> None:
    assert isinstance(law, type(MU_LAW))
    pieces = [piece for digit in DIGITS + "5500" for piece in (tone(digit, 0.04), silence(0.04))]
    sound = np.concatenate([silence(0.02 + start), *pieces])
    assert found(law.decode(law.encode(sound))) == DIGITS + "5500"


def test_a_long_press_is_one() -> None:
    assert found(tone("7", 3.0)) == "7"
    assert found(tone("7", 0.1), tone("8", 0.1)) == "78"


def test_a_break_of_10_ms_in_a_press_is_none() -> None:
    assert found(tone("7", 0.1), silence(0.01), tone("7", 0.1)) == "7"


@pytest.mark.parametrize("off", [-0.015, 0.015])
def test_telephones_may_be_out_of_tune_by_what_is_allowed(off: float) -> None:
    for digit in DIGITS:
        assert found(tone(digit, 0.06, off=off)) == digit


def test_noise_15_db_below_hides_nothing() -> None:
    noise = np.random.default_rng(4)
    for digit in DIGITS:
        sound = tone(digit, 0.08) + noise.normal(0, 0.2 * 32767 / 5.6, 640)
        assert found(np.rint(sound).astype(np.int16)) == digit


@pytest.mark.parametrize(
    "sound",
    [
        tone("5", 0.015),
        tone("5", 0.2, high=0.0),
        tone("5", 0.2, low=0.0),
        tone("5", 0.2, low=0.05, high=0.2),
        tone("5", 0.2, low=0.4, high=0.1),
        tone("5", 0.2, low=0.005, high=0.005),
        tone("1", 0.2, low=0.1, high=0.1) + tone("8", 0.2, low=0.1, high=0.1),
        tone("1", 0.2, low=0.1, high=0.06) + tone("7", 0.2, low=0.1, high=0.06),
        np.random.default_rng(5).integers(-9000, 9000, 16_000).astype(np.int16),
        silence(1.0),
    ],
    ids=[
        "short",
        "low alone",
        "high alone",
        "twist",
        "reverse twist",
        "faint",
        "two keys",
        "two of a column",
        "noise",
        "silence",
    ],
)
def test_what_is_no_key_presses_nothing(sound: np.ndarray) -> None:
    assert found(sound) == ""


def test_voices_press_nothing() -> None:
    at = np.arange(RATE * 4) / RATE
    for start in (90, 120, 160, 210, 260):
        pitch = np.cumsum(start * (1 + 0.3 * np.sin(2 * np.pi * 0.7 * at))) / RATE
        buzz = sum(np.sin(2 * np.pi * k * pitch) / k**0.7 for k in range(1, 20))
        assert found(np.rint(buzz * 2500).astype(np.int16)) == ""


def test_many_calls_are_heard_at_once_and_a_new_one_begins_afresh() -> None:
    finder = KeyFinder(16)
    sound = np.stack([tone(digit, 0.06) for digit in DIGITS])
    keys = [each for n in range(3) for each in finder.find(sound[:, n * 160 : (n + 1) * 160])]
    assert sorted(keys) == sorted(enumerate(DIGITS))
    finder.reset(3)
    again = [each for n in range(3) for each in finder.find(sound[:, n * 160 : (n + 1) * 160])]
    assert again == [(3, "3")]

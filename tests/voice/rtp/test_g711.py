"""Both laws are G.711's, to the bit; what was decoded is encoded to the same byte; arrays are done as they stand."""

from __future__ import annotations

import numpy as np
import pytest

from voice.audio import level
from voice.rtp.g711 import A_LAW, G711, MU_LAW

# G.711 tables 1 and 2: decoder output values (at 16 bits) of the ends and beginnings of segments.
MU_VALUES = {
    0xFF: 0,
    0xFE: 8,
    0xF0: 120,
    0xEF: 132,
    0xE0: 372,
    0xDF: 396,
    0x80: 32124,
    0x00: -32124,
    0x7E: -8,
    0x6F: -132,
}
A_VALUES = {0xD5: 8, 0xD4: 24, 0xC5: 264, 0xDA: 248, 0xF5: 528, 0xAA: 32256, 0x2A: -32256, 0x55: -8, 0x45: -264}
LAWS = pytest.mark.parametrize("law", [MU_LAW, A_LAW], ids=["mu", "a"])


@pytest.mark.parametrize(("law", "values"), [(MU_LAW, MU_VALUES), (A_LAW, A_VALUES)], ids=["mu", "a"])
def test_values_are_those_of_the_standard(law: G711, values: dict[int, int]) -> None:
    assert law.decode(bytes(values)).tolist() == list(values.values())
    assert law.encode(np.array(list(values.values()), np.int16)) == bytes(values)


@LAWS
def test_every_byte_comes_back(law: G711) -> None:
    every = bytes(range(256))
    back = law.encode(law.decode(every))
    # Mu-law has two zeros; ours is the positive one.
    assert [byte for byte, other in zip(every, back, strict=True) if byte != other] == ([0x7F] if law is MU_LAW else [])


@LAWS
def test_no_sample_is_further_off_than_half_a_step(law: G711) -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    back = law.decoded(law.encoded(samples)).astype(int)
    magnitude = np.abs(samples.astype(int))
    assert (np.abs(back - samples) <= np.maximum(8, (magnitude + 132) / 32) + 1).all()
    assert (np.diff(back) >= 0).all()


@LAWS
def test_a_tone_keeps_38_db_above_its_noise(law: G711) -> None:
    samples = (np.sin(np.arange(8000) * 2 * np.pi * 1019 / 8000) * 10_000).astype(np.int16)
    noise = law.decode(law.encode(samples)).astype(int) - samples
    assert level(samples.tobytes()) - level(noise.astype("<i2").tobytes()) > 37


@LAWS
def test_many_calls_are_done_in_one_go(law: G711) -> None:
    samples = np.arange(-16000, 16000, 100, dtype=np.int16).reshape(2, 160)
    assert law.encoded(samples).shape == (2, 160)
    assert law.encoded(samples)[1].tobytes() == law.encode(samples[1])
    assert (law.decoded(law.encoded(samples))[0] == law.decode(law.encode(samples[0]))).all()


@LAWS
def test_silence_is_quiet_and_speech_is_not(law: G711) -> None:
    assert law.quiet(bytes([law.silence]) * 160)
    assert law.quiet(b"")
    assert abs(int(law.decode(bytes([law.silence]))[0])) <= 8
    assert not law.quiet(law.encode((np.sin(np.arange(160) / 3) * 1000).astype(np.int16)))

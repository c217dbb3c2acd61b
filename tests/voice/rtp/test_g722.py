"""Wide-band sound comes through, later by what the filters take; any bytes are decoded; who lacks the wheel is told."""

from __future__ import annotations

import sys
from random import Random

import numpy as np
import pytest

from voice.rtp.g722 import G722, RATE


def test_sound_of_up_to_7_khz_comes_through() -> None:
    pytest.importorskip("G722")
    for hertz in (300, 1000, 3000, 6000):
        coder = G722()
        sound = (np.sin(np.arange(RATE // 2) * 2 * np.pi * hertz / RATE) * 8000).astype(np.int16)
        sent = [coder.encode(frame) for frame in sound.reshape(-1, 320)]
        assert {len(payload) for payload in sent} == {160}
        heard = np.concatenate([coder.decode(payload) for payload in sent])
        assert heard.shape == sound.shape
        window = np.blackman(4000)
        spectrum = np.abs(np.fft.rfft(heard[4000:] * window))
        assert spectrum.argmax() * 4 == pytest.approx(hertz, abs=8)
        assert np.sqrt(np.mean(heard[4000:].astype(float) ** 2)) == pytest.approx(8000 / 2**0.5, rel=0.12)


def test_any_bytes_are_decoded() -> None:
    pytest.importorskip("G722")
    coder, random = G722(), Random(2)
    for length in (0, 1, 7, 160, 480):
        assert len(coder.decode(random.randbytes(length))) == 2 * length
    with pytest.raises(ValueError, match="even"):
        coder.encode(np.zeros(319, np.int16))


def test_who_lacks_the_wheel_is_told_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "G722", None)
    with pytest.raises(ImportError, match=r"sottovoce\[sip\]"):
        G722()

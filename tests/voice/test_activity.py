"""Voice activity: a voice stands out from the noise, whatever the detector believes."""

from __future__ import annotations

import itertools
import math
import random

from voice.activity import Activity
from voice.ear_signals import VoiceMoved, VoiceOff, VoiceOn


def edges(activity: Activity, frames: list[tuple[float, float]]) -> list[tuple[int, str]]:
    """What the activity says, with the number of the frame."""
    return [(n, type(e).__name__) for n, (p, level) in enumerate(frames) for e in activity.hear(p, level)]


def speech(seconds: float) -> list[tuple[float, float]]:
    """Syllables: loudness swings by 20 dB, with short gaps."""
    return [(0.9 if n % 20 < 17 else 0.4, -45.0 + 20 * abs(math.sin(n / 6))) for n in range(round(seconds * 50))]


def test_a_voice_begins_and_ends() -> None:
    activity = Activity(0.5)
    assert edges(activity, [(0.1, -70)] * 10 + [(0.9, -30)] * 10 + [(0.1, -70)] * 10) == [
        (10, "VoiceOn"),
        (20, "VoiceOff"),
    ]
    assert not activity.on


def test_a_voice_needs_probability_and_loudness() -> None:
    assert edges(Activity(0.5), [(0.9, -65)] * 50) == []
    assert edges(Activity(0.5), [(0.4, -20)] * 50) == []


def test_a_probability_just_under_the_threshold_keeps_a_voice() -> None:
    assert edges(Activity(0.5), [(0.6, -30), (0.4, -30), (0.36, -30), (0.34, -30)]) == [(0, "VoiceOn"), (3, "VoiceOff")]


def test_a_quiet_frame_does_not_end_a_voice_that_the_detector_hears() -> None:
    assert edges(Activity(0.5), [(0.9, -30), (0.9, -70), (0.9, -70), (0.9, -30)]) == [(0, "VoiceOn")]
    assert edges(Activity(0.5), [(0.9, -30), *[(0.9, -70)] * 4]) == [(0, "VoiceOn"), (3, "VoiceOff")]


def test_steady_noise_that_the_detector_takes_for_speech_ends() -> None:
    steady = random.Random(1)
    frames = [(0.9, -40 + steady.gauss(0, 0.5)) for _ in range(500)]
    (_, (ended, what)) = edges(activity := Activity(0.5), frames)[:2]
    assert what == "VoiceOff"
    assert ended < 3.2 * 50
    assert -41 < activity.noise < -39


def test_a_voice_over_that_noise_is_heard() -> None:
    activity = Activity(0.5)
    edges(activity, [(0.9, -40.0)] * 300)
    assert edges(activity, [(0.9, -28.0)] * 10) == [(0, "VoiceOn")]


def test_speech_is_not_taken_for_noise() -> None:
    activity = Activity(0.5)
    frames = speech(20)
    spoken = 0
    for p, level in frames:
        activity.hear(p, level)
        spoken += activity.on
    assert spoken > 0.7 * len(frames)


def test_noise_that_stops_is_forgotten_at_once() -> None:
    activity = Activity(0.5)
    edges(activity, [(0.1, -35.0)] * 300)
    edges(activity, [(0.1, -70.0)] * 15)
    assert edges(activity, [(0.9, -36.0)]) == [(0, "VoiceOn")]


def test_loudness_that_moves_is_told_twice_a_second_at_most() -> None:
    told = [n for n, what in edges(Activity(0.5), speech(10)) if what == "VoiceMoved"]
    assert len(told) >= 8
    assert all(b - a >= 25 for a, b in itertools.pairwise(told))


def test_steady_loudness_does_not_move() -> None:
    steady = random.Random(2)
    told = edges(Activity(0.5), [(0.9, -40 + steady.gauss(0, 1.0)) for _ in range(140)])
    assert [what for _, what in told] == ["VoiceOn"]


def test_a_voice_whose_frames_stop_has_ended() -> None:
    activity = Activity(0.5)
    assert activity.stop() == []
    assert activity.hear(0.9, -30) == [VoiceOn()]
    assert activity.stop() == [VoiceOff()]
    assert activity.hear(0.9, -30) == [VoiceOn()]
    assert VoiceMoved() not in activity.hear(0.9, -10)

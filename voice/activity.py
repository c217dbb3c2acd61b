"""Voice activity: when a voice begins and ends, from what a detector believes and how loud it is. Sans-I/O, no clock.

What is hardly louder than the quietest of the last seconds is noise, whatever the detector believes: a fan, a street,
a line that hums. Called once a frame.
"""

from __future__ import annotations

import math
from collections import deque

from voice.ear_signals import VoiceMoved, VoiceOff, VoiceOn

RELEASE = 0.15
"""A voice lasts until its probability is this much under the threshold (Silero's own hysteresis)."""
MARGIN = 6.0
"""dB above the noise from which on a voice can be one."""
QUIETEST = -60.0
"""dBFS below which nothing is a voice: 30 dB under quiet telephone speech."""
MOVE = 6.0
"""dB by which the loudness of a voice must move to be a sign of life; a steady noise's 20 ms frames vary by 1 dB."""
MOVE_FRAMES = 25
"""Frames between two signs of life: half a second is soon enough for timers of seconds."""
SMOOTH_FRAMES = 3
BLOCK_FRAMES = 12
BLOCKS = 12
"""The noise is the quietest 60 ms of the last 2.9 s (minimum statistics, Martin 2001): by then speech has had a gap
between two words or the closure of a plosive."""


class Activity:
    """One caller's. `threshold`: the probability from which on the detector means speech."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._blocks: deque[float] = deque([QUIETEST] * BLOCKS, maxlen=BLOCKS)
        self._recent: deque[float] = deque(maxlen=SMOOTH_FRAMES)
        self._frames = 0
        self._quietest = math.inf
        self._noise = QUIETEST
        self._on = False
        self._reference = 0.0
        self._since_move = 0
        self._off_frames = MOVE_FRAMES

    @property
    def on(self) -> bool:
        """There is a voice now."""
        return self._on

    @property
    def noise(self) -> float:
        """How loud it is where nobody speaks, dBFS."""
        return self._noise

    def hear(self, probability: float, level: float) -> list[VoiceOn | VoiceOff | VoiceMoved]:
        """Take in a frame: how likely it is speech (0 to 1), and its loudness (dBFS)."""
        self._follow_noise(level)
        self._since_move += 1
        if self._on:
            voice = probability >= self._threshold - RELEASE and max(self._recent) > self._noise + MARGIN / 2
        else:
            voice = probability >= self._threshold and level > self._noise + MARGIN
        if not voice or max(self._recent) <= QUIETEST:
            self._off_frames += 1
            return self.stop()
        off, self._off_frames = self._off_frames, 0
        if not self._on:
            self._on = True
            if off >= MOVE_FRAMES:
                self._reference, self._since_move = level, 0
            return [VoiceOn()]
        if abs(level - self._reference) >= MOVE and self._since_move >= MOVE_FRAMES:
            self._reference, self._since_move = level, 0
            return [VoiceMoved()]
        return []

    def stop(self) -> list[VoiceOn | VoiceOff | VoiceMoved]:
        """No more frames come for now."""
        if not self._on:
            return []
        self._on = False
        return [VoiceOff()]

    def _follow_noise(self, level: float) -> None:
        """The noise is the quietest moment in a while."""
        self._recent.append(level)
        if len(self._recent) == SMOOTH_FRAMES:
            self._quietest = min(self._quietest, sum(self._recent) / SMOOTH_FRAMES)
        self._frames += 1
        if self._frames % BLOCK_FRAMES == 0:
            self._blocks.append(self._quietest)
            self._quietest = math.inf
            self._noise = min(self._blocks)

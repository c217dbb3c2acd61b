"""A process that is killed while an answer waits for work: after the restart the result is told, once, by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = [sys.executable, "-m", "tests.orchestration.strategies.work_process"]


@pytest.mark.parametrize(
    ("dies", "worked"),
    [("work", ["tech works", "law works", "law works"]), ("present", ["tech works", "law works"])],
)
def test_what_was_worked_on_for_an_answer_is_told_after_the_restart(
    tmp_path: Path, dies: str, worked: list[str]
) -> None:
    notes = tmp_path / "notes"
    state = tmp_path / "state"
    first = subprocess.run([*PROCESS, str(state), str(notes), dies], timeout=60, check=False)
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run([*PROCESS, str(state), str(notes), "lives"], timeout=60, check=False)
    assert second.returncode == 0
    assert notes.read_text().splitlines() == [*worked, "sent: My colleagues say that boats float."]

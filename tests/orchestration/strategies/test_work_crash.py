"""A process that is killed while an answer waits for work: after the restart the result is told, once, by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

PROCESS = [sys.executable, "-m", "tests.orchestration.strategies.work_process"]


@pytest.mark.parametrize(("dies", "begun"), [("work", [2]), ("present", [1, 2])])
def test_what_was_worked_on_for_an_answer_is_told_after_the_restart(
    tmp_path: Path, dies: str, begun: list[int]
) -> None:
    """A step that is done is not done again; what is no step may be, until the end of all is written down."""
    notes = tmp_path / "notes"
    state = tmp_path / "state"
    first = subprocess.run([*PROCESS, str(state), str(notes), dies], timeout=60, check=False)
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run([*PROCESS, str(state), str(notes), "lives"], timeout=60, check=False)
    assert second.returncode == 0
    *worked, told = notes.read_text().splitlines()
    assert told == "sent: My colleagues say that boats float."
    assert worked[0] == "tech works"
    assert worked[1:] in (["law works"] * times for times in begun)

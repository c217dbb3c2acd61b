"""eSpeak NG's process: never in ours, started again when it dies, gone when we are."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.voice.spoken import audio
from voice.clock import run
from voice.tts import espeak
from voice.tts.booth import Emit
from voice.tts.espeak import Espeak
from voice.worker import WorkerDiedError

ROOT = Path(__file__).parent.parent.parent.parent

pytestmark = pytest.mark.speech


@pytest.fixture(autouse=True)
def usable() -> None:
    check = Espeak.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")


def pid() -> int:
    run(Espeak().prepare())
    found = espeak._process.pid
    assert found is not None
    return found


def gone(process: int, seconds: float = 10) -> bool:
    """Whether it ends within that time. Only a process file descriptor can wait for one that is no child of ours."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def test_its_library_is_not_in_our_process() -> None:
    program = (
        "import asyncio, pathlib, sys; from voice.tts.espeak import Espeak;"
        "asyncio.run(Espeak().prepare());"
        "maps = pathlib.Path('/proc/self/maps');"
        "print(maps.exists() and 'libespeak' in maps.read_text(), 'espeakng_loader' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_all_of_them_share_one_process() -> None:
    first = pid()
    assert run(audio(Espeak("en-us", 200), "Hello."))
    assert pid() == first


def test_it_is_started_again_when_it_dies() -> None:
    first = pid()
    os.kill(first, signal.SIGKILL)
    assert run(audio(Espeak(), "Hello."))
    assert pid() != first


def test_what_it_dies_of_in_the_middle_of_a_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    take = espeak._Reading.take
    doomed = pid()

    def kill_and_take(self: espeak._Reading, content: bytes, rate: int, emit: Emit) -> bool:
        os.kill(doomed, signal.SIGKILL)  # at the first of some thousand messages
        return take(self, content, rate, emit)

    with monkeypatch.context() as patch:
        patch.setattr(espeak._Reading, "take", kill_and_take)
        with pytest.raises(WorkerDiedError, match="exit status -9"):
            run(audio(Espeak(), "This goes on and on. " * 200))
    assert run(audio(Espeak(), "Hello."))


PROGRAM = """
import asyncio, os, signal
from voice.tts import espeak
from voice.tts.booth import Emit
asyncio.run(espeak.Espeak().prepare())
print(espeak._process.pid, flush=True)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", [False, True], ids=["ends", "is killed"])
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux can wait for a process that is no child")
def test_it_ends_when_we_do(killed: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(killed=killed)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr
    assert gone(int(done.stdout))


def test_it_speaks_wherever_we_are_started(tmp_path: Path) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit('a module of the folder we were started in was imported')")
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r});" + PROGRAM.format(killed=False)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout)

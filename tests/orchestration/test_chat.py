"""`sottovoce chat` as a process of its own, in a real terminal and in a pipe, in real time: a few seconds of talk."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
APP = """
from orchestration import Agent, Runtime
from orchestration.models.scripted import Intent, Scripted
from orchestration.strategies.orchestration import Orchestration

class Alone(Orchestration):
    def agents(self):
        return [host]
    async def install(self, runtime, room_id):
        runtime.room(room_id).talker = host

host = Agent("host", model=Scripted([Intent(["hello"], answer="Good day.")]), greeting="Hi.")
runtime = Runtime(orchestration=Alone())
"""
PATIENCE = 30.0


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    app = tmp_path / "app.py"
    app.write_text(APP)
    return [sys.executable, "-m", "orchestration", "chat", str(app)]


class Window:
    """A terminal's other end, and the process in it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.shown = ""
        self._master = master

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, pattern: str) -> None:
        """Read until something was shown. Fails when the process falls silent before."""
        while not re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)):
            ready, _, _ = select.select([self._master], [], [], PATIENCE)
            assert ready, f"{pattern!r} was not shown, only {self.shown!r}"
            self.shown += os.read(self._master, 4096).decode(errors="replace")

    @property
    def echoes(self) -> bool:
        """The terminal is as the shell expects it."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)


@contextmanager
def window(command: list[str], **environment: str) -> Iterator[Window]:
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C comes as a signal where it should
    )
    try:
        yield Window(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


def test_a_call_in_a_terminal(command: list[str]) -> None:
    with window(command) as shown:
        shown.wait_for(r"agent +Hi\.\s")
        shown.press(b"hello\r")
        shown.wait_for(r"you +hello\s")
        shown.wait_for(r"agent +Good day\.\s")
        assert not shown.echoes
        shown.press(b"\x04")
        shown.wait_for(r"\(hung up\)")
        assert shown.process.wait(PATIENCE) == 0
        assert shown.echoes
        assert "\x1b[36m" in shown.shown


def test_without_colours_where_they_are_not_wanted(command: list[str]) -> None:
    with window(command, NO_COLOR="1") as shown:
        shown.wait_for(r"agent +Hi\.\s")
        shown.press(b"\x03")
        shown.wait_for(r"\(hung up\)")
        assert shown.process.wait(PATIENCE) == 0
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown.shown)


def test_plain_lines_where_the_terminal_can_do_no_more(command: list[str]) -> None:
    with window(command, TERM="dumb") as shown:
        shown.wait_for(r"agent +Hi\.\s")
        assert "\x1b" not in shown.shown
        shown.press(b"/quit\n")
        shown.wait_for(r"\(hung up\)")
        assert shown.process.wait(PATIENCE) == 0


def test_a_script_from_a_pipe(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, input="hello\n", capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    talk = re.findall(r"^ *\d:\d\d\.\d  (you|agent)  +(.*)$", done.stdout, re.MULTILINE)
    assert talk == [("agent", "Hi."), ("you", "hello"), ("agent", "Good day.")]
    assert "\x1b" not in done.stdout
    assert "floor     open" in done.stdout


def test_models_are_made_ready_first_and_one_that_lacks_a_key_says_so(command: list[str]) -> None:
    app = Path(command[-1])
    talking = APP.replace('Scripted([Intent(["hello"], answer="Good day.")])', "Anthropic()")
    app.write_text(f"from orchestration.models import Anthropic\n{talking}")
    bare = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
    done = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, timeout=PATIENCE, env=bare)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "no key is set; fix: set ANTHROPIC_API_KEY" in done.stderr


def test_ctrl_c_ends_a_script_and_so_does_a_reader_who_leaves(command: list[str]) -> None:
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("agent" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""

"""The terminal with keys from a pipe and its screen in memory; in a real one it is driven in test_chat."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from orchestration.terminal import CURSOR, MAX_LIVE, Terminal
from orchestration.transcript import Transcript, Underneath


class Typed:
    """A terminal, the keys that are pressed, and all that was written to the screen."""

    def __init__(self, keys: PipeInput, written: io.StringIO, terminal: Terminal) -> None:
        self.terminal = terminal
        self._keys = keys
        self._written = written

    def press(self, keys: str) -> None:
        self._keys.send_text(keys)

    async def written(self, text: str) -> str:
        """Wait until this was written, whatever its colours; pytest ends a test that waits in vain."""
        while text not in (plain := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._written.getvalue())):
            await asyncio.sleep(0.01)
        return plain


@contextmanager
def screen(columns: int = 80) -> Iterator[tuple[PipeInput, io.StringIO]]:
    written = io.StringIO()
    output = Vt100_Output(written, lambda: Size(24, columns), enable_cpr=False)
    with create_pipe_input() as keys, create_app_session(input=keys, output=output):
        yield keys, written


def sit(script: Callable[[Typed], Awaitable[None]], columns: int = 80) -> None:
    async def main() -> None:
        with screen(columns) as (keys, written):
            async with Terminal() as terminal, asyncio.timeout(20):
                await script(Typed(keys, written, terminal))

    asyncio.run(main())


@pytest.mark.parametrize("end", ["\x03", "\x04"])
def test_lines_are_typed_until_ctrl_c_or_ctrl_d(end: str) -> None:
    async def script(typed: Typed) -> None:
        typed.press("helo\x7flo\rlook into boats\r" + end)
        assert [line async for line in typed.terminal.typed()] == ["hello", "look into boats"]

    sit(script)


def test_ctrl_d_ends_nothing_while_there_is_a_line() -> None:
    async def script(typed: Typed) -> None:
        typed.press("hello\x04\r\x04")
        assert [line async for line in typed.terminal.typed()] == ["hello"]

    sit(script)


def test_what_is_being_said_stands_above_the_line_and_scrolls_up_once_it_is_over() -> None:
    async def script(typed: Typed) -> None:
        typed.press("what ti")
        lines = typed.terminal.typed()
        transcript = Transcript()
        entry = transcript.add(5.0, "agent", "It is", open=True)
        transcript.add(6.0, "floor", "open")
        typed.terminal.show(transcript)
        await typed.written(f"0:00.0  agent     It is{CURSOR}")
        entry.text, entry.open, entry.cut = "It is noon", False, True
        typed.terminal.show(transcript)
        shown = await typed.written("It is noon — (cut)")
        assert "0:01.0  floor" not in shown
        assert transcript.recent == []
        typed.press("me is it\r")
        assert await anext(lines) == "what time is it"

    sit(script)


def test_the_status_tells_the_floor_the_tasks_and_why_deliveries_wait() -> None:
    async def script(typed: Typed) -> None:
        transcript = Transcript(
            floor="user_holds",
            blocker="caller_speaking",
            tasks={"t": Underneath("boats", "running", "reading " * 20)},
            deliveries={"d": Underneath("trains", "reserved", "caller_speaking")},
        )
        typed.terminal.show(transcript)
        shown = await typed.written("delivery  trains: reserved (caller_speaking)")
        assert "floor     user_holds (caller_speaking)" in shown
        (task,) = [line for line in shown.splitlines() if line.startswith("task")]
        assert task.startswith("task      boats: running (reading reading rea")
        assert task.endswith("…")

    sit(script)


def test_of_a_very_long_line_the_end_is_shown_until_it_is_over() -> None:
    async def script(typed: Typed) -> None:
        transcript = Transcript()
        entry = transcript.add(0.0, "agent", " ".join(f"word{n}" for n in range(300)), open=True)
        typed.terminal.show(transcript)
        shown = await typed.written(f"word299{CURSOR}")
        assert "word0 " not in shown
        assert sum("word" in line for line in shown.split("\n")) <= MAX_LIVE
        entry.open = False
        typed.terminal.show(transcript)
        await typed.written("word0 ")

    sit(script, columns=60)


def test_what_is_told_is_printed_also_at_the_very_end() -> None:
    with screen() as (keys, written):

        async def main() -> None:
            async with Terminal() as terminal:
                terminal.tell("first")
                keys.send_text("\x03")
                assert [line async for line in terminal.typed()] == []
                terminal.tell("last")

        asyncio.run(main())
        assert written.getvalue().index("first") < written.getvalue().index("last")


def test_a_call_that_cannot_begin_ends_the_terminal() -> None:
    async def main() -> None:
        async with Terminal():
            raise RuntimeError("no agent today")

    with screen(), pytest.raises(RuntimeError, match="no agent today"):
        asyncio.run(main())

"""A Terminal: a call in a real terminal. What is over scrolls up; what is being said, the input line and a status stay.

Beneath it lies prompt_toolkit: words appear above a line that is being typed, which takes an editor that redraws its
line, and a well-tried one beats our own. Only this file loads it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from orchestration.printer import clock, words_of
from orchestration.transcript import Entry, Transcript, with_reason

MAX_LIVE = 8
"""Rows of what is being said; of a longer line the end is shown until it is over."""
MAX_UNDERNEATH = 4
"""Tasks and deliveries in the status, of each."""
MIN_WIDTH = 30
"""Columns that are drawn in, however narrow the terminal."""
_LOUD = {"you": "bold", "agent": "cyan", "result": "green"}
_QUIET = "dim"
CURSOR = "▌"
"""Ends a line that is not over."""


class Terminal:
    """Use as `async with`. Raises nothing for what is typed; the end of the input ends `typed()`."""

    patient = False

    def __init__(self) -> None:
        self._transcript = Transcript()
        self._began: float | None = None
        self._told: list[str] = []
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._buffer = Buffer(multiline=False, history=InMemoryHistory(), accept_handler=self._accept)
        self._app: Application[None] = Application(
            layout=Layout(HSplit([*self._windows()]), focused_element=self._buffer),
            key_bindings=self._keys(),
            erase_when_done=True,
            max_render_postpone_time=None,
        )
        self._group: asyncio.TaskGroup
        self._out = patch_stdout(raw=True)

    async def __aenter__(self) -> Terminal:
        self._out.__enter__()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._running = self._group.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not self._leave():
            self._running.cancel()  # it has not even begun
        await self._group.__aexit__(None, None, None)
        self._out.__exit__(None, None, None)
        self._scroll()

    # -- orchestration.typist.Screen

    def tell(self, text: str) -> None:
        """Something that is no part of the call."""
        self._told.append(text)
        self.show(self._transcript)

    def show(self, transcript: Transcript) -> None:
        """Draw it anew."""
        self._transcript = transcript
        if self._began is None and transcript.recent:
            self._began = transcript.recent[0].at
        self._scroll()
        self._app.invalidate()

    async def typed(self) -> AsyncIterator[str]:
        """The lines as they are typed, until Ctrl-C or Ctrl-D."""
        while (line := await self._lines.get()) is not None:
            yield line

    # -- inside

    async def _run(self) -> None:
        try:
            await self._app.run_async()
        finally:
            self._lines.put_nowait(None)

    def _leave(self) -> bool:
        """End the app. False: it does not run."""
        if self._app.is_running and not self._app.is_done:
            self._app.exit()
        return self._app.is_done

    def _accept(self, buffer: Buffer) -> bool:
        self._lines.put_nowait(buffer.text)
        return False  # the line is emptied

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        def leave(event: KeyPressEvent) -> None:
            self._leave()

        keys.add("c-c")(leave)
        keys.add("<sigint>")(leave)
        keys.add("c-d", filter=Condition(lambda: not self._buffer.text))(leave)
        return keys

    def _windows(self) -> Iterable[Window]:
        prompt = BufferControl(self._buffer, input_processors=[BeforeInput("> ")])
        yield Window(FormattedTextControl(lambda: ANSI(self._live())), dont_extend_height=True)
        yield Window(prompt, height=1)
        yield Window(FormattedTextControl(lambda: ANSI(self._status())), dont_extend_height=True)

    def _scroll(self) -> None:
        """Have what is over scroll up, in one go with what stays.

        prompt_toolkit's own way (run_in_terminal) leaves raw mode meanwhile, and a key that is pressed then is lost.
        """
        told, self._told = self._told, []
        rows: list[RenderableType] = [Text(text, _QUIET) for text in told]
        rows += [self._row(entry) for entry in self._transcript.take() if entry.kind != "floor"]
        if not rows:
            return
        app = self._app
        if app.is_running:
            app.renderer.erase()
        app.output.write_raw(self._drawn(rows).replace("\n", "\r\n") + "\r\n")
        app.output.flush()
        if app.is_running:
            app.renderer.request_absolute_cursor_position()

    def _live(self) -> str:
        rows = [self._row(entry) for entry in self._transcript.recent if entry.kind != "floor"]
        return "\n".join(self._drawn(rows).split("\n")[-MAX_LIVE:])

    def _status(self) -> str:
        told = self._transcript
        rows = [line("floor", with_reason(told.floor, told.blocker))]
        for label, things in (("task", told.tasks), ("delivery", told.deliveries)):
            rows += [line(label, str(each)) for each in [*things.values()][-MAX_UNDERNEATH:]]
        for row in rows:
            row.truncate(self._width, overflow="ellipsis")
        return self._drawn([Rule(style=_QUIET), *rows])

    def _row(self, entry: Entry) -> RenderableType:
        loud = _LOUD.get(entry.kind)
        text = Text(words_of(entry) + (CURSOR if entry.open else ""), loud or _QUIET)
        label = "" if entry.kind == "note" else entry.kind
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=6, justify="right")
        row.add_column(width=8)
        row.add_column()
        row.add_row(Text(clock(entry.at - (self._began or 0.0)), _QUIET), Text(label, loud or _QUIET), text)
        return row

    @property
    def _width(self) -> int:
        return max(self._app.output.get_size().columns - 1, MIN_WIDTH)

    def _drawn(self, rows: Sequence[RenderableType]) -> str:
        """As the terminal shows it."""
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, color_system="standard", width=self._width)
        for row in rows:
            console.print(row)
        return out.getvalue().removesuffix("\n")


def line(label: str, text: str) -> Text:
    """A line of the status."""
    return Text(f"{label:<8}  {text}", _QUIET)

"""Real headless Chromium at the page: it joins with a fake microphone, and what goes in and comes out is recorded.

    async with chromium(url, microphone=wav) as caller:      # the wav is played once, from the moment of joining
        await caller.join("Ann")
        ...
        await caller.say(more)                               # needs chromium(..., speaks=True)
        recording = await caller.recording()                 # left what the microphone gave, right what the ear got

Nothing of the page is replaced: the recorder listens to the track that the page was given by getUserMedia and to the
stream that the page gave to its <audio> element, both in one AudioContext, so that their times line up.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import shutil
import tempfile
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import ConsoleMessage, Page, ViewportSize, async_playwright

RATE = 16_000
"""Of recordings and of what is said, Hz."""
TAP = Path(__file__).with_name("tap.js")
PATIENCE = 15_000.0
"""Milliseconds to wait for the page to do as it is told."""
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=user-gesture-required",
    "--use-fake-device-for-media-stream",
)


def executable() -> str | None:
    """Where Chromium is: $SOTTOVOCE_CHROMIUM, or on the path; None if nowhere."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("SOTTOVOCE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def needs_chromium() -> str:
    """Where Chromium is; skips the test, saying how to get it, where there is none."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium was found: apt-get install chromium, or set SOTTOVOCE_CHROMIUM to its path")
    return path


def wav(samples: bytes, rate: int = RATE) -> bytes:
    """A wav file of 16-bit mono PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()


@dataclass(frozen=True)
class Recording:
    """What went in and came out: 16-bit PCM at RATE, stereo; `wav` has the microphone left and the ear right."""

    interleaved: bytes

    @property
    def wav(self) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(2)
            writer.setsampwidth(2)
            writer.setframerate(RATE)
            writer.writeframes(self.interleaved)
        return file.getvalue()

    @property
    def seconds(self) -> float:
        return len(self.interleaved) / 4 / RATE

    @property
    def microphone(self) -> bytes:
        return self._channel(0)

    @property
    def ear(self) -> bytes:
        return self._channel(1)

    def _channel(self, number: int) -> bytes:
        return memoryview(self.interleaved).cast("h")[number::2].tobytes()


@dataclass
class BrowserCaller:
    """A caller at the page. `problems` collects whatever the browser's console complains of."""

    page: Page
    problems: list[str] = field(default_factory=list)

    async def join(self, name: str, room: str | None = None, *, wait: bool = True) -> None:
        """Fill in the form and press Join; `wait`: until the call is live."""
        await self.page.fill("#name", name)
        if room is not None:
            await self.page.fill("#room", room)
        await self.page.click("#join")
        if wait:
            await self.state("live")

    async def state(self, wanted: str, timeout: float = PATIENCE) -> None:
        """Wait until the page is idle, joining, live or reconnecting (milliseconds)."""
        await self.page.wait_for_selector(f"body[data-state={wanted}]", timeout=timeout)

    async def leave(self) -> None:
        await self.page.click("#leave")
        await self.state("idle")

    async def problem(self) -> tuple[str, str]:
        """Wait for the page to show a problem: its code and its words."""
        await self.page.wait_for_selector("#problem:not([hidden])", timeout=PATIENCE)
        code = await self.page.get_attribute("#problem", "data-code") or ""
        return code, await self.page.inner_text("#problem > div")

    async def stats(self) -> Mapping[str, Any]:
        """What the page counts: rtt and prebuffer (seconds), underruns, frames sent, unsent and received."""
        stats: Mapping[str, Any] = await self.page.evaluate("window.sottovoce.call.stats")
        return stats

    async def say(self, pcm: bytes, at: float | None = None) -> float:
        """Speak 16-bit mono PCM at RATE into the microphone; returns at its end.

        `at`: when to begin, seconds of the recording (default: now). Returns when it began, by the same clock.
        """
        began: float = await self.page.evaluate("([pcm, at]) => __sottovoce.say(pcm, at)", [_text(pcm), at])
        return began

    async def clock(self) -> float:
        """The recording's time now, seconds."""
        now: float = await self.page.evaluate("__sottovoce.now()")
        return now

    async def when(self, condition: str) -> None:
        """Wait until a JavaScript expression holds in the page."""
        async with asyncio.timeout(PATIENCE / 1000):
            await self.page.evaluate(f"async () => {{ while (!({condition})) await __sottovoce.pause() }}")

    async def recording(self, until: float = 0.0) -> Recording:
        """All that was recorded since the page asked for the microphone, once that is `until` seconds long.

        Recording goes on; the newest quarter of a second may be missing.
        """
        await self.when(f"__sottovoce.seconds() >= {until}")
        text: str = await self.page.evaluate("__sottovoce.recording()")
        return Recording(base64.b64decode(text))

    async def screenshot(self, path: Path | str) -> None:
        await self.page.screenshot(path=str(path))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "ScriptProcessorNode" not in message.text:
            self.problems.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@contextlib.asynccontextmanager
async def chromium(
    url: str,
    *,
    microphone: bytes | None = None,
    speaks: bool = False,
    allow: bool = True,
    viewport: tuple[int, int] = (1280, 800),
    dark: bool = False,
    flags: Sequence[str] = (),
) -> AsyncIterator[BrowserCaller]:
    """A browser of its own at `url`.

    `microphone` is a wav file that its microphone plays once (None: silence); with `speaks` what is given to `say` is
    mixed in. `allow`: whether the person lets the page have the microphone. Skips the test where there is no Chromium.
    """
    path = needs_chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source = Path(folder) / "microphone.wav"
        source.write_bytes(microphone or wav(bytes(RATE)))
        permit = "--use-fake-ui-for-media-stream" if allow else "--deny-permission-prompts"
        arguments = [*_FLAGS, permit, f"--use-file-for-fake-audio-capture={source}%noloop", *flags]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, headless=True, args=arguments)
            try:
                size = ViewportSize(width=viewport[0], height=viewport[1])
                context = await browser.new_context(viewport=size, color_scheme="dark" if dark else "light")
                page = await context.new_page()
                caller = BrowserCaller(page)
                page.on("console", caller._note)
                page.on("pageerror", lambda error: caller.problems.append(f"uncaught: {error}"))
                await page.add_init_script(TAP.read_text().replace("SPEAKS", "true" if speaks else "false"))
                await page.goto(url)
                yield caller
            finally:
                await browser.close()


def _text(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


class Cable:
    """A TCP cable between a browser and a server that can be cut: what goes over it is lost, and new plugs refused."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").rpartition(":")
        self._target = (host, int(port))
        self._writers: set[asyncio.StreamWriter] = set()
        self._whole = True

    @contextlib.asynccontextmanager
    async def plugged(self) -> AsyncIterator[str]:
        """Gives the address of the near end."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            self.cut()
            server.close()
            await server.wait_closed()

    def cut(self) -> None:
        """Reset every connection, and every new one until `mend`."""
        self._whole = False
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._whole = True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

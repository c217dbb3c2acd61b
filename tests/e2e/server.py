"""A real server in a process of its own, as `sottovoce serve` starts it; it can be killed the hard way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo.py"
START = 60.0
"""Seconds it may take until callers can come (engines are loaded first)."""
_URL = re.compile(r"http://\S+?:\d+")


@dataclass
class Server:
    """`url` once it listens; what it printed is in `log`."""

    process: asyncio.subprocess.Process
    log: Path
    url: str = ""

    def kill(self) -> None:
        """kill -9: nothing can be said or saved."""
        os.killpg(self.process.pid, signal.SIGKILL)

    async def gone(self) -> int:
        """Wait for its end; returns its exit code."""
        return await self.process.wait()


@contextlib.asynccontextmanager
async def server(folder: Path, *arguments: str, target: Path = DEMO, **environment: str) -> AsyncIterator[Server]:
    """`sottovoce serve target` in `folder` (its state is kept there), on a free port; ended at the end."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "orchestration", "serve", str(target), "--port", "0", *arguments]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    running = Server(process, log)
    try:
        running.url = await _address(running)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                running.kill()
                await process.wait()


async def _address(running: Server) -> str:
    """The address in the line by which it says that it listens."""
    assert running.process.stdout is not None
    async with asyncio.timeout(START):
        while line := await running.process.stdout.readline():
            if match := _URL.search(line.decode()):
                return match[0].replace("localhost", "127.0.0.1")
    raise RuntimeError(f"the server ended: {running.log.read_text()[-2000:]}")

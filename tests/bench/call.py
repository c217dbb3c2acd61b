"""What a real call costs the server: `python -m tests.bench.call` prints its share of a core, listening and talking.

The demo is served in a process of its own; callers without a browser sit in rooms of it, first silent, then speaking
a sentence every six seconds and hearing the answers (voice activity, recogniser, synthesizer and playout included).
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from array import array
from contextlib import AsyncExitStack
from pathlib import Path

from tests.e2e.server import server
from tests.e2e.voices import speech
from tests.e2e.wire_caller import WireCaller, wire_caller
from voice.clock import now
from voice.leg import FRAME_SAMPLES

CALLERS = 3
SECONDS = 12.0
"""Length of each measurement."""
EVERY = 6.0
QUESTIONS = ("what time is it in Rome", "what is two plus three")
ROOMS = ("lobby", "kitchen", "attic")


def cpu(pid: int) -> float:
    """CPU seconds a process has used (Linux: fields utime and stime of /proc/PID/stat, proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def share(pid: int, seconds: float) -> float:
    """Which part of a core the process uses over the next seconds."""
    begun, used = now(), cpu(pid)
    await asyncio.sleep(seconds)
    return (cpu(pid) - used) / (now() - begun)


async def talk(caller: WireCaller) -> None:
    """Ask away."""
    for number in range(int(SECONDS // EVERY)):
        await caller.say(speech_of(number))
        await asyncio.sleep(EVERY - 2.0)


def speech_of(number: int) -> bytes:
    """A question, made before the loop runs."""
    return SPOKEN[number % len(SPOKEN)]


SPOKEN: list[bytes] = []
ROOM_NOISE = array("h", (random.Random(n).randint(-300, 300) for n in range(FRAME_SAMPLES))).tobytes()
"""A frame of noise, loud enough for the detector to have to think."""


async def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder)) as demo, AsyncExitStack() as stack:
            pid = demo.process.pid
            await asyncio.sleep(3)
            nobody = await share(pid, SECONDS / 2)
            callers = [
                await stack.enter_async_context(wire_caller(demo.url, room=ROOMS[n % 3], name=f"caller {n}"))
                for n in range(CALLERS)
            ]
            await asyncio.sleep(8)
            silent = await share(pid, SECONDS)
            for caller in callers:
                caller.background = ROOM_NOISE
            noisy = await share(pid, SECONDS)
            async with asyncio.TaskGroup() as group:
                for caller in callers:
                    group.create_task(talk(caller))
                talking = await share(pid, SECONDS)
            print(f"server with nobody in it       {100 * nobody:6.2f} % of a core")
            print(f"a call in which nobody speaks  {100 * (silent - nobody) / CALLERS:6.2f} % of a core each")
            print(f"the same with a noisy room     {100 * (noisy - nobody) / CALLERS:6.2f} % of a core each")
            print(f"a call with questions, answers {100 * (talking - nobody) / CALLERS:6.2f} % of a core each")


if __name__ == "__main__":
    SPOKEN.extend(map(speech, QUESTIONS))
    asyncio.run(main())

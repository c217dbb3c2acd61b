"""Work for a caller's turn: what is found, by workers and by agents who work, and how long that takes."""

from __future__ import annotations

import asyncio
import re

from orchestration.workers import Context, FunctionWorker
from tests.orchestration.plays.troupe import Planned, Troupe

TURN = re.compile(r"\bt(\d+)\b")
FOUND = re.compile(r"\bf\d+x\d+\b")
"""A word of what a worker found: which run of which worker, and which word."""


def worker(troupe: Troupe, id: str) -> FunctionWorker:
    """A worker of a troupe."""

    async def work(input: str, context: Context) -> str:
        return await job(troupe, context.task.input)

    return FunctionWorker(id, work, id.capitalize())


async def job(troupe: Troupe, input: str) -> str:
    """Find something, as it is drawn: late, or never."""
    seconds, how = troupe.draw("job", troupe.play.jobs)
    number = troupe.counts["job"]
    if asker := TURN.search(input.partition("This was said before")[0]):
        troupe.found[number] = troupe.askers[int(asker[1])]
    await asyncio.sleep(seconds)
    if how == "fail":
        raise Planned("the work failed")
    return "" if how == "mute" else " ".join(f"f{number}x{n}" for n in range(4)) + "."

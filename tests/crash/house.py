"""The house in which the crash suite's calls are played: a host with a script, and workers whose steps leave a trace.

Every result has words of its own ("d1w0 d1w1 ..."), so that each word an ear heard tells whose it is.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from orchestration import Agent, Supervisor
from orchestration.workers import Context, FunctionWorker, worker
from tests.crash.ear import Notes
from tests.scenarios.scenes import brain

ROOM = "hall"
CALLER = "anna"
THINKING = 1.0
"""Seconds the host takes to answer: results land while it does."""
WORDS = 7
_WORD = re.compile(r"\b[dt][0-9a-z]*w\d+\b")


def content(key: str, words: int = WORDS) -> str:
    """What is told under `key`: so many words, all different."""
    return " ".join(f"{key}w{number}" for number in range(words)) + "."


def words_in(text: str) -> list[str]:
    """The words of results in what was written or heard, without those of the host's own."""
    return _WORD.findall(text)


def team(folder: Path) -> Supervisor:
    """A host and two workers, who work side by side, in steps of which each is to be done once."""
    notes = Notes(folder / "steps")

    async def work(part: str, context: Context, seconds: float) -> str:
        task = context.task.id

        async def do(step: int) -> str:
            notes.add("did", task, part, step)
            await asyncio.sleep(seconds)
            return f"t{task[:6]}{part}"

        key = ""
        for step in range(2):
            key = await context.step(f"step {step}", lambda step=step: do(step))  # type: ignore[misc]
            notes.add("kept", task, part, step)
            context.progress(f"step {step} is done")
        return content(key, 4)

    async def swift(topic: str, context: Context) -> str:
        return await work("x", context, 0.4)

    async def steady(topic: str, context: Context) -> str:
        return await work("y", context, 0.9)

    workers: list[FunctionWorker] = [worker(role="Swift analyst")(swift), worker(role="Steady analyst")(steady)]
    host = Agent("host", model=brain(thinking=THINKING), role="Host")
    return Supervisor(host, workers=workers, strategy="parallel")

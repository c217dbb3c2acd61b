"""A small house for scenario tests: a host with a script, two analysts of known speed, and a call in virtual time.

What the tests look at stands here too: what was said, when the caller spoke, and where each delivery stands.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from delivery import Status, Strategy, WaitForIdle
from orchestration import Agent, Runtime, Supervisor
from orchestration.models.model import Delta, Message, Role, ToolSpec
from orchestration.models.scripted import RESULT, Intent, Scripted
from orchestration.simulation import SimulatedCall, simulate
from orchestration.workers import Context, Worker, worker
from voice.clock import run
from voice.floor import FloorState

FIRST, SECOND = 3.0, 5.0
"""Seconds the analysts work."""
TICK = 0.02
"""The tolerance of times in virtual time, seconds."""


@worker(role="Technical analyst")
async def technical(topic: str, context: Context) -> str:
    context.progress("reading")
    await asyncio.sleep(FIRST)
    return f"Technically {topic} are sound."


@worker(role="Business analyst")
async def business(topic: str, context: Context) -> str:
    await asyncio.sleep(SECOND)
    return f"Commercially {topic} pay off after nine years of patient and careful use."


@worker(role="Slow analyst")
async def slow(topic: str, context: Context) -> str:
    context.progress("reading")
    await asyncio.sleep(60)
    return f"{topic} are slow."


@worker(role="Instant analyst")
async def instant(topic: str, context: Context) -> str:
    return f"{topic} float."


@worker(role="Failing analyst")
async def failing(topic: str, context: Context) -> str:
    raise RuntimeError("no network")


@worker(role="Late analyst")
async def failing_later(topic: str, context: Context) -> str:
    await asyncio.sleep(2)
    raise RuntimeError("no network")


@dataclass
class Thinking(Scripted):
    """Thinks for some seconds before it answers a caller."""

    seconds: float = 0.0

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        if messages[-1].role is Role.USER and not RESULT.search(messages[-1].text):
            await asyncio.sleep(self.seconds)
        async for delta in super().stream(messages, prompt=prompt, tools=tools):
            yield delta


def brain(on_it: str = "On it. Ask me something else meanwhile.", thinking: float = 0.0) -> Scripted:
    return Thinking(
        seconds=thinking,
        slots={"topic": ["boats", "trains", "planes"]},
        intents=[
            Intent(
                ["look into {topic}"],
                call="delegate_workers",
                arguments=lambda slots: {"task": slots["topic"]},
                answer=on_it,
            ),
            Intent(["what time is it"], answer="It is noon."),
            Intent(["tell me a story"], answer="Once upon a time a boat met a train. They talked for many years."),
            Intent(["tea or coffee"], answer="Do you want tea or coffee?"),
            Intent(["tea please"], answer="Tea it is."),
            Intent(["stop", "wait"], answer="All right."),
            Intent(["how is it going"], call="task_status"),
            Intent(["forget it"], call="cancel_task"),
            Intent(["what did you find"], call="recall"),
        ],
        fallback=("Pardon?",),
        telling=("My analysts say: {result}",),
    )


def house(
    delivery: Strategy | str | None = None,
    *,
    workers: Sequence[Worker] = (technical, business),
    on_it: str = "On it. Ask me something else meanwhile.",
    thinking: float = 0.0,
    greeting: str = "",
) -> Runtime:
    host = Agent("host", model=brain(on_it, thinking), role="Host", greeting=greeting)
    team = Supervisor(host, workers=workers, strategy="parallel")
    return Runtime(orchestration=team, delivery=delivery or WaitForIdle(buffer=1.0), state=None)


def play(script: Callable[[SimulatedCall], Awaitable[None]], runtime: Runtime | None = None, **speech: Any) -> None:
    """Play a call in virtual time."""

    async def main() -> None:
        async with simulate(runtime or house(), **speech) as call:
            await script(call)

    run(main())


# -- what is looked at


def near(seconds: float, wanted: float) -> bool:
    return abs(seconds - wanted) <= TICK


def said(call: SimulatedCall) -> list[str]:
    return [line.heard for line in call.lines]


def times_heard(call: SimulatedCall, words: str) -> Counter[str]:
    """How often the caller heard each of these words, over all lines."""
    wanted = set(words.split())
    return Counter(word for line in call.lines for word in line.heard.split() if word in wanted)


async def statuses(call: SimulatedCall) -> list[Status]:
    """Where the room's deliveries stand, in order of arrival."""
    await call.silence(1)
    entries = await call.runtime.ledger.entries(call.room, list(Status))
    return [entry.status for entry in entries]


def check_manners(call: SimulatedCall) -> None:
    """What holds in every call: nothing of ours begins while the caller holds the floor, nor beside another line."""
    for (a, state), (b, _) in pairwise([*call.floor, (call.now, FloorState.EMPTY)]):
        over = [line.heard for line in call.lines if a < line.started < b - 1e-6]
        assert state is not FloorState.USER_HOLDS or not over, f"{over} began over the caller"
    spans = sorted(span for line in call.lines for span in line.spans)
    assert all(a[1] <= b[0] + TICK for a, b in pairwise(spans)), "two voices of ours at once"

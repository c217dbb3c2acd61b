"""What a written turn costs: `python -m tests.bench.turns` prints it, beside a bare echo over asyncio in the same run.

The model answers at once, so what is measured is the way of a message through the house: inbox, hooks, router, agent,
memory, floor, channel, timeline. The echo hands a message to a task and gets it back: what any design pays.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from orchestration import (
    Agent,
    ConversationRouter,
    HookExecution,
    HookTrigger,
    InboundMessage,
    RoutingConditions,
    RoutingRule,
    Runtime,
    TextChannel,
    TextContent,
)
from orchestration.models.prepared import Prepared
from tests.orchestration.post import Talks
from voice.clock import wall_seconds

TURNS, BATCH = 3_000, 100
Turn = Callable[[], Awaitable[object]]


async def timed(turn: Turn, turns: int = TURNS) -> list[float]:
    """Milliseconds a turn, batch by batch."""
    took = []
    for _ in range(turns // BATCH):
        began = wall_seconds()
        for _ in range(BATCH):
            await turn()
        took.append((wall_seconds() - began) / BATCH * 1000)
    return took


async def calls(turn: Turn) -> float:
    """Function calls a turn takes: work that no other program on this machine can disturb."""
    count = 0

    def count_it(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_it)
    try:
        for _ in range(20):
            await turn()
    finally:
        sys.setprofile(None)
    return count / 20


async def echoed() -> list[float]:
    """The bare exchange: a queue in, a task, a future back."""
    inbox: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()

    async def serve() -> None:
        while True:
            (await inbox.get()).set_result("hello there")

    async def turn() -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        inbox.put_nowait(answer)
        return await answer

    serving = asyncio.create_task(serve())
    took = await timed(turn)
    serving.cancel()
    return took


async def house(state: str | None = None, *, busy: bool = False, senders: int = 1) -> tuple[list[float], list[float]]:
    """Milliseconds a turn, batch by batch, and function calls in turns 50 and 3,000.

    `busy`: with hooks before and after, a router with rules and a second reader.
    """
    agents = [Agent(id, model=Prepared(["hello there"])) for id in ("host", "clerk")]
    got: list[Any] = []

    async def send(event: Any) -> None:
        got.append(event)

    async with Runtime(orchestration=Talks(*agents), state=state) as runtime:
        await runtime.create_room("lobby")
        await runtime.attach_channel("lobby", TextChannel("ws", send=send))
        if busy:
            await furnish(runtime, agents, send)
        number = 0

        async def turn() -> None:
            nonlocal number
            number += 1
            message = InboundMessage("ws", f"caller {number % senders}", TextContent("hello"))
            await runtime.process_inbound(message)

        for _ in range(50):
            await turn()
        work = [await calls(turn)]
        took = await timed(turn)
        work.append(await calls(turn))
        return took, work


async def furnish(runtime: Runtime, agents: list[Agent], send: Callable[[Any], Awaitable[None]]) -> None:
    """Hooks before and after, a router with rules, and a second reader."""
    rules = [
        RoutingRule(agent_id="clerk", conditions=RoutingConditions(intents={f"intent {n}"}), priority=n)
        for n in range(10)
    ]
    router = ConversationRouter(rules=rules, default_agent_id="host")
    router.install(runtime, agents, room_id="lobby")
    for trigger in (HookTrigger.BEFORE_BROADCAST, HookTrigger.AFTER_BROADCAST):
        runtime.hook(trigger, execution=HookExecution.SYNC)(lambda event, context: None)
    await runtime.attach_channel("lobby", TextChannel("page", send=send))


def row(name: str, took: list[float], work: list[float] | None, echo: float) -> str:
    """The median, the first and the last tenth, the ratio to the echo, and work at turn 50 and 3,000."""
    mid = sorted(took)[len(took) // 2]
    tenth = max(1, len(took) // 10)
    first, last = (sorted(part)[len(part) // 2] for part in (took[:tenth], took[-tenth:]))
    counted = f"{work[0]:>9.0f}{work[1]:>9.0f}" if work else ""
    return f"{name:<44}{mid:>8.3f}{first:>8.3f}{last:>8.3f}{mid / echo:>8.0f}{counted}"


def main() -> None:
    """Print the table."""
    gc.collect()
    bare = asyncio.run(echoed())
    echo = sorted(bare)[len(bare) // 2]
    print(f"{TURNS} written turns{'ms a turn':>29}{'first':>8}{'last':>8}{'echoes':>8}{'calls':>9}{'last':>9}")
    print(row("a bare echo over asyncio", bare, None, echo))
    print(row("in memory", *asyncio.run(house()), echo))
    print(row("in memory, 2,000 senders", *asyncio.run(house(senders=2_000)), echo))
    print(row("with hooks, a router and a second reader", *asyncio.run(house(busy=True)), echo))
    with tempfile.TemporaryDirectory() as folder:
        print(row("with a state directory (SQLite)", *asyncio.run(house(folder)), echo))


if __name__ == "__main__":
    main()

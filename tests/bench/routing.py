"""What a route costs that is guessed: `python -m tests.bench.routing` prints milliseconds of one, without any model.

The embedding and the model answer at once, so what is measured is the house's own part of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from statistics import median

from orchestration import ConversationState, ModelRouter, RoomEvent, Router, SemanticRouter, TextContent
from orchestration.models.model import ToolCall
from orchestration.models.prepared import Prepared
from orchestration.routing_lexical import MAX_READ
from tests.orchestration.test_routing_semantic import DESKS, SAID
from voice.clock import wall_seconds

ROUNDS = 20
DIMENSIONS = 1_536
VECTORS = [[(kind * n) % 7 - 3.0 for n in range(DIMENSIONS)] for kind in range(1, 7)]
WORDS = sorted({word for desk in DESKS.values() for each in desk for word in each.split()})


def examples(count: int) -> dict[str, list[str]]:
    """So many sentences of 7 words that say nothing, for 10 agents."""
    chance = random.Random(1)
    return {f"a{n}": [" ".join(chance.choices(WORDS, k=7)) for _ in range(count // 10)] for n in range(10)}


async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
    """Vectors that mean nothing."""
    return [VECTORS[len(text) % len(VECTORS)] for text in texts]


async def line(name: str, router: Router, words: Sequence[str]) -> None:
    """The median of all, and the longest sentence's."""
    state = ConversationState()
    team = {f"a{n}" for n in range(10)}
    events = [RoomEvent(f"e{n}", "lobby", "page", "ann", TextContent(text)) for n, text in enumerate(words)]
    await router.route(events[0], state, agents=team)
    took: dict[str, list[float]] = {event.id: [] for event in events}
    for _ in range(ROUNDS):
        for event in events:
            began = wall_seconds()
            await router.route(event, state, agents=team)
            took[event.id].append((wall_seconds() - began) * 1000)
    each = [median(times) for times in took.values()]
    print(f"{name:<50}{median(each):>8.3f} ms{max(each):>9.3f} ms")


async def main() -> None:
    print(f"{'':<50}{'median':>11}{'most':>12}")
    said = list(SAID)
    for count in (100, 1_000):
        await line(f"words and letters, {count:,} examples", SemanticRouter(examples(count)), said)
    long = [" ".join(WORDS)[:MAX_READ]]
    await line(f"words and letters, 100 examples, {MAX_READ} characters", SemanticRouter(examples(100)), long)
    for count in (100, 1_000):
        name = f"an embedding of {DIMENSIONS:,} numbers, {count:,} examples"
        await line(name, SemanticRouter(examples(count), embed), said)
    call = ToolCall("c", "route_to", {"agent": "a1", "confidence": 0.9})
    await line("a model", ModelRouter(Prepared([call]), agents={f"a{n}": "Something" for n in range(10)}), said)


if __name__ == "__main__":
    asyncio.run(main())

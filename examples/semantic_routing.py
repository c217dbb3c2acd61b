"""Who answers what sounds like this: by examples first, then by a model where these do not tell, else triage. No key.

The examples are compared by words and letters alone; give `embed=` an embedding model, and they are compared by
meaning. The model that decides is a prepared one here, which knows a single word.

python examples/semantic_routing.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import (
    Agent,
    CascadeRouter,
    InboundMessage,
    ModelRouter,
    Orchestration,
    Runtime,
    SemanticRouter,
    TextChannel,
    TextContent,
    Tier,
)
from orchestration.models import Message, Prepared, ToolCall, ToolSpec

TEAM = [
    Agent("triage", model=Prepared(["What is it about?"]), role="Hears what it is about", greeting="Hello."),
    Agent("billing", model=Prepared(["Invoices are my business."]), role="Invoices, payments and money"),
    Agent("support", model=Prepared(["Have you turned it off and on again?"]), role="What does not work"),
]
EXAMPLES = {
    "billing": ["My invoice is wrong", "I was charged twice", "When is my bill due?"],
    "support": ["My screen is black", "It does not work", "I cannot log in"],
}


def decides(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> ToolCall:
    """What a language model would say: who, and how sure it is."""
    said = messages[-1].text.rpartition("caller: ")[2]
    return ToolCall("c", "route_to", {"agent": "billing", "confidence": 0.9 if "money" in said else 0.0})


SEMANTIC = SemanticRouter(EXAMPLES)
MODEL = ModelRouter(Prepared([decides]), agents=TEAM)
ROUTER = CascadeRouter([Tier(SEMANTIC), Tier(MODEL, threshold=0.7)], fallback_agent_id="triage")


class Desks(Orchestration):
    """The routers as a strategy."""

    def agents(self) -> Sequence[Agent]:
        return TEAM

    async def install(self, runtime: Runtime, room_id: str) -> None:
        ROUTER.install(runtime, TEAM, room_id=room_id)


runtime = Runtime(orchestration=Desks(), state=None)


async def main() -> None:
    """Four messages: two that sound like an example, one that the model knows, and one that nobody knows."""
    async with runtime:
        room = await runtime.create_room()
        await runtime.attach_channel(room.id, TextChannel("page"))
        for text in ("My invoices are wrong!", "The screen stays black.", "I want my money back.", "Good morning."):
            result = await runtime.process_inbound(InboundMessage("page", "you", TextContent(text)))
            if reply := result.reply:
                print(f"{text} -> {reply.sender_id}: {reply.text}")


if __name__ == "__main__":
    asyncio.run(main())

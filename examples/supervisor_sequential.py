"""The house runs the workers on every message: a researcher, then a writer who gets what that found. Written, no key.

No agent knows of the others: the coordinator says what the matter is (which nobody sees), the workers do their part
one after the other, and the coordinator presents what came of it.

    python examples/supervisor_sequential.py
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from orchestration import Agent, InboundMessage, Runtime, Supervisor, TextChannel, TextContent
from orchestration.models import Message, Prepared, ToolSpec

FACTS = {"bees": "Bees dance to say where the flowers are.", "trains": "Trains roll on steel."}


def coordinate(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """First the matter; then, with an article, a presentation."""
    said = messages[-1].text
    if article := re.search(r"^(On .+)$", said, re.MULTILINE):
        return f"My team wrote this for you. {article[1]}"
    return next((thing for thing in FACTS if thing in said), "nothing")


def research(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    return FACTS.get(messages[-1].text, "Nothing is known.")


def write(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    known = [fact for fact in FACTS.values() if fact in messages[-1].text]
    return f"On the whole: {' '.join(known) or 'there is nothing to say.'}"


coordinator = Agent(
    "coordinator",
    role="Coordinator",
    greeting="Hello, what shall we write about?",
    prompt="You coordinate articles.",
    model=Prepared([coordinate]),
)
researcher = Agent("researcher", role="Researcher", prompt="You find out facts.", model=Prepared([research], delay=1.0))
writer = Agent("writer", role="Writer", prompt="You write clear articles.", model=Prepared([write], delay=1.0))
runtime = Runtime(
    orchestration=Supervisor(
        supervisor=coordinator, workers=[researcher, writer], strategy="sequential", auto_delegate=True
    ),
    state=None,
)


async def main() -> None:
    """Two articles."""
    async with runtime:
        room = await runtime.create_room()
        await runtime.attach_channel(room.id, TextChannel("cli"))
        for text in ("Write something about bees.", "And what about trains?"):
            result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent(text)))
            print(f"you: {text}")
            if result.reply:
                print(f"{result.reply.sender_id}: {result.reply.text}")


if __name__ == "__main__":
    asyncio.run(main())

"""Two analysts work on every question at the same time, and a status line shows what they do. Written, no key.

The channel "status" is shared with the rooms in which the analysts work: it sees them, the user does not.

    python examples/supervisor_tasks.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import Agent, InboundMessage, RoomEvent, Runtime, Supervisor, TextChannel, TextContent
from orchestration.models import Message, Prepared, ToolSpec

TECHNICAL = "SQLite is one file,"
BUSINESS = "and Postgres pays off with more than one machine."


def coordinate(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """The topic first; then what both found, in one answer."""
    found = [result for result in (TECHNICAL, BUSINESS) if result in messages[-1].text]
    return f"Both are back. {' '.join(found)}" if found else "Postgres or SQLite"


coordinator = Agent(
    "coordinator",
    role="Coordinator",
    greeting="Hello, what shall we compare?",
    prompt="You coordinate analysis.",
    model=Prepared([coordinate]),
)
technical = Agent(
    "technical", role="Technical analyst", prompt="You analyse risks.", model=Prepared([TECHNICAL], delay=1.0)
)
business = Agent(
    "business", role="Business analyst", prompt="You analyse costs.", model=Prepared([BUSINESS], delay=1.5)
)
runtime = Runtime(
    orchestration=Supervisor(
        supervisor=coordinator,
        workers=[technical, business],
        strategy="parallel",
        auto_delegate=True,
        share_channels=["status"],
    ),
    state=None,
)


async def show(event: RoomEvent) -> None:
    """What the status line is sent."""
    if "task" in event.metadata:
        print(f"  ({event.sender_id}: {event.text})")


async def main() -> None:
    """One question; the answer takes as long as the slower analyst."""
    async with runtime:
        room = await runtime.create_room()
        await runtime.attach_channel(room.id, TextChannel("cli"))
        await runtime.attach_channel(room.id, TextChannel("status", send=show), category="system")
        print("you: Postgres or SQLite?")
        result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent("Postgres or SQLite?")))
        if result.reply:
            print(f"{result.reply.sender_id}: {result.reply.text}")


if __name__ == "__main__":
    asyncio.run(main())

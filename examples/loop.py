"""A writer writes, an editor judges, and it is written anew until the editor approves. Written, no key.

A hook sees beside each answer whether it was approved, and after how many rounds.

    python examples/loop.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import (
    Agent,
    HookContext,
    HookExecution,
    HookTrigger,
    InboundMessage,
    Loop,
    RoomEvent,
    Runtime,
    TextChannel,
    TextContent,
)
from orchestration.models import Message, Prepared, ToolCall, ToolSpec

LONG = "A bicycle is a thing with two wheels, on which you can sit, and which does not fall over as long as you ride."
SHORT = "A bicycle has two wheels and stays up while you ride."


def write(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """Shorter, once the editor has said so."""
    return SHORT if "too long" in messages[-1].text else LONG


def judge(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
    """Approval is a tool call (or exactly the word APPROVED); whatever else is said is what has to change."""
    return ToolCall("ok", "approve_output") if SHORT in messages[-1].text else "This is too long for a dictionary."


writer = Agent(
    "writer",
    role="Writer",
    greeting="Hello, what shall I explain?",
    prompt="You write entries for a dictionary.",
    model=Prepared([write]),
)
editor = Agent("editor", role="Editor", prompt="You judge entries for a dictionary.", model=Prepared([judge]))
runtime = Runtime(orchestration=Loop(agent=writer, reviewers=[editor], max_iterations=3), state=None)


@runtime.hook(HookTrigger.AFTER_BROADCAST, execution=HookExecution.ASYNC)
async def on_loop_result(event: RoomEvent, context: HookContext) -> None:
    if "approved" in event.metadata:
        how = "approved" if event.metadata["approved"] else "not approved"
        print(f"  ({how} after {event.metadata['iteration']} rounds)")


async def main() -> None:
    """One entry."""
    async with runtime:
        room = await runtime.create_room("draft-review")
        await runtime.attach_channel(room.id, TextChannel("cli"))
        print("you: What is a bicycle?")
        result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent("What is a bicycle?")))
        if result.reply:
            print(f"{result.reply.sender_id}: {result.reply.text}")


if __name__ == "__main__":
    asyncio.run(main())

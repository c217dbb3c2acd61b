"""A manager whose model decides which of two workers to set to work, by a tool for each. Written, no key.

The workers are not in the user's room: each job has a room of its own.

    python examples/supervisor.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import Agent, InboundMessage, Runtime, Supervisor, TextChannel, TextContent
from orchestration.models import Message, Prepared, Role, ToolCall, ToolSpec


def manage(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
    """What a language model does with the tools it is given."""
    last = messages[-1]
    if last.role is Role.TOOL:
        return f"Here it is. {last.text}"
    if "find out" in last.text:
        return ToolCall("research", "delegate_to_researcher", {"task": last.text})
    if "write" in last.text:
        return ToolCall("code", "delegate_to_coder", {"task": last.text})
    return "I have a researcher and a coder. What shall they do?"


manager = Agent(
    "manager",
    role="Manager",
    greeting="Hello, what shall my people do for you?",
    prompt="You talk with the user. Your people do the work.",
    model=Prepared([manage]),
)
researcher = Agent(
    "researcher",
    role="Researcher",
    prompt="You research topics thoroughly.",
    model=Prepared(["Python counts from 0, and so does C."], delay=1.0),
)
coder = Agent(
    "coder",
    role="Coder",
    prompt="You write clean Python code.",
    model=Prepared(["for number in range(10): print(number)"], delay=1.0),
)
runtime = Runtime(orchestration=Supervisor(supervisor=manager, workers=[researcher, coder]), state=None)


async def main() -> None:
    """Two jobs; the status bus tells how they went."""
    async with runtime:
        room = await runtime.create_room(room_id="project-room")
        await runtime.attach_channel(room.id, TextChannel("cli"))
        for text in ("Hello.", "Please find out where counting begins.", "Please write a loop from 0 to 9."):
            result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent(text)))
            print(f"you: {text}")
            if result.reply:
                print(f"{result.reply.sender_id}: {result.reply.text}")
        for entry in await runtime.status_bus.recent(10, room=room.id, status="completed"):
            print(f"  {entry.agent_id}: {entry.status}")


if __name__ == "__main__":
    asyncio.run(main())

"""A pipeline: triage hands a request to the handler, who hands it to the resolver. Written, no key, no language model.

Each agent is shown what the one before it wrote down, so nobody has to say anything twice.

    python examples/pipeline.py
"""

from __future__ import annotations

import asyncio

from orchestration import (
    Agent,
    HandoffMemoryProvider,
    InboundMessage,
    Pipeline,
    Runtime,
    SlidingWindowMemory,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models import Prepared, ToolCall


def hand_over(target: str, reason: str, summary: str) -> ToolCall:
    """The call by which a model gives the conversation away."""
    return ToolCall("handoff", "handoff_conversation", {"target": target, "reason": reason, "summary": summary})


triage = Agent(
    "agent-triage",
    role="Triage receptionist",
    description="Routes incoming requests to the right specialist",
    prompt="You triage incoming requests. Hand off to the handler when you understand the issue.",
    greeting="Hello, what can we do for you?",
    model=Prepared(["What is it about?", hand_over("agent-handler", "A billing issue", "Invoice 7 was paid twice.")]),
)
handler = Agent(
    "agent-handler",
    role="Request handler",
    description="Handles and resolves customer requests",
    prompt="You handle customer requests. Hand off to the resolver when done.",
    model=Prepared(
        ["I see that invoice 7 was paid twice. Shall I pay it back?", hand_over("agent-resolver", "Done", "Paid back.")]
    ),
    memory=HandoffMemoryProvider(SlidingWindowMemory(max_events=50)),
)
resolver = Agent(
    "agent-resolver",
    role="Resolution specialist",
    description="Confirms that a request is resolved, and closes it",
    prompt="You confirm resolution and close requests.",
    model=Prepared(["It is on its way to your account. Is there anything else?", "Goodbye."]),
    memory=HandoffMemoryProvider(SlidingWindowMemory(max_events=50)),
)
runtime = Runtime(orchestration=Pipeline(agents=[triage, handler, resolver]), state=None)


async def main() -> None:
    """A conversation that goes through the whole pipeline, and how it came there."""
    async with runtime:
        room = await runtime.create_room(room_id="support-room")
        await runtime.attach_channel(room.id, TextChannel("cli"))
        for text in ("Hello.", "Your invoice 7 is wrong.", "Yes, please.", "No, thank you."):
            result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent(text)))
            print(f"you: {text}")
            if result.reply:
                print(f"{result.reply.sender_id}: {result.reply.text}")
        for step in get_conversation_state(room).phase_history:
            print(f"  {step.from_phase} -> {step.to_phase} ({step.reason})")


if __name__ == "__main__":
    asyncio.run(main())

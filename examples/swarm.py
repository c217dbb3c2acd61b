"""A swarm: sales, support and billing hand the conversation to whoever can help. Written, no key, no language model.

Whoever has it keeps it until they hand it over.

    python examples/swarm.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from orchestration import Agent, InboundMessage, Runtime, Swarm, TextChannel, TextContent, get_conversation_state
from orchestration.models import Message, Prepared, ToolCall, ToolSpec

SUBJECTS = {"agent-sales": ["buy", "price"], "agent-support": ["broken", "install"], "agent-billing": ["invoice"]}


def brain(name: str, lines: Mapping[str, str]) -> Prepared:
    """Answers what it has a line for; what is a colleague's subject is handed over to them."""

    def answer(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        said = messages[-1].text
        for word, line in lines.items():
            if word in said:
                return line
        for colleague, words in SUBJECTS.items():
            if colleague != name and any(word in said for word in words):
                why = {"target": colleague, "reason": "It is their subject", "summary": f"The caller says: {said}"}
                return ToolCall("handoff", "handoff_conversation", why)
        return "I am not sure what you mean."

    return Prepared([answer])


sales = Agent(
    "agent-sales",
    role="Sales",
    greeting="Hello, what may I sell you?",
    model=brain("agent-sales", {"buy": "The blue one is the best we have.", "price": "It is 20 euros."}),
)
support = Agent(
    "agent-support",
    role="Support",
    model=brain("agent-support", {"broken": "I will send you a new one.", "install": "Put it on a table."}),
)
billing = Agent(
    "agent-billing", role="Billing", model=brain("agent-billing", {"invoice": "You will get an invoice over 20 euros."})
)
runtime = Runtime(orchestration=Swarm(agents=[sales, support, billing], entry="agent-sales"), state=None)


async def main() -> None:
    """A conversation that goes from one to the other and back again."""
    async with runtime:
        room = await runtime.create_room(room_id="conversation-001")
        await runtime.attach_channel(room.id, TextChannel("cli"))
        for text in (
            "I want to buy a lamp.",
            "How do I install it?",
            "What if it is broken?",
            "And the invoice?",
            "What was the price again?",
        ):
            result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent(text)))
            print(f"you: {text}")
            if result.reply:
                print(f"{result.reply.sender_id}: {result.reply.text}")
        print(f"handoffs: {get_conversation_state(room).handoff_count}")


if __name__ == "__main__":
    asyncio.run(main())

"""Rules of your own: by what is wanted, by the way it came, and by a function; a supervisor sees everything. No key.

python examples/routing.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import (
    Agent,
    ChannelType,
    ConversationRouter,
    InboundMessage,
    Orchestration,
    RoutingConditions,
    RoutingRule,
    Runtime,
    TextChannel,
    TextContent,
)
from orchestration.models import Prepared

ROUTER = ConversationRouter(
    rules=[
        RoutingRule(
            "agent-boss", RoutingConditions(custom=lambda event, context, state: "at once" in event.text), priority=-10
        ),
        RoutingRule("agent-billing", RoutingConditions(intents={"billing"})),
        RoutingRule("agent-short", RoutingConditions(channel_types={ChannelType.SMS}), priority=10),
    ],
    default_agent_id="agent-triage",
    supervisor_id="agent-supervisor",
)
ANSWERS = {
    "agent-triage": "What is it about?",
    "agent-billing": "Invoices are my business.",
    "agent-short": "OK",
    "agent-boss": "I see to it myself.",
    "agent-supervisor": "Nobody hears what I think.",
}
TEAM = [Agent(id, model=Prepared([said]), greeting="Hello, who are you?") for id, said in ANSWERS.items()]


class Rules(Orchestration):
    """The router as a strategy."""

    def agents(self) -> Sequence[Agent]:
        return TEAM

    async def install(self, runtime: Runtime, room_id: str) -> None:
        ROUTER.install(runtime, TEAM, room_id=room_id)


runtime = Runtime(orchestration=Rules(), state=None)


async def main() -> None:
    """Four messages, four agents."""
    async with runtime:
        room = await runtime.create_room()
        for id, way in (("cli", ChannelType.CLI), ("phone", ChannelType.SMS)):
            await runtime.attach_channel(room.id, TextChannel(id, way))
        for channel, text, intent in (
            ("cli", "Hello.", "other"),
            ("cli", "I have a question.", "billing"),
            ("phone", "Hello.", "other"),
            ("phone", "I need you at once.", "billing"),
        ):
            message = InboundMessage(channel, "you", TextContent(text), {"intent": intent})
            if reply := (await runtime.process_inbound(message)).reply:
                print(f"{text} ({channel}, {intent}) -> {reply.sender_id}: {reply.text}")


if __name__ == "__main__":
    asyncio.run(main())

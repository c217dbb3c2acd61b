"""An agent gives the conversation to a human, who answers from a channel of their own and gives it back. No key.

python examples/human_escalation.py
"""

from __future__ import annotations

import asyncio

from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    InboundMessage,
    Pipeline,
    RoomEvent,
    Runtime,
    TextChannel,
    TextContent,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.models import Prepared, ToolCall

WHY = {"target": "human", "reason": "They ask for a person", "summary": "They want their money back."}
triage = Agent(
    "agent-triage",
    role="Triage",
    greeting="Hello, what is it?",
    model=Prepared(
        [["Carol will help you.", ToolCall("h", "handoff_conversation", WHY)], "It is me again, the machine."]
    ),
)
runtime = Runtime(orchestration=Pipeline(agents=[triage], human=True), state=None)


@runtime.hook(HookTrigger.ON_HANDOFF, execution=HookExecution.ASYNC)
async def call_carol(event: HookEvent, context: HookContext) -> None:
    if event.metadata["to_agent"] is None:
        print(f"  (Carol's telephone rings: {event.metadata['summary']})")


async def show(event: RoomEvent) -> None:
    """What the user's page is sent."""
    print(f"{event.sender_id}: {event.text}")


async def main() -> None:
    """Agent, human, agent."""
    async with runtime:
        room = await runtime.create_room()
        await runtime.attach_channel(room.id, TextChannel("page", send=show))
        await runtime.attach_channel(room.id, TextChannel("desk"))

        async def say(channel: str, who: str, text: str) -> None:
            if channel == "page":
                print(f"{who}: {text}")
            await runtime.process_inbound(InboundMessage(channel, who, TextContent(text)))

        await say("page", "you", "I want to talk to a person.")
        await say("desk", "carol", "Hello, this is Carol. You get your money back.")
        await say("page", "you", "Thank you, Carol!")
        state = get_conversation_state(room)
        print(f"  (phase {state.phase}, agent {state.active_agent_id})")
        given_back = state.transition("handling", "agent-triage", "Carol is done")
        await runtime.store.update_room(set_conversation_state(room, given_back))
        await say("page", "you", "Is anybody there?")


if __name__ == "__main__":
    asyncio.run(main())

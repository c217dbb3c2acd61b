"""A pipeline with a way back: the reviewer returns the work to the coder, or passes it on to the writer. No key.

analysis -> coding -> review -> report, and from review back to coding

python examples/conversation_pipeline.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestration import (
    Agent,
    ConversationPipeline,
    InboundMessage,
    Orchestration,
    PipelineStage,
    Runtime,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models import Prepared, ToolCall

PIPELINE = ConversationPipeline(
    stages=[
        PipelineStage(phase="analysis", agent_id="discuss", next="coding"),
        PipelineStage(phase="coding", agent_id="coder", next="review"),
        PipelineStage(phase="review", agent_id="reviewer", next="report", can_return_to={"coding"}),
        PipelineStage(phase="report", agent_id="writer", next=None),
    ]
)


def agent(id: str, *answers: ToolCall | str | list[ToolCall | str], greeting: str = "") -> Agent:
    return Agent(id, role=id.title(), greeting=greeting, model=Prepared(answers))


def to(target: str, why: str) -> ToolCall:
    return ToolCall("handoff", "handoff_conversation", {"target": target, "reason": why, "summary": why})


TEAM = [
    agent("discuss", to("coder", "The numbers from 1 to 3 are wanted"), greeting="Hello, what is to be done?"),
    agent(
        "coder", ["I try print(1, 2).", to("reviewer", "A draft")], ["Then print(1, 2, 3).", to("reviewer", "A fix")]
    ),
    agent("reviewer", to("coder", "3 is missing"), to("writer", "Good as it is")),
    agent("writer", "It is done: print(1, 2, 3) writes them.", "You are welcome."),
]


class Workshop(Orchestration):
    """The stages as a strategy."""

    def agents(self) -> Sequence[Agent]:
        return TEAM

    async def install(self, runtime: Runtime, room_id: str) -> None:
        PIPELINE.install(runtime, TEAM, room_id=room_id)


runtime = Runtime(orchestration=Workshop(), state=None)


async def main() -> None:
    """A piece of work that is sent back once."""
    async with runtime:
        room = await runtime.create_room()
        await runtime.attach_channel(room.id, TextChannel("cli"))
        text = "The numbers from 1 to 3, please."
        result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent(text)))
        print(f"you: {text}\n{result.reply and result.reply.text}")
        for step in get_conversation_state(room).phase_history:
            print(f"  {step.from_phase} -> {step.to_phase} ({step.reason})")


if __name__ == "__main__":
    asyncio.run(main())

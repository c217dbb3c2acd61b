"""What a review loop does with a reviewer that is never content, and with one that says NOT APPROVED. Written, no key.

Nothing is approved by a word in a text. The last draft is given all the same, and it is said that nobody approved it.

    python examples/approval_loop.py
"""

from __future__ import annotations

import asyncio

from orchestration import Agent, InboundMessage, Loop, Runtime, TextChannel, TextContent, get_conversation_state
from orchestration.models import Prepared, ToolCall

APPROVE = ToolCall("ok", "approve_output", {"feedback": "Good."})
SEND_BACK = ToolCall(
    "no", "handoff_conversation", {"target": "writer", "reason": "It is dull.", "summary": "Make it rhyme."}
)
REVIEWS: dict[str, list[str | ToolCall]] = {
    "content at once": [APPROVE],
    "content with the second draft": [SEND_BACK, APPROVE],
    "never content": [SEND_BACK],
    "says NOT APPROVED": ["This is NOT APPROVED."],
    "says APPROVED": ["APPROVED"],
}


def loop(reviews: list[str | ToolCall]) -> Loop:
    """A writer with three drafts, and a reviewer who gives these reviews."""
    writer = Agent(
        "writer",
        role="Writer",
        greeting="Hello, what shall I write?",
        model=Prepared(["Roses are red.", "Roses are red, and so is bread.", "Roses are red, as somebody said."]),
    )
    return Loop(agent=writer, reviewer=Agent("reviewer", role="Reviewer", model=Prepared(reviews)), max_iterations=3)


runtime = Runtime(orchestration=loop([APPROVE]), state=None)


async def main() -> None:
    """A room for each kind of reviewer."""
    async with runtime:
        for number, (kind, reviews) in enumerate(REVIEWS.items()):
            room = await runtime.create_room(f"review-{number}", orchestration=loop(reviews))
            await runtime.attach_channel(room.id, TextChannel(f"cli-{number}"))
            message = InboundMessage(f"cli-{number}", "you", TextContent("Write a poem."))
            result = await runtime.process_inbound(message)
            context = get_conversation_state(room).context
            print(f"{kind}: approved={context['approved']} after {context['iteration']}")
            if result.reply:
                print(f"  {' '.join(result.reply.text.split())}")


if __name__ == "__main__":
    asyncio.run(main())

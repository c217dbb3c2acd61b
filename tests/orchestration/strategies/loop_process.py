"""A process in which a loop answers a message: for a test that kills it. It notes what it is asked and what it sends.

    python -m tests.orchestration.strategies.loop_process <state directory> <notes> dies|lives

The one that dies gets the message, and is killed (SIGKILL) by the second review, before that has come to a verdict. The
one that lives waits until the result was told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from delivery import Immediate, Status
from orchestration import Agent, InboundMessage, Loop, RoomEvent, Runtime, TextChannel, TextContent
from orchestration import get_conversation_state as state_of
from orchestration.models import Message, Prepared, ToolCall, ToolSpec
from orchestration.models.scripted import RESULT

PATIENCE = 30.0
LOOK = 0.02


def note(notes: Path, what: str) -> None:
    with notes.open("a") as file:
        file.write(f"{what}\n")


def loop(notes: Path, *, dies: bool) -> Loop:
    def write(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        task = messages[-1].text
        if told := RESULT.search(task):
            return f"It reads: {told['text']}"
        again = "It is too long." in task
        note(notes, f"draft {1 + again}")
        return "Boats float." if again else "A boat is a thing that floats."

    def judge(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        if "Boats float." not in messages[-1].text:
            note(notes, "review 1")
            return "It is too long."
        note(notes, "review 2")
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return ToolCall("approve", "approve_output")

    return Loop(Agent("writer", model=Prepared([write])), reviewer=Agent("editor", model=Prepared([judge])))


async def main(state: str, notes: Path, *, dies: bool) -> None:
    async def send(event: RoomEvent) -> None:
        note(notes, f"sent: {event.text}")

    async with Runtime(orchestration=loop(notes, dies=dies), state=state, delivery=Immediate()) as runtime:
        await runtime.create_room("lobby")
        await runtime.attach_channel("lobby", TextChannel("page", send=send))
        if dies:
            await runtime.process_inbound(InboundMessage("page", "page", TextContent("boats")))
        async with asyncio.timeout(PATIENCE):
            while [entry.status for entry in await runtime.deliveries("lobby", list(Status))] != [Status.HEARD]:
                await asyncio.sleep(LOOK)
            while not (context := state_of(runtime.room("lobby")).context):
                await asyncio.sleep(LOOK)
        note(notes, f"kept: {sorted(context.items())}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), dies=sys.argv[3] == "dies"))

"""A process in which a supervisor's workers work on a message while its answer waits: for a test that kills it.

    python -m tests.orchestration.strategies.work_process <state directory> <notes> <where it dies>

It is killed (SIGKILL) by the second of two workers ("work"), or by the supervisor that is about to present what they
found ("present"). With "lives" it gets no message, and waits until the result was told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from delivery import Immediate, Status
from orchestration import Agent, InboundMessage, RoomEvent, Runtime, Supervisor, TextChannel, TextContent
from orchestration.models import Message, Prepared, ToolSpec
from orchestration.workers import Context, worker

PATIENCE = 30.0
LOOK = 0.02


def note(notes: Path, what: str) -> None:
    with notes.open("a") as file:
        file.write(f"{what}\n")


def supervisor(notes: Path, dies: str) -> Supervisor:
    def end(where: str) -> None:
        if where == dies:
            os.kill(os.getpid(), signal.SIGKILL)

    @worker()
    async def tech(input: str, context: Context) -> str:
        async def look() -> str:
            note(notes, "tech works")
            return "Boats float."

        return await context.step("look", look)

    @worker()
    async def law(input: str, context: Context) -> str:
        note(notes, "law works")
        end("work")
        return f"It is said that: {input}"

    def present(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        assert "It is said that: Boats float." in messages[-1].text
        end("present")
        return "My colleagues say that boats float."

    host = Agent("host", model=Prepared([present]))
    return Supervisor(host, [tech, law], strategy="sequential", auto_delegate=True, refine_task=False)


async def main(state: str, notes: Path, dies: str) -> None:
    async def send(event: RoomEvent) -> None:
        note(notes, f"sent: {event.text}")

    runtime = Runtime(orchestration=supervisor(notes, dies), state=state, delivery=Immediate())
    async with runtime:
        await runtime.create_room("lobby")
        await runtime.attach_channel("lobby", TextChannel("page", send=send))
        if dies != "lives":
            await runtime.process_inbound(InboundMessage("page", "page", TextContent("boats")))
        async with asyncio.timeout(PATIENCE):
            while [entry.status for entry in await runtime.deliveries("lobby", list(Status))] != [Status.HEARD]:
                await asyncio.sleep(LOOK)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
